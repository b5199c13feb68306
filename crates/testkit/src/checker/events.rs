//! Rules 1 and 2: what the application is told, in which order, and how progress counts.

use vodferry_engine::{ErrorKind, Event, FileId};

use super::giving_up::Doom;
use super::{Attempt, Check, Checker, Standing, broken};
use crate::content::Version;
use crate::coverage::Coverage;
use crate::store::Store;
use crate::writer::GAVE_UP;

impl Checker {
    /// The application is told something.
    pub fn event(
        &mut self,
        event: &Event,
        store: &Store,
        length_of: impl Fn(Version) -> u64,
        coverage: &mut Coverage,
    ) -> Check {
        let Some(file) = event.file() else { return self.ended(event) };
        let Some(watch) = self.files.get_mut(&file) else {
            return broken("1 only listed files", format!("{event:?}"));
        };
        if watch.standing == Standing::Removed {
            return broken("1 nothing after remove", format!("{event:?}"));
        }
        if let (Event::Warning { error, .. }, true) = (event, watch.owes_canceled) {
            coverage.hit("story", "abort skipped without a credential");
            return self.skips_rightly(file, error);
        }
        if let Event::Canceled { .. } = event {
            if let Some(last) = watch.attempt.take().filter(|a| a.acknowledged < a.floor) {
                let what = format!("{event:?}: {} of {}", last.acknowledged, last.floor);
                return broken("2 the last acknowledged figure is told", what);
            }
            return match std::mem::take(&mut watch.owes_canceled) {
                true => Ok(()),
                false => broken("1 one terminal event", format!("{event:?} without a cancel")),
            };
        }
        if watch.attempt.as_ref().is_some_and(|attempt| attempt.closing) {
            return match event {
                Event::Progress { in_flight: 0, acknowledged, .. } => {
                    if let Some(attempt) = watch.attempt.as_mut() {
                        attempt.acknowledged = *acknowledged;
                    }
                    Ok(())
                }
                _ => broken("1 only the last figure after stop or pause", format!("{event:?}")),
            };
        }
        if !self.running {
            return broken("1 nothing after the end of a run", format!("{event:?}"));
        }
        if let Event::Started { .. } = event {
            if watch.attempt.is_some() {
                return broken("1 one Started per attempt", format!("{event:?}"));
            }
            if watch.standing != Standing::Queued {
                return broken("1 Started", format!("{event:?} of a file {:?}", watch.standing));
            }
            watch.attempt = Some(Attempt::default());
            watch.expired_told = false;
            return self.started_rightly(file, event);
        }
        let total = watch.length();
        let grows = watch.written.is_some();
        let Some(attempt) = watch.attempt.as_mut() else {
            return broken("1 an attempt begins with Started", format!("{event:?}"));
        };
        let books = watch.upload.as_ref().and_then(|id| self.uploads.get(id));
        match event {
            Event::PartAcknowledged { part, .. } => {
                let known = books.and_then(|upload| upload.known.get(&part.number));
                let damaged = books.is_some_and(|upload| upload.damaged.contains(&part.number));
                if !damaged
                    && !known
                        .is_some_and(|known| known.etag == part.etag && known.length == part.length)
                {
                    let what = format!("{event:?}, known {known:?}");
                    return broken("1 only parts that the server holds are acknowledged", what);
                }
                attempt.parts.insert(part.number, part.length);
                attempt.floor = attempt.floor.max(attempt.parts.values().sum());
                Ok(())
            }
            Event::Resumed { parts, bytes, .. } => {
                let known = books.map(|upload| &upload.known);
                let most = books.map_or(0, |upload| upload.known.len() + upload.damaged.len());
                if std::mem::replace(&mut attempt.resumed, true) || *parts as usize > most {
                    let what = format!("{event:?}, known are {most}");
                    return broken("1 Resumed once, with what the server holds", what);
                }
                if grows {
                    // They are held, and do not count before they were compared.
                    return Ok(());
                }
                if let Some(known) = known.filter(|known| known.len() == *parts as usize) {
                    attempt.parts = known.iter().map(|(n, p)| (*n, p.length)).collect();
                }
                attempt.floor = attempt.floor.max(*bytes);
                Ok(())
            }
            Event::Progress { acknowledged, in_flight, total: of, .. } => {
                if *of != total || (of.is_none() && !grows) {
                    return broken("2 total", format!("{event:?}, the source has {total:?}"));
                }
                let of = of.unwrap_or(u64::MAX);
                if *acknowledged < attempt.acknowledged {
                    let what = format!("{event:?} after {}", attempt.acknowledged);
                    return broken("2 progress is monotone", what);
                }
                if acknowledged + in_flight > of {
                    return broken("2 never above the total", format!("{event:?}"));
                }
                if *acknowledged > watch.high {
                    let what = format!("{event:?}, known are {} bytes", watch.high);
                    return broken("2 counts acknowledged bytes", what);
                }
                if *acknowledged < attempt.floor {
                    let what = format!("{event:?}, acknowledged were {}", attempt.floor);
                    return broken("2 acknowledged bytes are the floor", what);
                }
                // What is in flight is cut where the file is left: its last figure has none.
                if *in_flight > 0 && acknowledged + in_flight < attempt.sum {
                    let what = format!("{event:?} after {}", attempt.sum);
                    return broken("2 a bar does not jump back", what);
                }
                let next = attempt.told_at.map_or(0, |at| at + self.config.progress_interval_ms);
                let whole = *acknowledged == of && *in_flight == 0;
                if self.now.mono_ms < next && !whole {
                    attempt.early = Some(format!("{event:?} before {next}"));
                }
                attempt.told_at = Some(self.now.mono_ms);
                attempt.sum = attempt.sum.max(acknowledged + in_flight);
                attempt.acknowledged = *acknowledged;
                attempt.told = Some((*acknowledged, of));
                Ok(())
            }
            Event::Retry { .. } if attempt.outage => {
                broken("5 Retry once per outage", format!("{event:?}"))
            }
            Event::RetryResume { .. } if !attempt.outage => {
                broken("5 RetryResume ends an outage", format!("{event:?}"))
            }
            Event::Retry { delay_ms, .. } => {
                attempt.outage = true;
                self.retries_rightly(file, *delay_ms, coverage)
            }
            Event::RetryResume { .. } => {
                attempt.outage = false;
                self.recovered(file)
            }
            Event::Failed { error, .. } => {
                if attempt.acknowledged < attempt.floor {
                    let what = format!("{event:?}: {} of {}", attempt.acknowledged, attempt.floor);
                    return broken("2 the last acknowledged figure is told", what);
                }
                let changed = std::mem::take(&mut watch.owes_changed);
                let by_writer = Checker::is_of_writer(watch, error);
                if error.code == GAVE_UP && !by_writer {
                    return broken("8 only a writer that gave up fails so", format!("{event:?}"));
                }
                if error.kind == ErrorKind::SourceChanged && !changed && !by_writer {
                    return broken("8 only a source that changed fails so", format!("{event:?}"));
                }
                if changed && !by_writer && error.kind != ErrorKind::SourceChanged {
                    return broken("8 a source that changed fails its file", format!("{event:?}"));
                }
                watch.attempt = None;
                watch.appends.clear();
                watch.standing = Standing::Failed;
                watch.paused = false;
                let rightly = self.failed_rightly(file, event);
                self.watch(file, |watch| {
                    watch.doom = Doom::default();
                    watch.holds &= watch.keeps;
                });
                if self.config.halt_on_failure {
                    // The run is over as by a stop; Ended follows where this was the last file.
                    self.halted = true;
                    for watch in self.files.values_mut() {
                        watch.let_go();
                        watch.parked = None;
                    }
                }
                rightly
            }
            Event::Succeeded { target, object, .. } => {
                if watch.owes_changed {
                    return broken(
                        "8 a source that changed is never completed",
                        format!("{event:?}"),
                    );
                }
                let at_total = attempt.told.is_some_and(|(acked, total)| acked == total);
                let outage = attempt.outage;
                let version = watch.loaded.as_ref().map(|l| l.version);
                watch.attempt = None;
                watch.appends.clear();
                watch.standing = Standing::Succeeded;
                if !at_total {
                    return broken("2 progress ends at the total", format!("{event:?}"));
                }
                if outage && object.verified {
                    return broken("1 an outage ends before success", format!("{event:?}"));
                }
                let stored = store.object(&target.key);
                let whole = |v: Version| stored.is_some_and(|o| o.is_whole(v, length_of(v)));
                if !version.is_some_and(whole) || version.map(&length_of) != total {
                    let what = format!("{event:?}: stored is {stored:?}, sent was {version:?}");
                    return broken("8 succeeded means stored whole", what);
                }
                self.claims_rightly(file, event, object)
            }
            Event::TokenExpired { .. } => self.expired_rightly(file, event, coverage),
            _ => Ok(()),
        }
    }

