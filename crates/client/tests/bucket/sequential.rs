//! The sequential upload: parts in order, one at a time.

use vodferry::{
    Bucket, Checkpoints, Initiate, ResumableUpload, TransportError, TransportErrorKind, UploadTask,
};

use crate::harbour::Harbour;
use crate::of;
use crate::script::{Desk, PART, Script, credential, etag, response, script};

fn task(desk: &Desk, sequential: bool) -> (UploadTask, Script) {
    let (http, script) = script();
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", credential());
    let bucket = bucket.options(desk.options()).http(http).build().unwrap();
    let mut upload = ResumableUpload::new("k.mp4", desk.path());
    (upload.part_size, upload.threads, upload.sequential) = (PART, 5, sequential);
    let upload = upload.record_directory(desk.dir()).unwrap();
    (bucket.resumable_upload(upload).unwrap(), script)
}

#[tokio::test]
async fn it_arrives_whole() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let (path, bytes) = harbour.write("a.mp4", 1_000_003);
    let mut upload = ResumableUpload::new("s.mp4", path);
    (upload.part_size, upload.sequential) = (PART, true);
    let done = bucket.resumable_upload(upload).unwrap().await.unwrap();
    assert!(done.object.verified);
    assert!(harbour.fetch(&done.target, bytes.len()).await == bytes);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn the_service_takes_the_next_part_only_and_none_twice() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let mut how = Initiate::default();
    how.sequential = true;
    let id = bucket.initiate_multipart_upload("k", how).await.unwrap();
    let early = bucket.upload_part("k", &id, 2, "b").await.unwrap_err();
    assert_eq!(early.code(), "PartNotSequential");
    let first = bucket.upload_part("k", &id, 1, "a").await.unwrap();
    assert_eq!(bucket.upload_part("k", &id, 1, "a").await.unwrap(), first);
    let other = bucket.upload_part("k", &id, 1, "c").await.unwrap_err();
    assert_eq!(other.code(), "PartAlreadyExist");
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn parts_go_one_at_a_time_and_in_order() {
    let desk = Desk::new(3 * PART as usize);
    let (task, mut script) = task(&desk, true);
    let asked = script.expect("initiate").await;
    assert_eq!(asked.query("sequential"), Some(""));
    asked.initiated("u1");
    for number in 1..=3 {
        let asked = script.expect(&format!("part {number}")).await;
        script.silence().await;
        asked.stored();
    }
    script.expect("complete").await.completed();
    task.await.unwrap();
}

fn there(etag: &str) -> vodferry::Response {
    let body = format!(
        "<Error><Code>PartAlreadyExist</Code><Message>there</Message><RequestId>R</RequestId>\
         <PartNumber>1</PartNumber><PartEtag>\"{etag}\"</PartEtag></Error>"
    );
    response(409, &[], body)
}

#[tokio::test]
async fn a_part_whose_reply_was_lost_is_there_already() {
    let desk = Desk::new(2 * PART as usize);
    let (task, mut script) = task(&desk, true);
    script.expect("initiate").await.initiated("u1");
    let gone = TransportError::new(TransportErrorKind::ReplyCut, "gone");
    script.expect("part 1").await.fail(gone);
    script.expect("part 1").await.reply(there(&etag(&desk.bytes[..PART as usize])));
    script.expect("part 2").await.stored();
    let complete = script.expect("complete").await;
    let body = String::from_utf8_lossy(&complete.body).into_owned();
    assert!(body.contains(&etag(&desk.bytes[..PART as usize])), "{body}");
    complete.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn a_part_that_holds_other_bytes_begins_the_upload_anew() {
    let desk = Desk::new(2 * PART as usize);
    let (task, mut script) = task(&desk, true);
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.reply(there("00112233445566778899AABBCCDDEEFF"));
    script.expect("initiate").await.initiated("u2");
    for number in 1..=2 {
        let asked = script.expect(&format!("part {number}")).await;
        assert_eq!(asked.query("uploadId"), Some("u2"));
        asked.stored();
    }
    script.expect("complete").await.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn a_part_out_of_order_lists_what_is_there() {
    let desk = Desk::new(2 * PART as usize);
    let (task, mut script) = task(&desk, true);
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.refuse(400, "PartNotSequential");
    script.expect("list").await.listed(&desk.bytes, &[]);
    for number in 1..=2 {
        script.expect(&format!("part {number}")).await.stored();
    }
    script.expect("complete").await.completed();
    task.await.unwrap();
}

#[tokio::test]
async fn its_record_is_one_of_its_own() {
    let desk = Desk::new(3 * PART as usize);
    let (first, mut script) = task(&desk, true);
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await;
    drop(first);
    let found = Checkpoints::open(desk.dir()).of(desk.path()).unwrap();
    assert!(found.len() == 1 && found[0].sequential && found[0].target_fixed);

    // One that sends parts in any order would be refused by that upload.
    let (other, mut script) = task(&desk, false);
    script.expect("initiate").await;
    drop(other);
    let (again, mut script) = task(&desk, true);
    script.expect("list").await.listed(&desk.bytes, &[1]);
    script.expect("part 2").await.stored();
    script.expect("part 3").await.stored();
    script.expect("complete").await.completed();
    again.await.unwrap();
}
