//! Other sources than files: memory, streams, files that are still being written.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use vodferry::{Content, Error, ErrorKind, Event, File, FileState, FileStatus, Options, Uploader};

use crate::harbour::Harbour;

const PART: usize = 102_400;

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251 + i / 65_521 + seed) as u8).collect()
}

/// Uploads one file and looks what arrived.
async fn arrives(
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
async fn acknowledged(uploader: &Uploader, file: File, most: usize) -> BTreeSet<u32> {
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

fn small_parts(harbour: &Harbour) -> Options {
    let mut options = harbour.options();
    (options.part_size, options.parallel) = (PART as u64, 3);
    options
}

/// A stream that tells how much was read of it.
struct Counted {
    rest: io::Cursor<Vec<u8>>,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn new(bytes: &[u8]) -> (Counted, Arc<AtomicU64>) {
        let read = Arc::default();
        (Counted { rest: io::Cursor::new(bytes.to_vec()), read: Arc::clone(&read) }, read)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.rest).poll_read(cx, buffer);
        self.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        done
    }
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
async fn a_stream_arrives_whatever_its_length() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    for length in [0, 1, 102_399, 102_400, 102_401, 1_234_567] {
        let bytes = bytes(length, 3);
        let file = File::reader(format!("{length}.mp4"), io::Cursor::new(bytes.clone()));
        let status = arrives(&harbour, &uploader, file, &bytes).await;
        assert_eq!((status.total, status.acknowledged), (Some(length as u64), length as u64));
    }
    uploader.close().await;
    assert_eq!(harbour.journals(), 0);
}

#[tokio::test]
async fn of_a_stream_no_more_is_read_than_may_be_in_memory() {
    let harbour = Harbour::open().await;
    let mut options = small_parts(&harbour);
    // So slow that no part is stored.
    (options.max_buffered, options.limit) = (500_000, 1_000);
    let uploader = harbour.uploader(options);
    let bytes = bytes(5_000_000, 4);
    let (stream, read) = Counted::new(&bytes);
    uploader.add(File::reader("a.mp4", stream)).unwrap();
    assert_eq!(read.load(Ordering::Relaxed), 0, "nothing before its turn");
    uploader.start();
    while read.load(Ordering::Relaxed) < 500_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(read.load(Ordering::Relaxed), 500_000);
    uploader.set_limit(0);
    let status = uploader.wait().await.remove(0);
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    assert!(harbour.fetch(&status.target.unwrap(), bytes.len()).await == bytes);
}

#[tokio::test]
async fn a_stream_read_again_is_compared_and_only_what_differs_is_sent() {
    let harbour = Harbour::open().await;
    let mut whole = bytes(1_234_567, 5);
    let first = harbour.uploader(small_parts(&harbour));
    let begun =
        acknowledged(&first, File::reader("a.mp4", io::Cursor::new(whole.clone())), 5).await;
    first.close().await;
    assert_eq!(harbour.journals(), 1);
    // One byte of a part that the server has is another now; the stream is a little longer.
    let changed = *begun.first().unwrap();
    whole[(changed as usize - 1) * PART] ^= 1;
    whole.extend([7; 1000]);
    let second = harbour.uploader(small_parts(&harbour));
    let mut events = second.events();
    let (stream, _) = Counted::new(&whole);
    let status = arrives(&harbour, &second, File::reader("a.mp4", stream), &whole).await;
    assert_eq!(status.total, Some(whole.len() as u64));
    let mut resumed = None;
    let mut moved = 0;
    loop {
        match events.next().await.unwrap() {
            Event::Resumed { parts, .. } => resumed = Some(parts as usize),
            Event::Progress { in_flight, .. } => moved = in_flight.max(moved),
            Event::Succeeded { .. } => break,
            _ => {}
        }
    }
    assert!(resumed.is_some_and(|parts| parts >= begun.len()), "{resumed:?}");
    second.close().await;
    assert_eq!(harbour.journals(), 0);
}

#[tokio::test]
async fn a_stream_survives_stop_and_start_although_its_bytes_are_gone() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    let bytes = bytes(2_000_000, 6);
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let feeding = tokio::spawn({
        let bytes = bytes.clone();
        async move {
            let mut ours = ours;
            ours.write_all(&bytes[..1_000_000]).await.unwrap();
            ours
        }
    });
    let begun = acknowledged(&uploader, File::reader("a.mp4", theirs), 8).await;
    assert!(begun.len() >= 8);
    uploader.stop();
    uploader.start();
    let mut ours = feeding.await.unwrap();
    ours.write_all(&bytes[1_000_000..]).await.unwrap();
    drop(ours);
    let status = uploader.wait().await.remove(0);
    assert_eq!(status.state, FileState::Succeeded, "{:?}", status.error);
    let target = status.target.unwrap();
    assert!(harbour.fetch(&target, bytes.len()).await == bytes);
}

#[tokio::test]
async fn a_stream_that_breaks_fails_and_says_why() {
    let harbour = Harbour::open().await;
    let uploader = harbour.uploader(small_parts(&harbour));
    struct Torn(io::Cursor<Vec<u8>>);
    impl AsyncRead for Torn {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.position() == self.0.get_ref().len() as u64 {
                return Poll::Ready(Err(io::Error::other("the cable is torn")));
            }
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }
    uploader.add(File::reader("live.mp4", Torn(io::Cursor::new(bytes(300_000, 7))))).unwrap();
    uploader.start();
    let error = uploader.wait().await.remove(0).error.unwrap();
    assert_eq!((error.kind, &*error.code), (ErrorKind::Io, "SourceBroken"));
    assert!(error.message.contains("live.mp4") && error.message.contains("the cable is torn"));
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
}
