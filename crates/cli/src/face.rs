//! What a run shows while it lasts. To people, on stderr: bars on a terminal, lines in a log, or nothing. To programs, on stdout: JSON
//! lines, or in the end what arrived. Each failed file is told on stderr whatever was asked for.

use std::io::IsTerminal;

use vodferry::{ErrorInfo, ErrorKind, Event, Target};

use crate::bars::Bars;
use crate::cli::DisplayArgs;
use crate::entry::{Entry, Outcome};
use crate::exit_code::ExitCode;
use crate::flights::Flights;
use crate::voyage::hint;
use crate::{json, output, units};

/// How a run shows itself.
pub(crate) struct Face {
    screen: Screen,
    json: bool,
}

enum Screen {
    Bars(Box<Bars>),
    Lines,
    Quiet,
}

impl Face {
    /// Whether flags and terminal allow bars. They need a terminal at stderr, which JSON lines do not share.
    pub(crate) fn has_bars(display: &DisplayArgs) -> bool {
        let shared = display.json && std::io::stdout().is_terminal();
        std::io::stderr().is_terminal() && !display.quiet && !shared
    }

    /// What the flags and the terminal allow; with `keys` the bars say which there are.
    pub(crate) fn new(
        display: &DisplayArgs,
        entries: &[Entry],
        flights: Flights,
        keys: bool,
    ) -> Face {
        let screen = if Face::has_bars(display) {
            Screen::Bars(Box::new(Bars::new(entries, flights, keys)))
        } else if display.quiet || display.json {
            Screen::Quiet
        } else {
            Screen::Lines
        };
        Face { screen, json: display.json }
    }

    /// Something happened to a file.
    pub(crate) fn tell(&mut self, entry: &Entry, event: &Event) {
        if let Screen::Bars(bars) = &mut self.screen {
            bars.tell(entry, event);
        }
        if self.json
            && let Some(line) = json::line(entry, event)
        {
            output::data(&line);
        }
        match event {
            Event::Failed { error, .. } => self.say(&failure(entry, error)),
            Event::Warning { error, .. } if self.speaks() => {
                self.say(&format!("warning: {}", about(entry, error)));
            }
            _ => {}
        }
        if self.speaks()
            && let Some(line) = self.line(entry, event)
        {
            self.say(&line);
        }
    }

    /// The list is paused, or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        if let Screen::Bars(bars) = &mut self.screen {
            bars.pause(paused);
        }
    }

    /// What the limit is now.
    pub(crate) fn limit(&mut self, limit: Option<String>) {
        if let Screen::Bars(bars) = &mut self.screen {
            bars.limit(limit);
        }
    }

    /// Bytes per second now; 0 where nobody knows.
    pub(crate) fn speed(&self) -> u64 {
        match &self.screen {
            Screen::Bars(bars) => bars.speed(),
            Screen::Lines | Screen::Quiet => 0,
        }
    }

    /// Time passed.
    pub(crate) fn redraw(&mut self) {
        if let Screen::Bars(bars) = &mut self.screen {
            bars.redraw();
        }
    }

    /// The run is over: what arrived goes to stdout, one line per file: path, video id, place, with tabs in between.
    pub(crate) fn end(&mut self, entries: &[Entry], exit: ExitCode) {
        if let Screen::Bars(bars) = &mut self.screen {
            bars.end();
        }
        if self.json {
            return output::data(&json::ended(entries, exit));
        }
        for entry in entries {
            if let Outcome::Succeeded { target: Target { bucket, key, .. }, video_id } =
                &entry.outcome
            {
                let video = output::tame_line(video_id.as_deref().unwrap_or("-"));
                let object = output::tame_line(&format!("{bucket}/{key}"));
                output::data(&format!("{}\t{video}\t{object}", entry.name));
            }
        }
    }

    /// A line for people, above the bars where there are some.
    pub(crate) fn say(&self, text: &str) {
        match &self.screen {
            Screen::Bars(bars) => bars.say(text),
            _ => output::say(text),
        }
    }

    /// A line for people where lines are wanted.
    pub(crate) fn remark(&self, text: &str) {
        if self.speaks() {
            self.say(text);
        }
    }

    fn speaks(&self) -> bool {
        matches!(self.screen, Screen::Bars(_) | Screen::Lines)
    }

    fn line(&self, entry: &Entry, event: &Event) -> Option<String> {
        let name = &entry.name;
        let bars = matches!(self.screen, Screen::Bars(_));
        Some(match event {
            // The bar that appears says it.
            Event::Started { .. } if bars => return None,
            Event::Started { .. } => match entry.total {
                Some(total) => format!("{name}: uploading {}", units::size(total)),
                None => format!("{name}: uploading"),
            },
            Event::Resumed { parts, bytes, .. } => {
                format!(
                    "{name}: goes on, {} in {parts} parts are there already",
                    units::size(*bytes)
                )
            }
            Event::Retry { error, .. } => {
                format!("{name}: {}; trying again", output::tame_line(&error.message))
            }
            Event::RetryResume { .. } => format!("{name}: goes on"),
            Event::Canceled { .. } => format!("{name}: skipped"),
            Event::Succeeded { object, .. } => {
                let total = object.length.or(entry.total).unwrap_or(entry.acknowledged);
                let seconds =
                    entry.began.map_or(0.0, |began| began.elapsed().as_secs_f64()).max(0.001);
                let rate = (total.saturating_sub(entry.held) as f64 / seconds) as u64;
                let verified = if object.verified { "" } else { ", not verified" };
                format!(
                    "{name}: done, {} in {seconds:.1} s ({}/s{verified})",
                    units::size(total),
                    units::size(rate)
                )
            }
            _ => return None,
        })
    }
}

/// The two lines of a failed file.
fn failure(entry: &Entry, error: &ErrorInfo) -> String {
    let mut text = format!("error: {}", about(entry, error));
    if let Some(hint) = hint(error) {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    text
}

/// An error with the file it is about, named once.
fn about(entry: &Entry, error: &ErrorInfo) -> String {
    let text = output::tame_line(&vodferry::Error::from(error.clone()).to_string());
    match names(error.kind, &text, &entry.name) {
        true => text,
        false => format!("{}: {text}", entry.name),
    }
}

/// Whether an error says itself which file it is about: those of the file do. In others the same letters are something else, as a file `1`
/// in the number of a part, or in an address.
fn names(kind: ErrorKind, text: &str, name: &str) -> bool {
    let of_file = matches!(kind, ErrorKind::Io | ErrorKind::SourceChanged | ErrorKind::Busy);
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', ':', ',']);
    let mut found = text.match_indices(name);
    of_file
        && found.any(|(at, _)| {
            let (before, behind) = text.split_at(at);
            (before.is_empty() || before.ends_with(' ')) && ends(&behind[name.len()..])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_file_is_named_whatever_it_is_called() {
        let name = |kind, text: &str, name: &str| names(kind, text, name);
        for file in ["1", "7", "127.0.0.1:1", "to"] {
            assert!(!name(ErrorKind::Network, "no connection to 127.0.0.1:1", file), "{file}");
        }
        assert!(!name(ErrorKind::Io, "cannot read /films/1: no such file", "1"));
        assert!(!name(ErrorKind::Io, "cannot read 1.mp4: no such file", "1"));
        assert!(name(ErrorKind::Io, "cannot read 1: no such file", "1"));
        assert!(name(ErrorKind::SourceChanged, "a b.mp4 changed while it was uploaded", "a b.mp4"));
    }
}
