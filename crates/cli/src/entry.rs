//! One file of a run, as far as the command line knows.

use std::path::PathBuf;
use std::time::Instant;

use vodferry::{ErrorInfo, Event, FileId, Target};

use crate::output;

/// One file of the run.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: FileId,
    /// The position on the command line, from 1.
    pub(crate) number: usize,
    pub(crate) path: PathBuf,
    /// The path for people, see [`output::name`].
    pub(crate) name: String,
    /// Bytes; `None` when the file could not be looked at.
    pub(crate) total: Option<u64>,
    /// Bytes that the server holds.
    pub(crate) acknowledged: u64,
    /// The video that its upload was begun for, as a checkpoint says.
    pub(crate) video_id: Option<String>,
    /// When it was begun.
    pub(crate) began: Option<Instant>,
    /// Bytes that need not be sent because the server held them already.
    pub(crate) held: u64,
    pub(crate) outcome: Outcome,
}

/// How far a file came.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Waiting, or under way.
    Open,
    /// In storage.
    Succeeded { target: Target, video_id: Option<String> },
    /// Given up.
    Failed(ErrorInfo),
    /// Skipped.
    Canceled,
}

impl Entry {
    pub(crate) fn new(id: FileId, number: usize, path: PathBuf) -> Entry {
        let name = output::name(&path);
        let total = std::fs::metadata(&path).ok().filter(|m| m.is_file()).map(|m| m.len());
        Entry {
            id,
            number,
            path,
            name,
            total,
            acknowledged: 0,
            video_id: None,
            began: None,
            held: 0,
            outcome: Outcome::Open,
        }
    }

    /// Neither done nor given up.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Open)
    }

    /// What an event changes.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Started { video_id, .. } => {
                self.video_id.clone_from(video_id);
                self.began = Some(Instant::now());
                self.held = 0;
            }
            Event::Resumed { bytes, .. } => self.held = *bytes,
            Event::Progress { acknowledged, total, .. } => {
                self.acknowledged = *acknowledged;
                self.total = total.or(self.total);
            }
            Event::Succeeded { target, video_id, .. } => {
                self.outcome =
                    Outcome::Succeeded { target: target.clone(), video_id: video_id.clone() };
            }
            Event::Failed { error, .. } => self.outcome = Outcome::Failed(error.clone()),
            Event::Canceled { .. } => self.outcome = Outcome::Canceled,
            _ => {}
        }
    }
}
