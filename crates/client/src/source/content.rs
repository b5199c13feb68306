//! Bytes that the application has elsewhere than in a file: memory, a database, a document of the system.

use std::fmt;
use std::io;

use bytes::Bytes;
use vodferry_engine::{Fault, Source as Identity};

use super::{changed, sample};
use crate::Error;

/// Bytes of known length that can be read anywhere, any number of times.
///
/// A source is recognised by its length and samples of its content, so that an upload resumes with whatever holds the same bytes.
/// Byte strings are one; see [`File::bytes`](crate::File::bytes).
///
/// ```
/// use vodferry::{Content, File};
///
/// struct Zeros(u64);
///
/// impl Content for Zeros {
///     fn length(&self) -> u64 {
///         self.0
///     }
///     fn read_at(&self, _offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
///         buffer.fill(0);
///         Ok(())
///     }
/// }
///
/// let file = File::content("silence.pcm", Zeros(1 << 30));
/// ```
pub trait Content: Send + Sync + 'static {
    /// Bytes. Must stay the same; a content whose length changes fails with `SourceChanged`.
    fn length(&self) -> u64;

    /// Fills `buffer` from `offset`; asked only for bytes below [`length`](Content::length). May block: it runs on a thread for
    /// that.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from reading; the file fails with kind `Io` after the error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Whether it still is what it was at first. Asked around each part and before the object is made; false fails the file with
    /// `SourceChanged`. Default: true.
    fn is_unchanged(&self) -> bool {
        true
    }
}

impl Content for Bytes {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let begin = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = self.get(begin..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A content and its name.
pub(crate) struct Held {
    name: String,
    content: Box<dyn Content>,
}

impl Held {
    pub(super) fn new(name: &str, content: impl Content) -> Held {
        Held { name: name.to_owned(), content: Box::new(content) }
    }

    /// Samples it. Blocks.
    pub(super) fn identity(&self) -> Result<Identity, Fault> {
        let length = self.content.length();
        let fingerprint = sample(length, |at, window| self.content.read_at(at, window))
            .map_err(|error| self.unreadable(error))?;
        Ok(Identity { length: Some(length), modified_ms: 0, fingerprint })
    }

    pub(super) fn check(&self, identity: &Identity) -> Result<(), Fault> {
        let same = Some(self.content.length()) == identity.length && self.content.is_unchanged();
        if same { Ok(()) } else { Err(self.changed()) }
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        self.content.read_at(offset, buffer).map_err(|error| self.unreadable(error))
    }

    pub(super) fn changed(&self) -> Fault {
        changed(&self.name)
    }

    fn unreadable(&self, error: io::Error) -> Fault {
        Error::io(format_args!("cannot read {}", self.name), error).into_fault()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vodferry_engine::FaultKind;

    #[test]
    fn the_same_bytes_are_the_same_source_whatever_their_name() {
        let bytes = Bytes::from(vec![7; 3_000_000]);
        let [a, b] = ["a", "b"].map(|name| Held::new(name, bytes.clone()).identity().unwrap());
        assert_eq!(a, b);
        let other = Held::new("a", Bytes::from(vec![8; 3_000_000])).identity().unwrap();
        assert_ne!(a.fingerprint, other.fingerprint);
    }

    #[test]
    fn what_is_not_there_is_an_error_and_no_panic() {
        let held = Held::new("a", Bytes::from_static(b"12345"));
        let mut buffer = [0; 3];
        held.read(&mut buffer, 2).unwrap();
        assert_eq!(&buffer, b"345");
        for beyond in [3, 5, 6, u64::MAX] {
            assert!(held.read(&mut buffer, beyond).is_err());
        }
    }

    #[test]
    fn a_content_that_says_so_has_changed() {
        struct Changed;
        impl Content for Changed {
            fn length(&self) -> u64 {
                3
            }
            fn read_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
                buffer.fill(1);
                Ok(())
            }
            fn is_unchanged(&self) -> bool {
                false
            }
        }
        let held = Held::new("a", Changed);
        let identity = held.identity().unwrap();
        let fault = held.check(&identity).unwrap_err();
        assert_eq!(fault.kind, FaultKind::SourceChanged);
    }
}
