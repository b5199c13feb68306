//! After an interruption, and a failure that ended the run: the command that goes on.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use vodferry::Options;

use crate::cli::{Cli, NetworkArgs, PlaceArgs, TransferArgs};
use crate::entry::{Entry, Outcome};
use crate::exit_code::ExitCode;
use crate::{output, records, shell};

/// The flags that matter for going on.
pub(crate) struct Again<'a> {
    pub(crate) global: &'a Cli,
    pub(crate) place: &'a PlaceArgs,
    pub(crate) transfer: &'a TransferArgs,
    /// Only the same command again goes on.
    pub(crate) as_typed: bool,
}

impl Again<'_> {
    /// Tells, on stderr, how to go on with what is unfinished.
    pub(crate) fn tell(&self, entries: &[Entry], exit: ExitCode, options: &Options) {
        if !entries.iter().any(Entry::is_open) {
            return;
        }
        let (why, failed_too) = match exit {
            ExitCode::Interrupted => ("interrupted", false),
            _ => ("halted", true),
        };
        let left = |entry: &&Entry| {
            entry.is_open() || failed_too && matches!(entry.outcome, Outcome::Failed(_))
        };
        let left: Vec<&Entry> = entries.iter().filter(left).collect();
        let recorded = !self.transfer.no_record && self.recorded(&left, options);
        if !self.as_typed && recorded {
            return output::say(&format!("{why}; to go on: {}", self.resume(&left)));
        }
        // Some were not begun (or nothing was kept): the same command again goes on with those that were.
        let (typed, sent_again) = without_done(std::env::args_os().collect(), entries);
        let note = match sent_again {
            0 => String::new(),
            1 => " (1 file that is done would be sent again)".to_owned(),
            many => format!(" ({many} files that are done would be sent again)"),
        };
        output::say(&format!("{why}; to go on: {}{note}", shell::without_secrets(typed)));
    }

    fn recorded(&self, open: &[&Entry], options: &Options) -> bool {
        let Ok(records) = records::unfinished(options) else { return false };
        open.iter().all(|entry| records.iter().any(|record| records::is_of(record, &entry.path)))
    }

    fn resume(&self, open: &[&Entry]) -> String {
        let PlaceArgs {
            mode,
            server,
            token,
            vod,
            address,
            auth,
            endpoint,
            bucket,
            keys_file,
            credentials_command,
            region,
            vod_signature,
            report,
        } = self.place;
        let mut command = Command::new("vodferry resume");
        command.path("--config", &self.global.config);
        command.named("--mode", mode);
        command.text("--server", server);
        command.secret("--token", "VODFERRY_TOKEN", token);
        command.text("--vod", vod);
        command.secret("--address", "VODFERRY_ADDRESS", address);
        command.secret("--auth", "VODFERRY_AUTH", auth);
        command.text("--endpoint", endpoint);
        command.text("--bucket", bucket);
        command.path("--keys-file", keys_file);
        // It may hold a secret.
        command.secret(
            "--credentials-command",
            "VODFERRY_CREDENTIALS_COMMAND",
            credentials_command,
        );
        command.text("--region", region);
        command.named("--vod-signature", vod_signature);
        if *report {
            command.word(OsStr::new("--report"));
        }
        // The part size is in the checkpoint.
        let how = self.transfer;
        command.number("--parallel", how.parallel.map(u64::from));
        if how.adaptive == Some(false) {
            command.word(OsStr::new("--adaptive=false"));
        }
        command.number("--files-at-once", how.files_at_once.map(u64::from));
        command.number("--limit", how.limit);
        command.path("--record-dir", &how.records.record_dir);
        if how.no_md5 {
            command.word(OsStr::new("--no-md5"));
        }
        command.number("--max-buffered", how.max_buffered);
        command.time("--retry-for", how.retry_for);
        command.number("--retry-count", how.retry_count.map(u64::from));
        command.time("--retry-duration", how.retry_duration);
        command.named("--on-part-failure", &how.on_part_failure);
        command.time("--progress-interval", how.progress_interval);
        command.named("--on-busy", &how.on_busy);
        for (flag, set) in [
            ("--sequential", how.sequential),
            ("--find-orphans", how.find_orphans),
            ("--halt-on-failure", how.halt_on_failure),
            ("--delete-on-cancel", how.delete_on_cancel),
        ] {
            if set {
                command.word(OsStr::new(flag));
            }
        }
        let NetworkArgs { proxy, ca_file, connect_timeout, idle_timeout, request_timeout, slowest } =
            &how.network;
        // It may hold a password.
        command.secret("--proxy", "VODFERRY_PROXY", proxy);
        command.path("--ca-file", ca_file);
        command.time("--connect-timeout", *connect_timeout);
        command.time("--idle-timeout", *idle_timeout);
        command.time("--request-timeout", *request_timeout);
        command.number("--slowest", *slowest);
        for entry in open {
            command.file(entry.path.as_os_str());
        }
        command.text
    }
}

/// A command line without the files that are in storage, and how many of these it names all the same: to send them again would make other
/// videos of them. One that was named by a folder or a list stays, and so does one whose name is there twice, as that may be the value of a
/// flag.
fn without_done(mut arguments: Vec<OsString>, entries: &[Entry]) -> (Vec<OsString>, usize) {
    let mut times: HashMap<OsString, u32> = HashMap::new();
    for argument in &arguments {
        *times.entry(argument.clone()).or_default() += 1;
    }
    let done = entries.iter().filter(|e| matches!(e.outcome, Outcome::Succeeded { .. }));
    let (named, others): (Vec<_>, Vec<_>) =
        done.map(|entry| entry.path.as_os_str()).partition(|path| times.get(*path) == Some(&1));
    let named: HashSet<&OsStr> = named.into_iter().collect();
    arguments.retain(|argument| !named.contains(argument.as_os_str()));
    (arguments, others.len())
}

struct Command {
    text: String,
}

impl Command {
    fn new(text: &str) -> Command {
        Command { text: text.to_owned() }
    }

    fn word(&mut self, word: &OsStr) {
        self.text.push(' ');
        self.text.push_str(&shell::quote(word));
    }

    /// A file named like a flag would be taken for one.
    fn file(&mut self, file: &OsStr) {
        let dash = file.to_string_lossy().starts_with('-');
        self.text.push_str(if dash { " ./" } else { " " });
        self.text.push_str(&shell::quote(file));
    }

    fn flag(&mut self, flag: &str, value: &OsStr) {
        self.text.push(' ');
        self.text.push_str(flag);
        self.text.push(' ');
        self.text.push_str(&shell::quote(value));
    }

    /// One of a few.
    fn named(&mut self, flag: &str, value: &Option<impl ValueEnum>) {
        if let Some(value) = value.as_ref().and_then(ValueEnum::to_possible_value) {
            self.flag(flag, OsStr::new(value.get_name()));
        }
    }

    fn text(&mut self, flag: &str, value: &Option<String>) {
        if let Some(value) = value {
            self.flag(flag, OsStr::new(value));
        }
    }

    fn number(&mut self, flag: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.flag(flag, OsStr::new(&value.to_string()));
        }
    }

    fn time(&mut self, flag: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.flag(flag, OsStr::new(&format!("{}ms", value.as_millis())));
        }
    }

    fn path(&mut self, flag: &str, value: &Option<PathBuf>) {
        if let Some(value) = value {
            self.flag(flag, value.as_os_str());
        }
    }

    fn secret(&mut self, flag: &str, variable: &str, value: &Option<String>) {
        if value.is_some() {
            self.text.push_str(&format!(" {flag} \"${variable}\""));
        }
    }
}
