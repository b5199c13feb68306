//! The resumable upload: its record, its handle, and what it survives.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodferry::{
    Bucket, Checkpoints, ErrorKind, File, OnPartFailure, Progress, ResumableUpload, UploadTask,
};

use crate::harbour::Harbour;
use crate::script::{
    Asked, Desk, PART, Script, content, crc64, credential, etag, response, script,
};
use crate::{of, with_options};

/// Small parts, one at a time, with a record where there is a folder.
fn upload(file: impl Into<File>, records: Option<&Path>) -> ResumableUpload {
    let mut upload = ResumableUpload::new("k.mp4", file);
    upload.part_size = PART;
    upload.threads = 1;
    match records {
        Some(records) => upload.record_directory(records).expect("a folder"),
        None => upload,
    }
}

/// What progress was told: bytes so far, and in all.
type Told = Mutex<Vec<(u64, u64)>>;

fn told() -> (Option<Progress>, Arc<Told>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let progress: Progress = Arc::new(move |current, total| {
        heard.lock().unwrap().push((current, total));
    });
    (Some(progress), told)
}

/// So slow that there is time to cancel.
fn slow(harbour: &Harbour) -> Bucket {
    let mut options = harbour.options();
    options.limit = 400_000;
    with_options(harbour, options)
}

/// Waits until some bytes are there.
async fn under_way(told: &Told) {
    let some = || told.lock().unwrap().iter().any(|(current, _)| *current > 0);
    for _ in 0..2_000 {
        if some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no byte moved");
}

async fn cancel(task: &UploadTask) {
    task.cancel();
    let error = task.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Canceled, "Canceled"));
    assert!(task.is_finished() && task.is_canceled());
}

