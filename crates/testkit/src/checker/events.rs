//! Rules 1 and 2: what the application is told, in which order, and how progress counts.

use vodferry_engine::{Event, FileId};

use super::{Attempt, Check, Checker, FileWatch, Standing, broken};
use crate::content::Version;
use crate::store::Store;

impl Checker {
    /// The application is told something.
    pub fn event(
        &mut self,
        event: &Event,
        store: &Store,
        length_of: impl Fn(Version) -> u64,
    ) -> Check {
        let Some(file) = event.file() else { return self.ended(event) };
        let Some(watch) = self.files.get_mut(&file) else {
            return broken("1 only listed files", format!("{event:?}"));
        };
        if watch.standing == Standing::Removed {
            return broken("1 nothing after remove", format!("{event:?}"));
        }
        if let Event::Canceled { .. } = event {
            watch.attempt = None;
            return match std::mem::take(&mut watch.owes_canceled) {
                true => Ok(()),
                false => broken("1 one terminal event", format!("{event:?} without a cancel")),
            };
        }
        if watch.attempt.as_ref().is_some_and(|attempt| attempt.closing) {
            return match event {
                Event::Progress { in_flight: 0, .. } => Ok(()),
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
        let Some(attempt) = watch.attempt.as_mut() else {
            return broken("1 an attempt begins with Started", format!("{event:?}"));
        };
        let total = watch.loaded.as_ref().map(|l| l.length);
        match event {
            Event::Progress { acknowledged, in_flight, total: of, .. } => {
                if Some(*of) != total {
                    return broken("2 total", format!("{event:?}, the source has {total:?}"));
                }
                if *acknowledged < attempt.acknowledged {
                    let what = format!("{event:?} after {}", attempt.acknowledged);
                    return broken("2 progress is monotone", what);
                }
                if acknowledged + in_flight > *of {
                    return broken("2 never above the total", format!("{event:?}"));
                }
                if *acknowledged > watch.high {
                    let what = format!("{event:?}, known are {} bytes", watch.high);
                    return broken("2 counts acknowledged bytes", what);
                }
                attempt.acknowledged = *acknowledged;
                attempt.told = Some((*acknowledged, *of));
                Ok(())
            }
            Event::Retry { .. } if attempt.outage => {
                broken("5 Retry once per outage", format!("{event:?}"))
            }
            Event::RetryResume { .. } if !attempt.outage => {
                broken("5 RetryResume ends an outage", format!("{event:?}"))
            }
            Event::Retry { .. } | Event::RetryResume { .. } => {
                attempt.outage = !attempt.outage;
                Ok(())
            }
            Event::Failed { .. } => {
                watch.attempt = None;
                watch.appends.clear();
                watch.standing = Standing::Failed;
                watch.paused = false;
                let rightly = self.failed_rightly(file, event);
                if self.config.halt_on_failure {
                    // The run is over as by a stop; Ended follows where this was the last file.
                    self.halted = true;
                    self.files.values_mut().for_each(FileWatch::let_go);
                }
                rightly
            }
            Event::Succeeded { target, object, .. } => {
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
                let stored = store.object(&target.key).and_then(|o| o.whole(length_of));
                if stored.is_none() || stored != version {
                    let what = format!("{event:?}: stored is {stored:?}, sent was {version:?}");
                    return broken("8 succeeded means stored whole", what);
                }
                Ok(())
            }
            Event::TokenExpired { .. } => self.expired_rightly(file, event),
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
