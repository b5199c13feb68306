//! An upload over an emulated line, in two network namespaces (root; where the machine cannot have them, `skipped: WHY`):
//!
//! ```text
//! link FOLDER FILE SECONDS SETTLE LOSS_PPM plain CONNECTIONS
//! link FOLDER FILE SECONDS SETTLE LOSS_PPM upload VODFERRY [FLAG…]
//! ```
//!
//! The line: 100 Mbit/s each way, a round trip of 200 ms, a queue of 200 ms, so many packets of a million lost each way. It prints the
//! Mbit/s of payload that arrived after the first `SETTLE` seconds: `plain` is TCP alone over so many connections, `upload` is the
//! binary's `upload` to its own `serve`, counted by the bytes that the server has written. Both ends have the kernel's own settings.

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use vodferry_testkit::net::link::{Link, LinkOptions, NoLink, Shape, Way};

    type Outcome<T> = Result<T, Box<dyn Error>>;

    const RATE: u64 = 100_000_000;
    const ONE_WAY: Duration = Duration::from_millis(100);
    const QUEUE: Duration = Duration::from_millis(200);

    pub(crate) fn run() -> Outcome<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [folder, file, seconds, settle, loss, what @ ..] = &words[..] else {
            return Err("usage: link FOLDER FILE SECONDS SETTLE LOSS_PPM plain CONNECTIONS | upload VODFERRY [FLAG…]".into());
        };
        let (seconds, settle): (u64, u64) = (seconds.parse()?, settle.parse()?);
        let way = Shape::new(RATE, ONE_WAY).with_loss_ppm(loss.parse()?).with_queue(QUEUE);
        let link = match Link::open(&LinkOptions::both(way)) {
            Ok(link) => link,
            Err(NoLink::Skip(reason)) => {
                println!("skipped: {reason}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let rate = match what {
            ["plain", connections] => {
                let transfer = link.transfer(Way::AToB, connections.parse()?, seconds)?;
                transfer.rate_after(usize::try_from(settle)?) as f64
            }
            ["upload", vodferry, flags @ ..] => {
                let place = Path::new(folder);
                upload(&link, place, file, vodferry, flags, seconds, settle)?
            }
            _ => return Err("neither plain nor upload".into()),
        };
        println!("{:.2}", rate * 1e-6);
        Ok(())
    }

    /// Bits per second of payload after the first `settle` seconds.
    fn upload(
        link: &Link,
        folder: &Path,
        file: &str,
        vodferry: &str,
        flags: &[&str],
        seconds: u64,
        settle: u64,
    ) -> Outcome<f64> {
        let data = folder.join("data");
        let address = link.b.address();
        let mut serve = link.b.command(vodferry);
        serve.args(["serve", "--listen", &format!("{address}:0"), "--data"]).arg(&data);
        let mut server = Running(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ").ok_or("the server did not come up")?;
        let mut upload = link.a.command(vodferry);
        upload.args(["upload", file, "--quiet", "--no-record", "--endpoint", url]);
        upload.args(["--bucket", "vod-media", "--key", "bench/link"]).args(flags);
        upload.arg("--keys-file").arg(data.join("keys.toml"));
        let began = Instant::now();
        let mut client = Running(upload.stdout(Stdio::null()).spawn()?);
        let mut at_second = |second: u64| -> Outcome<(u64, f64)> {
            let due = Duration::from_secs(second).saturating_sub(began.elapsed());
            thread::sleep(due);
            if client.0.try_wait()?.is_some() {
                return Err(
                    "the upload ended too early: the file is too short, or it failed".into()
                );
            }
            Ok((written(&data)?, began.elapsed().as_secs_f64()))
        };
        let (before, from) = at_second(settle)?;
        let (after, to) = at_second(seconds)?;
        Ok(after.saturating_sub(before) as f64 * 8.0 / (to - from))
    }

    /// Bytes of bodies that the server has written, whole parts and begun ones.
    fn written(data: &Path) -> Outcome<u64> {
        // A draft may get its name between the two looks; then it is missed or counted twice, so the drafts are looked at first.
        let mut bytes = 0;
        for folder in [data.join("tmp"), data.join("blobs")] {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    for blob in fs::read_dir(entry.path())? {
                        bytes += blob?.metadata()?.len();
                    }
                } else if let Ok(draft) = entry.metadata() {
                    bytes += draft.len();
                }
            }
        }
        Ok(bytes)
    }

    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the emulated line needs Linux");
}