fn records(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn a_file_arrives_and_its_handle_says_how() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let (path, bytes) = harbour.write("a.mp4", 700_001);
    let (progress, told) = told();
    let file =
        File::path(path).header("x-oss-meta-who", "me").header("x-oss-object-acl", "private");
    let mut request = upload(file, Some(harbour.dir.path()));
    (request.progress, request.threads) = (progress, 3);
    let mut task = bucket.resumable_upload(request).unwrap();
    let done = (&mut task).await.unwrap();
    assert!(task.is_finished() && !task.is_canceled());
    assert_eq!(task.result().unwrap().unwrap(), done);
    assert_eq!(task.wait().await.unwrap(), done);
    task.cancel();
    assert_eq!((done.target, done.video_id), (bucket.target("k.mp4"), None));
    let object = done.object;
    assert!(object.verified && object.etag.ends_with("-7") && object.request_id.len() == 24);
    assert!(object.location.is_some_and(|url| url.ends_with("/k.mp4")));
    assert_eq!(object.callback_body, None);
    let told = told.lock().unwrap().clone();
    assert!(told.is_sorted() && told.last() == Some(&(700_001, 700_001)), "{told:?}");
    assert!(told.len() >= 7, "once per part: {told:?}");
    let head = bucket.head_object("k.mp4").await.unwrap().unwrap();
    assert!(head.headers.contains(&("x-oss-meta-who".into(), "me".into())));
    assert!(harbour.fetch(&bucket.target("k.mp4"), bytes.len()).await == bytes);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn cancelling_deletes_the_upload_and_its_record_or_keeps_both() {
    let harbour = Harbour::open().await;
    let bucket = slow(&harbour);
    let (path, bytes) = harbour.write("a.mp4", 900_001);
    let dir = harbour.dir.path().join("kept");
    std::fs::create_dir(&dir).unwrap();
    for (delete, left) in [(true, 0), (false, 1)] {
        let (progress, told) = told();
        let mut request = upload(&path, Some(&dir));
        (request.progress, request.delete_on_cancelling) = (progress, delete);
        let task = bucket.resumable_upload(request).unwrap();
        under_way(&told).await;
        cancel(&task).await;
        assert_eq!(bucket.list_uploads("").all().await.unwrap().len(), left, "delete: {delete}");
        assert_eq!(records(&dir), left, "delete: {delete}");
    }
    let kept = bucket.list_uploads("").all().await.unwrap().remove(0);
    let there = bucket.list_parts("k.mp4", &kept.upload_id).all().await.unwrap();
    let info = Checkpoints::open(&dir).of(&path).unwrap().remove(0);
    assert_eq!(info.upload_id, kept.upload_id);
    assert!(!there.is_empty());

    // It goes on: what the server holds is told first, and is not sent again.
    let (progress, told) = told();
    let mut request = upload(&path, Some(&dir));
    request.progress = progress;
    let done = of(&harbour).resumable_upload(request).unwrap().await.unwrap();
    let held: u64 = there.iter().map(|part| part.length).sum();
    assert_eq!(told.lock().unwrap()[0], (held, 900_001));
    // The CRC64 of what an earlier run sent is combined with that of the rest.
    assert!(done.object.verified);
    assert!(harbour.fetch(&done.target, bytes.len()).await == bytes);
    assert_eq!(records(&dir), 0);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn without_a_record_directory_nothing_is_kept() {
    let harbour = Harbour::open().await;
    let bucket = slow(&harbour);
    let (path, _) = harbour.write("a.mp4", 900_001);
    for _ in 0..2 {
        let (progress, told) = told();
        let mut request = upload(&path, None);
        (request.progress, request.delete_on_cancelling) = (progress, false);
        let task = bucket.resumable_upload(request).unwrap();
        under_way(&told).await;
        cancel(&task).await;
    }
    assert_eq!(bucket.list_uploads("").all().await.unwrap().len(), 2);
    assert_eq!(harbour.journals(), 0);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_is_gone_at_the_server_begins_anew() {
    let harbour = Harbour::open().await;
    let bucket = slow(&harbour);
    let (path, bytes) = harbour.write("a.mp4", 900_001);
    let (progress, told) = told();
    let mut request = upload(&path, Some(harbour.dir.path()));
    (request.progress, request.delete_on_cancelling) = (progress, false);
    let task = bucket.resumable_upload(request).unwrap();
    under_way(&told).await;
    cancel(&task).await;
    assert_eq!(bucket.abort_unfinished("", Duration::ZERO).await.unwrap().len(), 1);
    let again = upload(&path, Some(harbour.dir.path()));
    let done = of(&harbour).resumable_upload(again).unwrap().await.unwrap();
    assert!(harbour.fetch(&done.target, bytes.len()).await == bytes);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn a_task_that_is_dropped_stops_and_keeps_its_record() {
    let harbour = Harbour::open().await;
    let bucket = slow(&harbour);
    let (path, _) = harbour.write("a.mp4", 900_001);
    let (progress, told) = told();
    let mut request = upload(&path, Some(harbour.dir.path()));
    request.progress = progress;
    let task = bucket.resumable_upload(request).unwrap();
    under_way(&told).await;
    drop(task);
    assert_eq!(bucket.list_uploads("").all().await.unwrap().len(), 1);
    assert_eq!(Checkpoints::open(harbour.dir.path()).of(&path).unwrap().len(), 1);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn progress_that_panics_ends_the_upload_with_an_error() {
    let harbour = Harbour::open().await;
    let (path, _) = harbour.write("a.mp4", 300_000);
    let mut request = upload(path, None);
    request.progress = Some(Arc::new(|_, _| panic!("the application's own fault")));
    let error = of(&harbour).resumable_upload(request).unwrap().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Misuse, "Panicked"));
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn what_can_never_work_is_refused_at_once() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let (path, _) = harbour.write("a.mp4", 300_000);
    let kind = |request| bucket.resumable_upload(request).err().map(|error| error.kind());
    let mut small = upload(&path, None);
    small.part_size = 102_399;
    assert_eq!(kind(small), Some(ErrorKind::Misuse));
    let mut nameless = upload(&path, None);
    nameless.key = String::new();
    assert_eq!(kind(nameless), Some(ErrorKind::Misuse));
    let header = File::path(&path).header("x y", "1");
    assert_eq!(kind(upload(header, None)), Some(ErrorKind::Misuse));
    let gone = upload(harbour.dir.path().join("none.mp4"), None);
    let error = bucket.resumable_upload(gone).unwrap().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Io, "FileNotFound"));
    harbour.server.shutdown().await;
}

/// A task whose server is the test; quick retries.
fn scripted(desk: &Desk) -> (UploadTask, Script) {
    scripted_with(desk, upload(desk.path(), Some(desk.dir())))
}

fn scripted_with(desk: &Desk, request: ResumableUpload) -> (UploadTask, Script) {
    let (http, script) = script();
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", credential());
    let bucket = bucket.options(desk.options()).http(http).build().unwrap();
    (bucket.resumable_upload(request).unwrap(), script)
}

#[tokio::test]
async fn every_part_carries_its_content_md5() {
    let desk = Desk::new(250_000);
    let (task, mut script) = scripted(&desk);
    script.expect("initiate").await.initiated("u1");
    for number in 1..=3 {
        let asked = script.expect(&format!("part {number}")).await;
        let md5 = vodferry_oss::etag::content_md5(&vodferry_oss::etag::md5(&asked.body));
        assert_eq!(asked.header("content-md5"), Some(md5.as_str()));
        asked.stored();
    }
    script.expect("complete").await.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn an_object_with_another_crc64_fails_and_names_what_differs() {
    let desk = Desk::new(250_000);
    let (task, mut script) = scripted(&desk);
    script.expect("initiate").await.initiated("u1");
    for number in 1..=3 {
        script.expect(&format!("part {number}")).await.stored();
    }
    let body =
        "<CompleteMultipartUploadResult><ETag>\"FF-3\"</ETag></CompleteMultipartUploadResult>";
    let asked = script.expect("complete").await;
    asked.reply(response(200, &[("x-oss-hash-crc64ecma", "1")], body));
    let error = task.await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Integrity, "ChecksumMismatch"));
    let both =
        format!("CRC64 is not that of the bytes sent (sent {}, there 1)", crc64(&desk.bytes));
    assert!(error.message().ends_with(&both), "{error}");
}

