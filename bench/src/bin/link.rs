//! An upload over an emulated line, in two network namespaces (root; where the machine cannot have them, `skipped: WHY`):
//!
//! ```text
//! link FOLDER SECONDS SETTLE MBIT LOSS_PPM plain CONNECTIONS
//! link FOLDER SECONDS SETTLE MBIT LOSS_PPM upload VODFERRY PROGRAM [ARGUMENT…]
//! ```
//!
//! The line: so many Mbit/s each way, a round trip of 200 ms, a queue of 200 ms, so many packets of a million lost each way; packets of
//! 1,500 bytes, from 1 Gbit/s on of 9,000. It prints the Mbit/s of payload that arrived after the first `SETTLE` seconds: `plain` is TCP
//! alone over so many connections, `upload` is any program that uploads to `VODFERRY serve`, counted by the bytes that the server has
//! written. In its arguments `{url}` and `{keys}` stand for the server and its keys.toml. Both ends have the kernel's own settings.

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

    const MBIT: u64 = 1_000_000;
    /// From here on the emulator wants large packets to keep up.
    const FAST: u64 = 1_000 * MBIT;
    const ONE_WAY: Duration = Duration::from_millis(100);
    const QUEUE: Duration = Duration::from_millis(200);

    pub(crate) fn run() -> Outcome<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [folder, seconds, settle, rate, loss, what @ ..] = &words[..] else {
            return Err("usage: link FOLDER SECONDS SETTLE MBIT LOSS_PPM plain CONNECTIONS | upload VODFERRY PROGRAM [ARGUMENT…]".into());
        };
        let (seconds, settle): (u64, u64) = (seconds.parse()?, settle.parse()?);
        let rate = rate.parse::<u64>()? * MBIT;
        let way = Shape::new(rate, ONE_WAY).with_loss_ppm(loss.parse()?).with_queue(QUEUE);
        let mut options = LinkOptions::both(way);
        if rate >= FAST {
            options.mtu = 9_000;
        }
        let link = match Link::open(&options) {
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
            ["upload", vodferry, program, arguments @ ..] => {
                let data = Path::new(folder).join("data");
                let mut server = serve(&link, vodferry, &data)?;
                let keys = data.join("keys.toml");
                let keys = keys.to_str().ok_or("the folder's name is not text")?;
                let filled = arguments
                    .iter()
                    .map(|argument| argument.replace("{url}", &server.url).replace("{keys}", keys));
                let mut client = link.a.command(program);
                let upload = client.args(filled).stdout(Stdio::null()).spawn()?;
                let rate = watch(Running(upload), &data, seconds, settle)?;
                server.process.0.kill()?;
                rate
            }
            _ => return Err("neither plain nor upload".into()),
        };
        println!("{:.2}", rate * 1e-6);
        Ok(())
    }

    struct Server {
        process: Running,
        url: String,
    }

    fn serve(link: &Link, vodferry: &str, data: &Path) -> Outcome<Server> {
        let address = link.b.address();
        let mut serve = link.b.command(vodferry);
        serve.args(["serve", "--listen", &format!("{address}:0"), "--data"]).arg(data);
        let mut process = Running(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ").ok_or("the server did not come up")?;
        Ok(Server { url: url.to_owned(), process })
    }

    /// Bits per second of payload after the first `settle` seconds.
    fn watch(mut client: Running, data: &Path, seconds: u64, settle: u64) -> Outcome<f64> {
        let began = Instant::now();
        let mut at_second = |second: u64| -> Outcome<(u64, f64)> {
            let due = Duration::from_secs(second).saturating_sub(began.elapsed());
            thread::sleep(due);
            if client.0.try_wait()?.is_some() {
                return Err(
                    "the upload ended too early: the file is too short, or it failed".into()
                );
            }
            Ok((written(data)?, began.elapsed().as_secs_f64()))
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
