//! Streams: bytes that come once and in order, and are in memory until the server has them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use vodferry::{ErrorKind, Event, File, FileState};

use crate::harbour::Harbour;
use crate::sources::{PART, acknowledged, arrives, bytes, small_parts};

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
async fn a_stream_goes_on_whose_parts_are_longer_than_this_run_holds() {
    let harbour = Harbour::open().await;
    let whole = bytes(3_500_000, 10);
    let mut options = small_parts(&harbour);
    (options.part_size, options.parallel) = (1_000_000, 1);
    let first = harbour.uploader(options);
    let (mut ours, theirs) = tokio::io::duplex(whole.len());
    ours.write_all(&whole[..2_500_000]).await.unwrap();
    acknowledged(&first, File::reader("a.mp4", theirs), 2).await;
    first.close().await;
    assert_eq!(harbour.journals(), 1);
    let mut options = small_parts(&harbour);
    // Less than one part of the upload that it goes on with, and so slow that none is stored.
    (options.max_buffered, options.limit) = (200_000, 1_000);
    let second = harbour.uploader(options);
    let (stream, read) = Counted::new(&whole);
    let file = File::reader("a.mp4", stream);
    let free = async {
        while read.load(Ordering::Relaxed) < 3_000_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            read.load(Ordering::Relaxed),
            3_000_000,
            "two parts that are held, and one more"
        );
        second.set_limit(0);
    };
    let both = async { tokio::join!(arrives(&harbour, &second, file, &whole), free) };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, both).await.expect("the stream is read on");
    second.close().await;
    assert_eq!(harbour.journals(), 0);
}
