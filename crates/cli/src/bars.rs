//! Bars on a terminal: one per file under way, and a total.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use indicatif::{
    HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use vodferry::{Event, FileId};

use crate::entry::Entry;
use crate::flights::Flights;
use crate::{keys, units};

const FILE: &str = "{prefix:20!} {wide_bar} {bytes:>10}/{total_bytes:<10} {msg}";
/// Fits into 80 columns with a handful of parts, and into 100 with retries and a limit.
const TOTAL: &str = "{prefix} {percent}% {bytes}/{total_bytes}  {pace}{msg}";
/// Of a list that is paused, neither speed nor time left mean anything.
const PAUSED: &str = "{prefix} {percent}% {bytes}/{total_bytes}  {msg}";

/// The bars of one run.
pub(crate) struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    files: HashMap<FileId, ProgressBar>,
    /// Bytes handed to the network and not acknowledged, by file.
    in_flight: HashMap<FileId, u64>,
    /// Bytes of files that the total counts on.
    expected: HashMap<FileId, u64>,
    /// Bytes of files that are in storage.
    over: u64,
    retries: u32,
    flights: Flights,
    /// Which keys there are, where there are some.
    hint: Option<ProgressBar>,
    /// What was asked not to be gone beyond.
    limit: String,
}

impl Bars {
    pub(crate) fn new(entries: &[Entry], flights: Flights, keys: bool) -> Bars {
        Bars::on(ProgressDrawTarget::stderr_with_hz(10), entries, flights, keys)
    }

    fn on(screen: ProgressDrawTarget, entries: &[Entry], flights: Flights, keys: bool) -> Bars {
        let multi = MultiProgress::with_draw_target(screen);
        let expected: HashMap<_, _> =
            entries.iter().filter_map(|entry| Some((entry.id, entry.total?))).collect();
        let bytes = expected.values().copied().fold(0, u64::saturating_add);
        let total = multi.add(ProgressBar::new(bytes).with_style(style(TOTAL)));
        total.set_prefix("total");
        let hint = keys.then(|| {
            let hint = multi.add(ProgressBar::new(0).with_style(style("{msg}")));
            hint.set_message(keys::HINT);
            hint
        });
        let (files, in_flight, limit) = (HashMap::new(), HashMap::new(), String::new());
        let (over, retries) = (0, 0);
        Bars { multi, total, files, in_flight, expected, over, retries, flights, hint, limit }
    }

    /// Something happened to a file.
    pub(crate) fn tell(&mut self, entry: &Entry, event: &Event) {
        match event {
            Event::Started { .. } => {
                let bar = ProgressBar::new(entry.total.unwrap_or(0)).with_style(style(FILE));
                let bar = self.multi.insert_before(&self.total, bar);
                bar.set_prefix(entry.name.clone());
                bar.enable_steady_tick(Duration::from_millis(500));
                self.files.insert(entry.id, bar);
            }
            Event::Resumed { bytes, .. } => {
                if let Some(bar) = self.files.get(&entry.id) {
                    bar.set_position(*bytes);
                }
                self.sum_up();
                // What was there already must not count as speed.
                self.total.reset_eta();
            }
            Event::Progress { acknowledged, in_flight, total, .. } => {
                self.in_flight.insert(entry.id, *in_flight);
                if let Some(bar) = self.files.get(&entry.id) {
                    let moved = acknowledged.saturating_add(*in_flight);
                    if let Some(total) = total {
                        bar.set_length(*total);
                    }
                    bar.set_position(moved.min(total.unwrap_or(u64::MAX)));
                }
                self.sum_up();
            }
            Event::Retry { .. } => {
                self.retries += 1;
                self.note(entry, "waiting for the network");
            }
            Event::RetryResume { .. } => self.note(entry, ""),
            Event::Succeeded { .. } | Event::Failed { .. } | Event::Canceled { .. } => {
                self.in_flight.remove(&entry.id);
                if let Some(bar) = self.files.remove(&entry.id) {
                    self.multi.remove(&bar);
                }
                match (event, self.expected.remove(&entry.id)) {
                    (Event::Succeeded { .. }, _) => {
                        self.over = self.over.saturating_add(entry.total.unwrap_or(0));
                        self.sum_up();
                    }
                    (_, expected) => self.give_up(expected.unwrap_or(0)),
                }
            }
            _ => {}
        }
    }

