//! A model of the checkpoint store: append-only journals found by source identity, with tails that are not synced yet.

use std::collections::BTreeMap;

use vodferry_engine::{Checkpoint, FileId, PartInfo, Record, Source};

use crate::rng::Rng;

/// One journal.
#[derive(Clone, Debug, Default)]
struct Journal {
    records: Vec<Record>,
    /// So many of `records` survive a power loss.
    synced: usize,
    holder: Option<FileId>,
    /// Its holder was told that its upload is over, and could not write that down.
    over: bool,
}

/// All journals of one machine.
#[derive(Clone, Debug, Default)]
pub struct Journals {
    by_source: BTreeMap<String, Journal>,
    /// What each file has open; `None` when another file holds the journal of its source.
    open: BTreeMap<FileId, Option<String>>,
}

impl Journals {
    /// Opens the journal of `source` for `file` and reads it; nothing is read (or kept) while another file holds it.
    pub fn load(&mut self, file: FileId, source: &Source) -> Option<Checkpoint> {
        self.release(file);
        let name = name(source);
        let journal = self.by_source.entry(name.clone()).or_default();
        if journal.holder.is_some() {
            self.open.insert(file, None);
            return None;
        }
        journal.holder = Some(file);
        self.open.insert(file, Some(name));
        read(&journal.records)
    }

    /// What one of the other journals holds, if any holds something: a file copied to this one's name, or two contents with one name.
    pub fn stray(&self, source: &Source, rng: &mut Rng) -> Option<Checkpoint> {
        let own = name(source);
        let others = self.by_source.iter().filter(|(name, _)| **name != own);
        let found: Vec<Checkpoint> = others.filter_map(|(_, j)| read(&j.records)).collect();
        let at = rng.below(found.len().max(1) as u64);
        found.into_iter().nth(at as usize)
    }

    /// Appends a record. Errs when the file has no journal open.
    pub fn append(
        &mut self,
        file: FileId,
        record: &Record,
        sync: bool,
    ) -> Result<(), &'static str> {
        let name = self.open.get(&file).ok_or("append to a checkpoint that is not open")?;
        if let Some(journal) = name.as_ref().and_then(|name| self.by_source.get_mut(name)) {
            journal.records.push(record.clone());
            journal.over = false;
            if sync {
                journal.synced = journal.records.len();
            }
        }
        Ok(())
    }

    /// The upload is over, and there is no room to say so: what is deleted needs none.
    pub fn end_unwritten(&mut self, file: FileId) {
        let name = self.open.get(&file).and_then(Option::as_ref);
        if let Some(journal) = name.and_then(|name| self.by_source.get_mut(name)) {
            journal.over = true;
        }
    }

    /// Lets go of the file's journal; deletes it when its upload is over. Tells what could be resumed from what stays.
    pub fn close(&mut self, file: FileId) -> Option<Checkpoint> {
        let mut stays = None;
        if let Some(Some(name)) = self.open.get(&file) {
            let name = name.clone();
            let over = |j: &Journal| j.over || matches!(j.records.last(), Some(Record::End));
            if self.by_source.get(&name).is_some_and(over) {
                self.by_source.remove(&name);
            }
            stays = self.by_source.get(&name).and_then(|journal| read(&journal.records));
        }
        self.release(file);
        stays
    }

    /// What a power loss would leave of the journal that `file` has open; the outer `None` when it has none.
    pub fn synced(&self, file: FileId) -> Option<Option<Checkpoint>> {
        let journal = self.by_source.get(self.open.get(&file)?.as_ref()?)?;
        Some(read(journal.records.get(..journal.synced).unwrap_or_default()))
    }

    /// Whether another file holds the journal of this file's source.
    pub fn is_shut_out(&self, file: FileId) -> bool {
        matches!(self.open.get(&file), Some(None))
    }

    /// The process dies: the locks fall, all that was written stays.
    pub fn crash(&mut self) {
        self.open.clear();
        for journal in self.by_source.values_mut() {
            (journal.holder, journal.over) = (None, false);
        }
    }

    /// The machine dies: of what was not synced only the beginning stays, if anything.
    pub fn power_loss(&mut self, rng: &mut Rng) {
        for journal in self.by_source.values_mut() {
            let tail = (journal.records.len() - journal.synced) as u64;
            let kept = if rng.chance(500) { 0 } else { rng.between(0, tail) };
            journal.records.truncate(journal.synced + kept as usize);
            journal.synced = journal.records.len();
        }
        self.crash();
    }

    fn release(&mut self, file: FileId) {
        if let Some(Some(name)) = self.open.remove(&file)
            && let Some(journal) = self.by_source.get_mut(&name)
        {
            journal.holder = None;
        }
    }
}

/// Under which the journal of this content is found.
fn name(source: &Source) -> String {
    format!("{:?}-{}-{}", source.length, source.modified_ms, source.fingerprint)
}

/// Reads a journal as the real one is read: the last Begin counts, the last record of a part counts.
fn read(records: &[Record]) -> Option<Checkpoint> {
    let mut found: Option<Checkpoint> = None;
    for record in records {
        match (record, found.as_mut()) {
            (Record::Begin(begin), _) => {
                let (begin, parts) = (begin.clone(), Vec::new());
                found = Some(Checkpoint { begin, parts, length: None });
            }
            (Record::End, _) => found = None,
            (Record::Length(length), Some(checkpoint)) => checkpoint.length = Some(*length),
            (Record::Part(part), Some(checkpoint)) => insert(&mut checkpoint.parts, part),
            (Record::Length(_) | Record::Part(_), None) => {}
        }
    }
    found
}

fn insert(parts: &mut Vec<PartInfo>, part: &PartInfo) {
    match parts.binary_search_by_key(&part.number, |p| p.number) {
        Ok(at) => parts[at] = part.clone(),
        Err(at) => parts.insert(at, part.clone()),
    }
}