#[tokio::test]
async fn server_errors_are_tried_again_and_a_wrong_clock_is_corrected() {
    let desk = Desk::new(250_000);
    let (task, mut script) = scripted(&desk);
    let date = ("date", "Sat, 01 Jan 2050 00:00:00 GMT");
    let skewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>late</Message></Error>";
    script.expect("initiate").await.reply(response(403, &[date], skewed));
    let again = script.expect("initiate").await;
    assert!(again.header("x-oss-date").is_some_and(|date| date.contains("Jan 2050")));
    again.initiated("u1");
    for status in [500, 502] {
        script.expect("part 1").await.refuse(status, "InternalError");
    }
    for number in 1..=3 {
        script.expect(&format!("part {number}")).await.stored();
    }
    script.expect("complete").await.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn the_other_parts_are_finished_first_or_cut() {
    for (how, stored) in [(OnPartFailure::FinishOthers, 1), (OnPartFailure::StopAtOnce, 0)] {
        let desk = Desk::new(4 * PART as usize);
        let mut request = upload(desk.path(), Some(desk.dir()));
        (request.threads, request.on_part_failure) = (2, how);
        let (task, mut script) = scripted_with(&desk, request);
        script.expect("initiate").await.initiated("u1");
        let (one, other) = (script.next().await, script.next().await);
        one.refuse(403, "AccessDenied");
        if how == OnPartFailure::FinishOthers {
            script.silence().await;
            assert!(!task.is_finished(), "another part is under way");
            other.stored();
        }
        let error = task.await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Auth, "AccessDenied"));
        script.silence().await;
        let info = Checkpoints::open(desk.dir()).of(desk.path()).unwrap().remove(0);
        assert_eq!(info.parts, stored, "{how:?}");
    }
}

