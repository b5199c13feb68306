//! What a run shows while it lasts: bars on a terminal, lines in a log, JSON for programs, or nothing.
//!
//! Whatever the face, each failed file is told on stderr, and what arrived is told on stdout.

use std::io::IsTerminal;
use std::time::Instant;

use vodferry::{ErrorInfo, Event, Target};

use crate::bars::Bars;
use crate::cli::DisplayArgs;
use crate::exit_code::ExitCode;
use crate::flights::Flights;
use crate::voyage::{Entry, Outcome, hint};
use crate::{json, output, units};

/// How a run shows itself.
pub(crate) struct Face {
    kind: Kind,
    /// When the file under way began; speed is told per file.
    began: Instant,
    /// Bytes that needed not be sent because the server held them already.
    held: u64,
}

enum Kind {
    Bars(Box<Bars>),
    Json,
    Lines,
    Quiet,
}

impl Face {
    /// What the flags and the terminal allow. Bars need a terminal at stderr.
    pub(crate) fn new(display: &DisplayArgs, entries: &[Entry], flights: Flights) -> Face {
        let kind = if display.json {
            Kind::Json
        } else if display.quiet {
            Kind::Quiet
        } else if std::io::stderr().is_terminal() {
            Kind::Bars(Box::new(Bars::new(entries, flights)))
        } else {
            Kind::Lines
        };
        Face { kind, began: Instant::now(), held: 0 }
    }

    /// Something happened to a file.
    pub(crate) fn tell(&mut self, entry: &Entry, event: &Event) {
        if let Event::Started { .. } = event {
            self.began = Instant::now();
            self.held = 0;
        }
        if let Event::Resumed { bytes, .. } = event {
            self.held = *bytes;
        }
        if let Kind::Bars(bars) = &mut self.kind {
            bars.tell(entry, event);
        }
        if let Kind::Json = self.kind
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
        if let Kind::Bars(_) | Kind::Lines = self.kind
            && let Some(line) = self.line(entry, event)
        {
            self.say(&line);
        }
    }

    /// Time passed.
    pub(crate) fn redraw(&mut self) {
        if let Kind::Bars(bars) = &mut self.kind {
            bars.redraw();
        }
    }

    /// The run is over: what arrived goes to stdout, one line per file: path, video id, place, with tabs in between.
    pub(crate) fn end(&mut self, entries: &[Entry], exit: ExitCode) {
        match &mut self.kind {
            Kind::Json => return output::data(&json::ended(entries, exit)),
            Kind::Bars(bars) => bars.end(),
            Kind::Lines | Kind::Quiet => {}
        }
        for entry in entries {
            if let Outcome::Succeeded { target: Target { bucket, key, .. }, video_id } =
                &entry.outcome
            {
                let video = video_id.as_deref().unwrap_or("-");
                output::data(&format!("{}\t{video}\t{bucket}/{key}", entry.name));
            }
        }
    }

    /// A line for people, above the bars where there are some.
    pub(crate) fn say(&self, text: &str) {
        match &self.kind {
            Kind::Bars(bars) => bars.say(text),
            _ => output::say(text),
        }
    }

    fn speaks(&self) -> bool {
        matches!(self.kind, Kind::Bars(_) | Kind::Lines)
    }

    fn line(&self, entry: &Entry, event: &Event) -> Option<String> {
        let name = &entry.name;
        let bars = matches!(self.kind, Kind::Bars(_));
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
            Event::Retry { error, .. } => format!("{name}: {}; trying again", error.message),
            Event::RetryResume { .. } => format!("{name}: goes on"),
            Event::Succeeded { object, .. } => {
                let total = object.length.or(entry.total).unwrap_or(entry.acknowledged);
                let seconds = self.began.elapsed().as_secs_f64().max(0.001);
                let rate = (total.saturating_sub(self.held) as f64 / seconds) as u64;
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
    let text = vodferry::Error::from(error.clone()).to_string();
    if text.contains(&entry.name) { text } else { format!("{}: {text}", entry.name) }
}