    /// Shows how many parts are under way now.
    pub(crate) fn redraw(&mut self) {
        let parts = self.flights.count();
        let retries = match self.retries {
            0 => String::new(),
            1 => ", 1 retry".to_owned(),
            many => format!(", {many} retries"),
        };
        let parts_word = if parts == 1 { "part" } else { "parts" };
        let bytes = match self.in_flight.values().copied().fold(0, u64::saturating_add) {
            bytes if bytes == 0 || parts == 0 => String::new(),
            bytes => format!(" ({})", units::size(bytes)),
        };
        let limit = &self.limit;
        self.total.set_message(format!("{parts} {parts_word}{bytes} in flight{retries}{limit}"));
    }

    /// The list is paused, or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.total.set_prefix(if paused { "paused" } else { "total" });
        if let Some(hint) = &self.hint {
            hint.set_message(if paused { keys::PAUSED_HINT } else { keys::HINT });
        }
        self.total.set_style(style(if paused { PAUSED } else { TOTAL }));
        if !paused {
            // The pause must not count as a slow network.
            self.total.reset_eta();
        }
        self.redraw();
    }

    /// Shows the limit, where there is one.
    pub(crate) fn limit(&mut self, limit: Option<String>) {
        self.limit = limit.map_or_else(String::new, |limit| format!(", at most {limit}"));
        self.redraw();
    }

    /// Bytes per second now.
    pub(crate) fn speed(&self) -> u64 {
        self.total.per_sec() as u64
    }

    /// Lines above the bars. A terminal that has gone is no reason to stop (`suspend` would panic).
    pub(crate) fn say(&self, text: &str) {
        let _ = self.multi.println(crate::output::tame_lines(text));
    }

    /// Takes the bars away.
    pub(crate) fn end(&mut self) {
        for (_, bar) in self.files.drain() {
            bar.finish_and_clear();
        }
        if let Some(hint) = &self.hint {
            hint.finish_and_clear();
        }
        self.total.finish_and_clear();
    }

    fn note(&self, entry: &Entry, text: &'static str) {
        if let Some(bar) = self.files.get(&entry.id) {
            bar.set_message(text);
        }
    }

    /// Bytes that will not come are no part of the whole, and no speed.
    fn give_up(&self, bytes: u64) {
        self.total.set_length(self.total.length().unwrap_or(0).saturating_sub(bytes));
        self.sum_up();
        self.total.reset_eta();
    }

    fn sum_up(&self) {
        let under_way: u64 = self.files.values().map(ProgressBar::position).sum();
        self.total.set_position(self.over.saturating_add(under_way));
    }
}

/// The style of a bar; `{pace}` in it is the speed and the time that is left. The templates are ours and tested; the default style is
/// what a mistake in one would look like.
pub(crate) fn style(template: &str) -> ProgressStyle {
    let pace = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let left = state.len().unwrap_or(0).saturating_sub(state.pos());
        let _ = out.write_str(&pace(state.per_sec(), left));
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("pace", pace)
        .progress_chars("=> ")
}

