//! Other sources than files: memory, files that are still being written.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use vodferry::{Content, Error, ErrorKind, Event, File, FileState, FileStatus, Options, Uploader};

use crate::harbour::Harbour;

pub(crate) const PART: usize = 102_400;

pub(crate) fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251 + i / 65_521 + seed) as u8).collect()
}

/// Uploads one file and looks what arrived.
pub(crate) async fn arrives(
    harbour: &Harbour,
    uploader: &Uploader,
    file: File,
    expected: &[u8],
) -> FileStatus {
    let id = uploader.add(file).unwrap();
    uploader.start();
    let status = uploader.wait().await.into_iter().find(|status| status.id == id).unwrap();
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    assert!(status.object.as_ref().unwrap().verified);
    let target = status.target.as_ref().unwrap();
    assert!(harbour.fetch(target, expected.len()).await == expected, "{} differs", status.name);
    status
}

/// The numbers of parts until the object is there, or the first few; and how many were found to be held.
pub(crate) async fn acknowledged(uploader: &Uploader, file: File, most: usize) -> BTreeSet<u32> {
    let mut events = uploader.events();
    uploader.add(file).unwrap();
    uploader.start();
    let mut numbers = BTreeSet::new();
    while numbers.len() < most {
        match events.next().await.unwrap() {
            Event::PartAcknowledged { part, .. } => assert!(numbers.insert(part.number)),
            Event::Succeeded { .. } => break,
            Event::Failed { error, .. } | Event::Warning { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    numbers
}

pub(crate) fn small_parts(harbour: &Harbour) -> Options {
    let mut options = harbour.options();
    (options.part_size, options.parallel) = (PART as u64, 3);
    options
}

#[tokio::test]
async fn bytes_and_contents_of_the_application_arrive_and_resume() {
    let harbour = Harbour::open().await;
    for length in [0, 1, 102_399, 102_400, 1_234_567] {
        let bytes = bytes(length, 1);
        let uploader = harbour.uploader(small_parts(&harbour));
        let file = File::bytes("a.mp4", bytes.clone());
        let status = arrives(&harbour, &uploader, file, &bytes).await;
        assert_eq!((status.path, status.total), (None, Some(length as u64)));
        uploader.close().await;
    }
    let whole = bytes(1_234_567, 2);
    let first = harbour.uploader(small_parts(&harbour));
    let begun = acknowledged(&first, File::bytes("a.mp4", whole.clone()), 4).await;
    first.close().await;
    // The same bytes from elsewhere are the same source.
    struct Elsewhere(Vec<u8>);
    impl Content for Elsewhere {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
            Ok(())
        }
    }
    let second = harbour.uploader(small_parts(&harbour));
    let rest = acknowledged(&second, File::content("b.mp4", Elsewhere(whole)), usize::MAX).await;
    assert!(rest.is_disjoint(&begun) && rest.len() + begun.len() <= 13);
    second.close().await;
    assert_eq!(harbour.journals(), 0);
}

#[tokio::test]
async fn a_file_is_uploaded_while_it_is_written_its_beginning_last() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    let bytes = bytes(1_234_567, 8);
    let path = harbour.dir.path().join("export.mp4");
    let (file, growth) = File::growing(&path);
    let mut events = uploader.events();
    let id = uploader.add(file.clone()).unwrap();
    let twice: Error = uploader.add(file).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Misuse);
    uploader.start();
    // The writer makes its file late, and comes back to its beginning.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut written = bytes.clone();
    written[..48].fill(0);
    std::fs::write(&path, &written).unwrap();
    growth.ready(48..bytes.len() as u64);
    let mut numbers = Vec::new();
    while numbers.len() < 11 {
        match events.next().await.unwrap() {
            Event::PartAcknowledged { part, .. } => numbers.push(part.number),
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    assert!(!numbers.contains(&1) && !numbers.contains(&13), "{numbers:?}");
    assert_eq!(uploader.files()[0].total, None);
    std::fs::write(&path, &bytes).unwrap();
    growth.ready(0..48);
    growth.finish(bytes.len() as u64);
    let status = uploader.wait().await.remove(0);
    assert_eq!((status.id, status.state), (id, FileState::Succeeded), "{:?}", status.error);
    assert!(harbour.fetch(&status.target.unwrap(), bytes.len()).await == bytes);
    uploader.close().await;
    assert_eq!(harbour.journals(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_although_it_may_grow() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    let pipe = harbour.dir.path().join("pipe.mp4");
    let make = || {
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
    };
    for late in [false, true] {
        let _ = std::fs::remove_file(&pipe);
        if !late {
            make();
        }
        let (file, growth) = File::growing(&pipe);
        let id = uploader.add(file).unwrap();
        uploader.start();
        if late {
            tokio::time::sleep(Duration::from_millis(200)).await;
            make();
        }
        growth.ready(0..2 * PART as u64);
        let waited = tokio::time::timeout(Duration::from_secs(20), uploader.wait()).await;
        // Whoever waits for a writer has one, so that a failure ends.
        let _writer = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
        let files = waited.expect("nobody waits for a writer");
        let error = files.into_iter().find(|file| file.id == id).unwrap().error.unwrap();
        assert_eq!((error.kind, &*error.code), (ErrorKind::Io, "NotAFile"), "{late}");
    }
}

#[tokio::test]
async fn a_writer_that_gives_up_or_lies_fails_the_file() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    let path = harbour.dir.path().join("export.mp4");
    std::fs::write(&path, bytes(300_000, 9)).unwrap();
    let mut errors = Vec::new();
    for end in 0..4 {
        let (file, growth) = File::growing(&path);
        let id = uploader.add(file).unwrap();
        uploader.start();
        growth.ready(0..250_000);
        match end {
            0 => growth.fail("the disk of the renderer is full"),
            1 => drop(growth),
            2 => growth.finish(200_000),
            // More than is there.
            _ => growth.finish(300_001),
        }
        let files = uploader.wait().await;
        errors.push(files.into_iter().find(|file| file.id == id).unwrap().error.unwrap());
    }
    let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
    use ErrorKind::{Io, SourceChanged};
    assert_eq!(kinds, [Io, Io, SourceChanged, SourceChanged], "{errors:?}");
    assert!(errors[0].message.contains("the disk of the renderer is full"));
    assert!(errors[1].message.contains("went away"));
    assert_eq!(errors[3].code, "NotAsAnnounced");
    assert!(errors[3].message.contains("has only 300000 bytes"), "{}", errors[3].message);
}