/// A page of parts: number, length, ETag.
fn page(asked: Asked, parts: &[(u32, u64, &str)], next: Option<u32>) {
    let shown: String = parts
        .iter()
        .map(|(number, length, etag)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag><Size>{length}</Size></Part>")
        })
        .collect();
    let body = format!(
        "<ListPartsResult><Bucket>films</Bucket><Key>k</Key><UploadId>u1</UploadId>\
         <NextPartNumberMarker>{}</NextPartNumberMarker><IsTruncated>{}</IsTruncated>{shown}</ListPartsResult>",
        next.unwrap_or(0),
        next.is_some(),
    );
    asked.reply(response(200, &[], body));
}

/// Sends parts 1 and 2 of four, and dies.
async fn half_done(desk: &Desk) {
    let (task, mut script) = scripted(desk);
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.stored();
    script.expect("part 3").await;
    drop(task);
}

#[tokio::test]
async fn parts_are_reconciled_over_all_pages_and_those_that_differ_are_sent_again() {
    let desk = Desk::new(4 * PART as usize);
    half_done(&desk).await;
    let (task, mut script) = scripted(&desk);
    let bytes = content(4 * PART as usize);
    let etag = |number: usize| etag(&bytes[(number - 1) * PART as usize..number * PART as usize]);
    let first = script.expect("list").await;
    page(first, &[(1, PART, &etag(1))], Some(1));
    let second = script.expect("list").await;
    assert_eq!(second.query("part-number-marker"), Some("1"));
    // Part 2 is of another length; part 4 was sent by nobody that this record knows of, and is what the file has there.
    page(second, &[(2, PART - 1, "0000"), (4, PART, &etag(4))], None);
    let mut sent = Vec::new();
    loop {
        let asked = script.next().await;
        match asked.operation().as_str() {
            "complete" => {
                asked.completed();
                break;
            }
            _ => {
                sent.push(asked.number());
                asked.stored();
            }
        }
    }
    task.await.unwrap();
    assert!(sent.starts_with(&[2, 3]) && !sent.contains(&1), "{sent:?}");
}

#[tokio::test]
async fn a_dead_credential_that_nobody_replaces_ends_the_upload() {
    let desk = Desk::new(250_000);
    let (task, mut script) = scripted(&desk);
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let error = task.wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    let text = format!("{error} {error:?} {task:?}");
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(Checkpoints::open(desk.dir()).of(desk.path()).unwrap()[0].parts, 1);
}

#[tokio::test]
async fn uploads_of_one_bucket_share_its_limit() {
    let harbour = Harbour::open().await;
    let bucket = slow(&harbour);
    let files = ["a", "b"].map(|name| (name, harbour.write(name, 600_000).0));
    let began = std::time::Instant::now();
    let tasks = files.map(|(key, file)| {
        let mut request = ResumableUpload::new(key, file);
        request.part_size = PART;
        bucket.resumable_upload(request).unwrap()
    });
    for task in tasks {
        task.await.unwrap();
    }
    // Each alone would take a second and a half.
    assert!(began.elapsed() > Duration::from_millis(2_500), "{:?}", began.elapsed());

    // Too slow ever to end, until the limit is lifted.
    bucket.set_limit(1);
    let (path, _) = harbour.write("c", 600_000);
    let task = bucket.resumable_upload(upload(path, None)).unwrap();
    while bucket.list_uploads("").all().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Paused it stays where it is, whatever the limit.
    task.pause();
    task.pause();
    bucket.set_limit(0);
    task.network_changed();
    assert!(tokio::time::timeout(Duration::from_millis(500), task.wait()).await.is_err());
    task.resume();
    task.resume();
    task.wait().await.unwrap();
    task.pause();
    harbour.server.shutdown().await;
}
