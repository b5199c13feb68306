//! Where bytes come from: a file, memory, a pipe, a file that is still being written. One type for all, so that whoever reads parts
//! need not know.
//!
//! A source of known length has an identity made of its content; of one that grows only its name is known beforehand, and the engine
//! compares its content part by part.

mod content;
mod file;
mod growing;
mod intake;
mod stream;

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use vodferry_engine::{
    Begin, Fault, FaultKind, FileId, Input, PartInfo, Source as Identity, Target,
};

pub use content::Content;
use content::Held;
use file::RegularFile;
use growing::Growing;
pub use growing::Growth;
pub(crate) use stream::Stream;

/// Sources up to this length are sampled whole.
const WHOLE: u64 = 1 << 20;
/// Larger ones by so many windows…
const WINDOWS: u64 = 16;
/// …of so many bytes, the first and the last included.
const WINDOW: u64 = 16 << 10;

/// What the application named, before anything was looked at.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A regular file.
    Path(PathBuf),
    /// Bytes that the application hands out wherever it is asked to.
    Content(Arc<Held>),
    /// A file that is being written.
    Growing(Arc<Growing>),
    /// Bytes that come once, in order.
    Stream(Arc<Stream>),
}

/// A source that was looked at.
#[derive(Debug)]
pub(crate) enum Source {
    File(RegularFile),
    Content(Arc<Held>, Identity),
    Growing(Arc<Growing>),
    Stream(Arc<Stream>),
}

/// Tells the engine how a source grows, until it has ended.
pub(crate) type Feed = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Origin {
    pub(crate) fn content(name: &str, content: impl Content) -> Origin {
        Origin::Content(Arc::new(Held::new(name, content)))
    }

    /// One that another hand announces, and that hand.
    pub(crate) fn growing(path: &Path) -> (Origin, Growth) {
        let (growing, growth) = Growing::new(path);
        (Origin::Growing(Arc::new(growing)), growth)
    }

    /// Where it is on this machine, as far as it is.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Origin::Path(path) => Some(path),
            Origin::Growing(growing) => Some(growing.path()),
            Origin::Content(_) | Origin::Stream(_) => None,
        }
    }

    /// Takes it for one entry of a list. False: it can be read only once, and is another entry's.
    pub(crate) fn claim(&self) -> bool {
        match self {
            Origin::Path(_) | Origin::Content(_) => true,
            Origin::Growing(growing) => growing.claim(),
            Origin::Stream(stream) => stream.claim(),
        }
    }

    /// It was not added after all.
    pub(crate) fn let_go(&self) {
        match self {
            Origin::Path(_) | Origin::Content(_) => {}
            Origin::Growing(growing) => growing.let_go(),
            Origin::Stream(stream) => stream.let_go(),
        }
    }
}

impl Source {
    /// Looks at it, and samples what can be sampled. Blocks.
    pub(crate) fn open(origin: &Origin) -> Result<Source, Fault> {
        Ok(match origin {
            Origin::Path(path) => Source::File(RegularFile::open(path)?),
            Origin::Content(held) => Source::Content(held.clone(), held.identity()?),
            Origin::Growing(growing) => {
                growing.look()?;
                Source::Growing(growing.clone())
            }
            Origin::Stream(stream) => Source::Stream(stream.clone()),
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        match self {
            Source::File(file) => file.identity(),
            Source::Content(_, identity) => identity,
            Source::Growing(growing) => growing.identity(),
            Source::Stream(stream) => stream.identity(),
        }
    }

    /// Whether it is what it was when it was opened. Blocks, shortly.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self {
            Source::File(file) => file.check(),
            Source::Content(held, identity) => held.check(identity),
            Source::Growing(growing) => growing.check(),
            Source::Stream(_) => Ok(()),
        }
    }

