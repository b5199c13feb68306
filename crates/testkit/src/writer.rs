//! Writers of growing sources: they announce what is final in their own order and at their own pace, and not all of them
//! come to their end.

use std::ops::Range;

use vodferry_engine::{ErrorInfo, ErrorKind, FileId, Input, MAX_PART_SIZE, MAX_PARTS};

use crate::checker::{Check, broken};
use crate::rng::Rng;
use crate::world::{Pending, World};

/// The code of a writer that gave up.
pub(crate) const GAVE_UP: &str = "WriterFailed";

impl World {
    /// A writer begins to write the source of a file that was just added, or writes it again for a new process.
    pub(crate) fn write(&mut self, file: FileId, source: usize) {
        let Some(length) = self.sources.get(source).filter(|s| s.grows()).map(|s| s.length())
        else {
            return;
        };
        self.coverage.hit("story", "file that grows");
        let pace = self.rng.pick(&[0, 20, 500, 5_000]);
        let mut at = self.clock.mono_ms();
        let ranges = order(&mut self.rng, length);
        // Some are broken off in the middle.
        let breaks = self.mishap();
        let until =
            if breaks { self.rng.below(ranges.len() as u64 + 1) as usize } else { ranges.len() };
        for range in ranges.into_iter().take(until) {
            at += self.rng.between(0, pace);
            self.at(at, Pending::Announce(Input::Grown { file, range }));
        }
        at += if self.rng.chance(100) { 60_000 } else { self.rng.between(0, pace) };
        let end = match breaks && self.rng.chance(600) {
            true => Input::Broken { file, error: gave_up() },
            // Less than was announced.
            false if breaks => Input::Finished { file, length: 0 },
            false => Input::Finished { file, length },
        };
        self.at(at, Pending::Announce(end));
    }

    /// A writer says something for the first time.
    pub(crate) fn announce(&mut self, input: Input) -> Check {
        let (file, whole) = match &input {
            Input::Finished { file, length } => (*file, self.length_behind(*file) == Some(*length)),
            Input::Broken { file, .. } => (*file, false),
            _ => return self.deliver(input),
        };
        let nothing = self.checker.written(file).is_none_or(|written| written.reach() == 0);
        let input =
            if whole || !nothing { input } else { Input::Broken { file, error: gave_up() } };
        if !whole && let Some(index) = self.index(file) {
            let name = match &input {
                Input::Broken { .. } => "writer gives up",
                _ => "writer takes back what it announced",
            };
            self.coverage.hit("fault", name);
            self.files[index].broken = true;
        }
        self.deliver(input)
    }

    /// Something is said of a file that changes nothing: of a growing source what is known already, of another anything.
    pub(crate) fn say_again(&mut self, file: FileId) -> Check {
        self.drain(usize::MAX)?;
        let before = self.engine.files();
        let written = self.checker.written(file);
        let (reach, length) = match written {
            Some(written) => (written.reach(), written.length()),
            None => (u64::MAX, None),
        };
        let known = written.is_none();
        let input = match self.rng.below(3) {
            0 if known || length.is_some() => Input::Broken { file, error: gave_up() },
            1 if known => Input::Finished { file, length: self.rng.bits() },
            1 if length.is_some() => Input::Finished { file, length: length.unwrap_or(0) },
            _ => {
                let end = self.rng.below(reach);
                let range = match written.filter(|w| !w.covers(&(0..end))) {
                    Some(_) => 0..0,
                    None => 0..end,
                };
                Input::Grown { file, range }
            }
        };
        self.deliver(input.clone())?;
        match self.engine.files() == before {
            true => Ok(()),
            false => broken("8 what is known already changes nothing", format!("{input:?}")),
        }
    }

    fn length_behind(&self, file: FileId) -> Option<u64> {
        let index = self.index(file)?;
        self.sources.get(self.files.get(index)?.plan.source).map(|s| s.length())
    }
}

/// The stretches of a source in the order in which they become final.
fn order(rng: &mut Rng, length: u64) -> Vec<Range<u64>> {
    if length > MAX_PART_SIZE * MAX_PARTS {
        return vec![Range { start: 0, end: length }];
    }
    let mut cuts: Vec<u64> = (0..rng.below(12)).map(|_| rng.below(length + 1)).collect();
    cuts.extend([0, length]);
    cuts.sort_unstable();
    let mut ranges: Vec<Range<u64>> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    match rng.below(4) {
        // As a pipe is read.
        0 => {}
        // As a video is exported: its first bytes come last.
        1 | 2 => ranges.rotate_left(1),
        _ => {
            for at in (1..ranges.len()).rev() {
                ranges.swap(at, rng.below(at as u64 + 1) as usize);
            }
            // Some overlap.
            for range in ranges.iter_mut().filter(|range| range.start > 0) {
                range.start -= rng.below(range.start.min(200_000));
            }
        }
    }
    // Not everything is announced before the end is.
    if rng.chance(200) {
        ranges.pop();
    }
    ranges
}

fn gave_up() -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::Io,
        code: GAVE_UP.to_owned(),
        message: "the writer gave up".to_owned(),
        request_id: String::new(),
    }
}
