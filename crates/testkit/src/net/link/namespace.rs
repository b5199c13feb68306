//! One end of a link: a network namespace that lives as long as its owner, whatever way the owner ends.
//!
//! It has no name in the system. A small shell made inside it holds it; that shell waits on a pipe of ours, and when the pipe closes (drop, panic,
//! `exit`, SIGKILL) it kills whatever still runs inside, and goes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::NoLink;

/// Waits for the end of the pipe, then ends every process of the namespace but itself.
const HOLDER: &str = r#"
trap '' HUP INT TERM
inside=$(readlink /proc/self/ns/net)
inside=${inside#*[}
echo ready
while read -r _; do :; done
for place in $(find /proc/[0-9]*/ns/net -prune -lname "*${inside%]}*" 2>/dev/null); do
	process=${place#/proc/}
	process=${process%/ns/net}
	[ "$process" = $$ ] || kill -KILL "$process" 2>/dev/null
done
"#;

/// A network of its own with one way out: the link. Loopback is up, IPv6 is off.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    address: Ipv4Addr,
}

impl Namespace {
    pub(super) fn open(address: Ipv4Addr) -> Result<Namespace, NoLink> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", HOLDER]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let holder = command.spawn();
        let holder = holder.map_err(|error| NoLink::Skip(format!("unshare: {error}")))?;
        // From here on dropping it cleans up.
        let mut namespace = Namespace { holder, address };
        let mut line = String::new();
        if let Some(stdout) = namespace.holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(NoLink::Failed)?;
        }
        if line.trim() != "ready" {
            let mut said = String::new();
            if let Some(stderr) = &mut namespace.holder.stderr {
                stderr.read_to_string(&mut said).map_err(NoLink::Failed)?;
            }
            return Err(NoLink::Skip(format!("no network namespace can be made: {}", said.trim())));
        }
        Ok(namespace)
    }

    /// Where the other end finds what listens in here.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program to run in here; arguments, environment and pipes are added as to any [`Command`]. Its process id is the program's own. Whatever
    /// still runs when the link is dropped is killed, its descendants too.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// Runs `act` on a thread in here: what it connects, binds or spawns belongs to this namespace.
    ///
    /// # Errors
    /// When the thread cannot enter.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        let place = File::open(self.path())?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(act())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sets one of the kernel's `net.` values for this end, for example `net.ipv4.tcp_congestion_control` to `bbr`.
    ///
    /// # Errors
    /// When the kernel does not know it, or does not keep it per namespace.
    pub fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.run(|| fs::write(path, value))?
    }

    /// What a person types to run a shell in here.
    pub fn how_to_enter(&self) -> String {
        format!("sudo nsenter --net={} bash", self.path().display())
    }

    /// A process that is in here as long as this lives.
    pub(super) fn process(&self) -> u32 {
        self.holder.id()
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let began = Instant::now();
        while matches!(self.holder.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.holder.kill();
                let _ = self.holder.wait();
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