    /// Fills `buffer` from `offset`. Blocks.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        match self {
            Source::File(file) => file.read(buffer, offset),
            Source::Content(held, _) => held.read(buffer, offset),
            Source::Growing(growing) => growing.read(buffer, offset),
            Source::Stream(stream) => stream.read(buffer, offset),
        }
    }

    /// Fills `buffer` from `offset` if that waits for no disk and no network; true: it did. Else what is in it is undefined.
    pub(crate) fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> bool {
        match self {
            Source::File(file) => file.read_at_hand(buffer, offset),
            _ => false,
        }
    }

    /// The fault for a source that is not what it was.
    pub(crate) fn changed(&self) -> Fault {
        match self {
            Source::File(file) => file.changed(),
            Source::Content(held, _) => held.changed(),
            Source::Growing(growing) => growing.changed(),
            Source::Stream(stream) => stream.changed(),
        }
    }

    /// Whether its bytes are in memory already, within a budget of their own.
    pub(crate) fn is_buffered(&self) -> bool {
        matches!(self, Source::Stream(_))
    }

    /// It goes on with an earlier upload: a stream makes room for parts as long as those.
    pub(crate) fn resumes(&self, begin: &Begin) {
        if let Source::Stream(stream) = self {
            stream.resumes(begin);
        }
    }

    /// What tells the engine how it grows, the first time it is asked for; nothing where the length is known. No more than
    /// `most` bytes of a stream are in memory, or one part of the upload that it [`resumes`](Source::resumes), where that is more.
    pub(crate) fn feed(
        &self,
        file: FileId,
        most: u64,
        tell: impl Fn(Input) -> bool + Send + Sync + 'static,
    ) -> Option<Feed> {
        match self {
            Source::File(_) | Source::Content(..) => None,
            Source::Growing(growing) => growing.clone().feed(file, tell),
            Source::Stream(stream) => stream.clone().feed(file, most, tell),
        }
    }

    /// The part of a stream that was stored, and whose bytes were let go of.
    pub(crate) fn stored(&self, begin: u64) -> Option<PartInfo> {
        match self {
            Source::Stream(stream) => stream.stored(begin),
            _ => None,
        }
    }

    /// A part is about to be sent: where it begins is known from now on.
    pub(crate) fn sending(&self, number: u32, begin: u64) {
        if let Source::Stream(stream) = self {
            stream.sending(number, begin);
        }
    }

    /// A part is stored: a stream lets go of its bytes.
    pub(crate) fn release(&self, part: &PartInfo) {
        if let Source::Stream(stream) = self {
            stream.release(part);
        }
    }
}

/// The name of a source's checkpoint: 64 hex digits. `fixed` is the place where the caller fixed it: one file on its way to two
/// places has two checkpoints.
pub(crate) fn checkpoint_name(source: &Identity, fixed: Option<&Target>) -> String {
    let mut hasher = blake3::Hasher::new();
    // No file has this length.
    hasher.update(&source.length.unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(&source.modified_ms.to_le_bytes());
    hasher.update(source.fingerprint.as_bytes());
    if let Some(target) = fixed {
        for text in [&target.endpoint, &target.bucket, &target.key] {
            hasher.update(b"\0");
            hasher.update(text.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Hex digest of sampled content.
fn sample(length: u64, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let (count, step, size) = if length <= WHOLE {
        (length.div_ceil(WINDOW), WINDOW, WINDOW)
    } else {
        (WINDOWS, (length - WINDOW) / (WINDOWS - 1), WINDOW)
    };
    let mut window = vec![0; WINDOW as usize];
    for at in 0..count {
        let begin = if at + 1 == count && length > WHOLE { length - size } else { at * step };
        let window = &mut window[..size.min(length - begin) as usize];
        read(begin, window)?;
        hasher.update(window);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The fault for a source that is not what it was.
fn changed(name: &dyn Display) -> Fault {
    let message = format!("{name} changed while it was uploaded");
    fault(FaultKind::SourceChanged, "SourceChanged", message)
}

/// A fault that no server had a part in.
pub(crate) fn fault(kind: FaultKind, code: &str, message: impl Into<String>) -> Fault {
    Fault {
        kind,
        code: code.to_owned(),
        message: message.into(),
        request_id: String::new(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_fixed_by_the_caller_has_its_own_checkpoint() {
        let source = Identity { length: Some(1), modified_ms: 2, fingerprint: "f".into() };
        let target =
            |key: &str| Target { endpoint: "http://h".into(), bucket: "b".into(), key: key.into() };
        let names = [
            checkpoint_name(&source, None),
            checkpoint_name(&source, Some(&target("a"))),
            checkpoint_name(&source, Some(&target("b"))),
        ];
        assert!(names.iter().all(|name| name.len() == 64));
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_eq!(names[2], checkpoint_name(&source, Some(&target("b"))));
    }
}