    fn ended(&mut self, event: &Event) -> Check {
        let Event::Ended { last } = event else {
            return broken("1 events", format!("{event:?} of no file"));
        };
        if !self.running {
            return broken("1 Ended once per run", format!("{event:?}"));
        }
        self.running = false;
        let queued = self.files.iter().find(|(_, f)| f.standing == Standing::Queued);
        match (queued, last) {
            (Some((id, _)), _) if !self.halted => {
                broken("1 Ended comes last", format!("{event:?} while file {} is queued", id.0))
            }
            (_, Some(last)) if !self.files.contains_key(last) => {
                broken("1 Ended names a file of the list", format!("{event:?}"))
            }
            _ => {
                self.files.values_mut().for_each(|f| f.attempt = None);
                Ok(())
            }
        }
    }

    /// Started tells what the checkpoint holds.
    fn started_rightly(&self, file: FileId, event: &Event) -> Check {
        let Event::Started { video_id, target, .. } = event else { return Ok(()) };
        let watch = self.files.get(&file);
        let found = watch.and_then(|f| f.loaded.as_ref()?.checkpoint.as_ref());
        let Some(begin) = found.map(|c| &c.begin) else { return Ok(()) };
        // A grant given beforehand may name the place as well.
        let given = watch.and_then(|f| f.grant.as_ref());
        let places = [Some(&begin.target), given.map(|g| &g.target)];
        let videos = [begin.video_id.as_ref(), given.and_then(|g| g.video_id.as_ref())];
        if places.contains(&target.as_ref()) && videos.contains(&video_id.as_ref()) {
            return Ok(());
        }
        broken("8 Started carries the checkpoint's place", format!("{event:?}, found {begin:?}"))
    }
}