/// Speed and time left, each only where something is known.
fn pace(per_second: f64, left: u64) -> String {
    // Less than a byte: nothing was measured yet, or nothing moves.
    if !(per_second >= 1.0 && per_second.is_finite()) {
        return String::new();
    }
    let speed = format!("{}/s  ", units::size(per_second as u64));
    if left == 0 {
        return speed;
    }
    let seconds = (left as f64 / per_second).ceil();
    format!("{speed}ETA {:#}  ", HumanDuration(Duration::from_secs_f64(seconds.min(360_000_000.0))))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;
    use vodferry::{
        Body, BoxFuture, ErrorInfo, ErrorKind, Http, Request, Response, TransportError,
    };

    use super::*;

    /// A terminal whose window was closed.
    #[derive(Debug)]
    struct Gone;

    fn gone<T>() -> io::Result<T> {
        Err(io::Error::other("gone"))
    }

    impl TermLike for Gone {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            gone()
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            gone()
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            gone()
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            gone()
        }
        fn write_line(&self, _: &str) -> io::Result<()> {
            gone()
        }
        fn write_str(&self, _: &str) -> io::Result<()> {
            gone()
        }
        fn clear_line(&self) -> io::Result<()> {
            gone()
        }
        fn flush(&self) -> io::Result<()> {
            gone()
        }
    }

    struct Nobody;

    impl Http for Nobody {
        fn send(
            &self,
            _: Request,
            _: Body,
        ) -> BoxFuture<'static, Result<Response, TransportError>> {
            Box::pin(std::future::pending())
        }
    }

    fn uploader() -> vodferry::Uploader {
        let builder = vodferry::Uploader::builder()
            .authorizer(vodferry::AppServer::new("http://127.0.0.1:1").unwrap());
        builder.http(Arc::new(Nobody)).build().unwrap()
    }

    #[tokio::test]
    async fn a_terminal_that_has_gone_stops_nothing() {
        let uploader = uploader();
        let id = uploader.add("a.mp4").unwrap();
        let entry = Entry::new(id, 1, "a.mp4".into());
        let entries = [entry];
        let screen = ProgressDrawTarget::term_like(Box::new(Gone));
        let mut bars = Bars::on(screen, &entries, Flights::around(Arc::new(Nobody)), true);
        let [entry] = &entries;
        let error = ErrorInfo {
            kind: ErrorKind::Network,
            code: "Lost".into(),
            message: "lost".into(),
            request_id: String::new(),
        };
        for event in [
            Event::Started { file: id, video_id: None, target: None },
            Event::Progress { file: id, acknowledged: 1, in_flight: 1, total: Some(3) },
            Event::Retry { file: id, error: error.clone(), delay_ms: 1 },
            Event::RetryResume { file: id },
            Event::Failed { file: id, error },
        ] {
            bars.tell(entry, &event);
            bars.say("a line\nand another");
            bars.pause(true);
            bars.limit(Some("1 B/s".into()));
            bars.redraw();
        }
        bars.end();
    }

    #[tokio::test]
    async fn what_is_skipped_is_neither_done_nor_to_come() {
        let uploader = uploader();
        let entries = [("a.mp4", 1000), ("b.mp4", 3000)].map(|(name, bytes)| {
            let id = uploader.add(name).unwrap();
            Entry { total: Some(bytes), ..Entry::new(id, 1, name.into()) }
        });
        let (screen, flights) = (ProgressDrawTarget::hidden(), Flights::around(Arc::new(Nobody)));
        let mut bars = Bars::on(screen, &entries, flights, false);
        let [first, second] = &entries;
        let file = second.id;
        bars.tell(second, &Event::Started { file, video_id: None, target: None });
        let (acknowledged, total) = (700, Some(3000));
        bars.tell(second, &Event::Progress { file, acknowledged, in_flight: 0, total });
        assert_eq!((bars.total.position(), bars.total.length()), (700, Some(4000)));
        bars.tell(second, &Event::Canceled { file });
        assert_eq!((bars.total.position(), bars.total.length()), (0, Some(1000)));
        let target = vodferry::Target {
            endpoint: "e".to_owned(),
            bucket: "b".to_owned(),
            key: "k".to_owned(),
        };
        let (file, object) = (first.id, vodferry::ObjectInfo::default());
        bars.tell(first, &Event::Succeeded { file, target, video_id: None, object });
        assert_eq!((bars.total.position(), bars.total.length()), (1000, Some(1000)));
    }

    #[test]
    fn nothing_is_told_of_a_speed_that_is_not_known() {
        for unknown in [0.0, 0.4, f64::NAN, f64::INFINITY] {
            assert_eq!(pace(unknown, 5_000_000), "");
        }
        assert_eq!(pace(1_048_576.0, 10 << 20), "1.0 MiB/s  ETA 10s  ");
        assert_eq!(pace(1_048_576.0, 0), "1.0 MiB/s  ");
        assert!(pace(1.0, u64::MAX).contains("ETA"));
    }

    #[test]
    fn the_templates_are_understood() {
        assert!(ProgressStyle::with_template(FILE).is_ok());
        assert!(ProgressStyle::with_template(TOTAL).is_ok());
        assert!(ProgressStyle::with_template(PAUSED).is_ok());
    }
}
