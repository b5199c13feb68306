//! A file that is uploaded while it is written. What of it is final is announced on standard input, or, where it is written from front
//! to back, seen by its growth.
//!
//! Announcements are JSON, one object per line: `{"ready": [0, 48]}`, `{"finished": 1000}`, `{"failed": "why"}`. A line that is none of
//! these gives the file up, and so does an end without `finished`: what was sent stays for the next run. The threads here end with the
//! process; what they announce after the file is done is not heard.

use std::fs;
use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use vodferry::File;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The beginning that is compared: what many a writer goes back to.
const HEAD: u64 = 64 << 10;

/// The file at `path`, announced on standard input; or, with `idle`, whole when nothing about it changed for so long.
pub(crate) fn file(path: &Path, idle: Option<Duration>) -> File {
    let (file, growth) = File::growing(path);
    let path = path.to_owned();
    thread::spawn(move || {
        let ready = |range| growth.ready(range);
        let length = match idle {
            Some(idle) => watch(&path, idle, ready),
            None => listen(io::stdin().lock(), ready),
        };
        match length {
            Ok(length) => growth.finish(length),
            Err(why) => growth.fail(why),
        }
    });
    file
}

/// Hands on what is announced. Gives the length, or why there will be none.
fn listen(announced: impl BufRead, ready: impl Fn(Range<u64>)) -> Result<u64, String> {
    for (at, line) in announced.lines().enumerate() {
        let line = line.map_err(|error| format!("standard input cannot be read: {error}"))?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(News::Ready(from, to)) if from <= to => ready(from..to),
            Ok(News::Ready(..)) => {
                return Err(misread(at, "a range ends before it begins"));
            }
            Ok(News::Finished(length)) => return Ok(length),
            Ok(News::Failed(why)) => return Err(format!("its writer gave up: {why}")),
            Err(error) => return Err(misread(at, &error.to_string())),
        }
    }
    Err("standard input ended before it said {\"finished\": LENGTH}".to_owned())
}

fn misread(at: usize, why: &str) -> String {
    format!("line {} of standard input announces nothing: {why}", at + 1)
}

/// Announces what is added to a file that is written from front to back, until nothing is added any more. Gives its length then, or why
/// there will be none.
fn watch(path: &Path, idle: Duration, ready: impl Fn(Range<u64>)) -> Result<u64, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let mut known: Option<Look> = None;
    let mut since = Instant::now();
    let mut head = Vec::new();
    loop {
        let now = Look::at(path).map_err(unreadable)?;
        let (before, length) = (length_of(known), length_of(now));
        if length < before {
            return Err("it became shorter, which is no growing at its end".to_owned());
        }
        let over = now == known && since.elapsed() >= idle;
        if now != known || over {
            let found = match now {
                Some(_) => beginning(path).map_err(unreadable)?,
                None => Vec::new(),
            };
            if !found.starts_with(&head) {
                return Err("its beginning was written again, so that what was sent of it is no longer true; \
                     such a file is announced on standard input"
                    .to_owned());
            }
            head = found;
        }
        if over {
            return now.map(|look| look.length).ok_or_else(|| "it did not appear".to_owned());
        }
        if now != known {
            (known, since) = (now, Instant::now());
            if length > before {
                ready(before..length);
            }
        }
        sleep(LOOK.min(idle));
    }
}

/// What is seen of a file from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    length: u64,
    modified: Option<SystemTime>,
}

impl Look {
    /// `None` where there is no file yet.
    fn at(path: &Path) -> io::Result<Option<Look>> {
        match fs::metadata(path) {
            // Not opened then: opening a pipe would wait for its writer.
            Ok(meta) if !meta.is_file() => Err(io::Error::other("it is not a regular file")),
            Ok(meta) => Ok(Some(Look { length: meta.len(), modified: meta.modified().ok() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn length_of(look: Option<Look>) -> u64 {
    look.map_or(0, |look| look.length)
}

fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// What is told of the file while it is written.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum News {
    /// From this byte to before that one.
    Ready(u64, u64),
    /// It has so many bytes.
    Finished(u64),
    Failed(String),
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write as _;
    use std::sync::mpsc::channel;

    use super::*;

    fn heard(text: &str) -> (Vec<Range<u64>>, Result<u64, String>) {
        let ranges = RefCell::new(Vec::new());
        let length = listen(text.as_bytes(), |range| ranges.borrow_mut().push(range));
        (ranges.into_inner(), length)
    }

    #[test]
    fn announcements_are_heard_until_the_end_is_said() {
        let text = "{\"ready\": [48, 90]}\n\n{\"ready\":[0,48]}\n{\"finished\": 90}\nwhatever\n";
        assert_eq!(heard(text), (vec![48..90, 0..48], Ok(90)));
    }

    #[test]
    fn what_is_no_announcement_is_told_with_its_line() {
        for (text, why) in [
            ("", "ended before it said"),
            ("{\"ready\": [0, 5]}\n", "ended before it said"),
            ("{\"failed\": \"disk full\"}\n", "gave up: disk full"),
            ("\n{\"reddy\": [0, 5]}\n", "line 2 of standard input"),
            ("{\"ready\": [5, 0]}\n", "line 1 of standard input"),
            ("{\"ready\": [0, -5]}\n", "line 1 of standard input"),
            ("{\"finished\": \"now\"}\n", "line 1 of standard input"),
        ] {
            let refused = heard(text).1.unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_file_is_whole_when_nothing_is_added_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let (tell, told) = channel();
        let watched = path.clone();
        let watching =
            thread::spawn(move || watch(&watched, Duration::from_secs(3), |r| drop(tell.send(r))));
        // Made first, and filled a moment later: nothing of it is ready in between.
        let mut file = fs::File::create(&path).unwrap();
        for end in [10, 25] {
            let grown = file.metadata().unwrap().len();
            file.write_all(&vec![1; (end - grown) as usize]).unwrap();
            assert_eq!(told.recv().unwrap(), grown..end);
        }
        assert_eq!(watching.join().unwrap(), Ok(25));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for path in [pipe, folder.path().to_owned()] {
            let (tell, told) = channel();
            thread::spawn(move || tell.send(watch(&path, Duration::from_millis(1), |_| {})));
            let refused = told.recv_timeout(Duration::from_secs(20)).expect("an answer");
            assert!(refused.unwrap_err().contains("not a regular file"));
        }
    }

    #[test]
    fn what_does_not_grow_at_its_end_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let refused = watch(&path, Duration::from_millis(1), |_| {}).unwrap_err();
        assert!(refused.contains("did not appear"), "{refused}");
        let over: fn(&mut fs::File) -> io::Result<()> = |file| file.write_all(&[2; 30]);
        for (change, why) in [(over, "beginning"), (|file| file.set_len(5), "shorter")] {
            fs::write(&path, [1; 20]).unwrap();
            let (tell, told) = channel();
            let watched = path.clone();
            let watching = thread::spawn(move || {
                watch(&watched, Duration::from_secs(60), |r| drop(tell.send(r)))
            });
            told.recv().unwrap();
            // Without going through a file of no length.
            change(&mut fs::File::options().write(true).open(&path).unwrap()).unwrap();
            let refused = watching.join().unwrap().unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
