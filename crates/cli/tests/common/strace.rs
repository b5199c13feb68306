//! What a process asks of the kernel, in order: which syncs and names come before which bytes on the wire.
//!
//! The page cache survives every kill, so no test that kills can see a sync that is missing; this one can. `strace` runs beside the process
//! (`-D`), which stays the child of the test.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{PATIENCE, TestEnv};

const CALLS: &str =
    "fsync,fdatasync,rename,renameat,renameat2,link,linkat,write,writev,sendto,sendmsg";

/// The record of a process under way.
pub struct Trace {
    file: PathBuf,
}

/// One system call. Calls of several threads overlap: it began and ended with these lines of the record.
#[derive(Clone, Debug)]
struct Call {
    began: usize,
    ended: usize,
    text: String,
}

/// What a step is.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A file or folder whose path ends so is synced.
    Synced(&'a str),
    /// A name that ends so is given, by rename or link.
    Named(&'a str),
    /// Bytes that hold this are sent or written.
    Sent(&'a str),
}

impl Step<'_> {
    fn is(self, call: &Call) -> bool {
        let name = call.text.split('(').next().unwrap_or_default();
        match self {
            Step::Synced(path) => {
                name.ends_with("sync")
                    && call.text.contains(&format!("{path}>"))
                    && call.text.ends_with("= 0")
            }
            Step::Named(path) => {
                (name.starts_with("rename") || name.starts_with("link"))
                    && call.text.contains(&format!("{path}\""))
                    && call.text.ends_with("= 0")
            }
            Step::Sent(words) => {
                (name.starts_with("write") || name.starts_with("send")) && call.text.contains(words)
            }
        }
    }
}

impl Trace {
    /// `command` with a record beside it; `None` where no process may be traced, which is told and counted.
    pub fn of(env: &TestEnv, name: &str, command: &Command) -> Option<(Trace, Command)> {
        let tried = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            vodferry_testkit::skip::skipped(
                "the order of syncs",
                "strace is not there, or may not trace",
            );
            return None;
        }
        let file = env.path(name);
        let mut traced = Command::new("strace");
        traced
            .args(["-D", "-f", "-y", "-s", "200", "-e", &format!("trace={CALLS}"), "-o"])
            .arg(&file);
        traced.arg(command.get_program()).args(command.get_args());
        traced
            .env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        traced.current_dir(command.get_current_dir().unwrap());
        Some((Trace { file }, traced))
    }

    /// Where the record is now.
    pub fn here(&self) -> usize {
        self.calls().iter().map(|call| call.ended + 1).max().unwrap_or(0)
    }

    /// From `start` on these steps came one after the other, each over before the next began. Waits for the record, which is a moment late.
    pub fn shows(&self, start: usize, steps: &[Step<'_>]) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE / 12 {
            if self.first_missing(start, steps).is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let missing = self.first_missing(start, steps);
        let calls: Vec<_> = self.calls().into_iter().filter(|call| call.began >= start).collect();
        panic!("{missing:?} did not come in its turn of {steps:#?}: {calls:#?}");
    }

    /// The one file in `folder` that is synced.
    pub fn synced_under(&self, folder: &str) -> String {
        let within = format!("<{folder}/");
        let file = self.calls().into_iter().find_map(|call| {
            let (_, rest) = call.text.split_once(&within)?;
            call.text
                .contains("sync(")
                .then(|| format!("{folder}/{}", rest.split('>').next().unwrap()))
        });
        file.unwrap_or_else(|| panic!("nothing in {folder} is synced"))
    }

    fn first_missing<'a>(&self, mut from: usize, steps: &[Step<'a>]) -> Option<Step<'a>> {
        let calls = self.calls();
        for step in steps {
            let Some(found) = calls.iter().find(|call| call.began >= from && step.is(call)) else {
                return Some(*step);
            };
            from = found.ended + 1;
        }
        None
    }

    fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut calls = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
            let call = call.trim();
            if let Some(begun) = call.strip_suffix("<unfinished ...>") {
                open.insert(thread, (at, begun));
            } else if let Some((_, rest)) =
                call.split_once(" resumed>").filter(|_| call.starts_with("<..."))
            {
                let (began, begun) = open.remove(thread).unwrap_or((at, ""));
                calls.push(Call { began, ended: at, text: format!("{begun}{rest}") });
            } else {
                calls.push(Call { began: at, ended: at, text: call.to_owned() });
            }
        }
        calls.sort_by_key(|call| call.began);
        calls
    }
}
