//! A terminal of its own for a process: what a person sees, what they type, and which modes are left behind.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::PATIENCE;

/// A terminal with a shell that runs one command and prints its exit code.
pub struct Pty {
    keyboard: File,
    /// Kept open, so that the modes can be looked at after the process has gone.
    slave: OwnedFd,
    screen: Arc<Mutex<String>>,
    shell: Child,
}

impl Pty {
    /// Runs `command` under a shell in a new terminal of 100 by 30. `None` where there is no `setsid` to give it one.
    pub fn run(command: &Command) -> Option<Pty> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).unwrap();

        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "sh", "-c", "trap : INT QUIT; \"$@\"; echo \"code $?.\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        shell.env("TERM", "xterm");
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let end = || slave.try_clone().unwrap();
        shell.stdin(end()).stdout(end()).stderr(end());
        let shell = match shell.spawn() {
            Ok(shell) => shell,
            Err(_) => {
                println!("skipped: no setsid here");
                return None;
            }
        };
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, seen) = (keyboard.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Some(Pty { keyboard, slave, screen, shell })
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was ever shown.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits until `text` was shown.
    pub fn sees(&self, text: &str) {
        self.until(text, || self.screen().contains(text));
    }

    /// Waits for the end of the command, and gives its exit code.
    pub fn code(&self) -> i32 {
        self.sees("code ");
        self.until("the exit code", || self.screen().contains(".\r\n"));
        let screen = self.screen();
        let code = screen.rsplit("code ").next().unwrap().split('.').next().unwrap();
        code.parse().unwrap_or_else(|_| panic!("{screen}"))
    }

    /// Whether keys are taken one by one, unseen.
    pub fn is_taken(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        // Those that make Ctrl-C a signal stay in any case.
        assert!(modes.contains(LocalModes::ISIG));
        let lines = modes.contains(LocalModes::ICANON);
        assert_eq!(lines, modes.contains(LocalModes::ECHO));
        !lines
    }

    /// Waits until `done`.
    pub fn until(&self, what: &str, done: impl Fn() -> bool) {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < PATIENCE, "{what} did not come:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id of the command.
    pub fn command_id(&self) -> u32 {
        let shell = self.shell.id();
        let children = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(children).unwrap();
        children
            .split_whitespace()
            .next()
            .unwrap_or_else(|| panic!("{}", self.screen()))
            .parse()
            .unwrap()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // The end of a session's leader hangs up what is left in it.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
