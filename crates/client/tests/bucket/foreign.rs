//! Records that the OSS SDK for Android left: gone on with, and left as they were.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use md5::{Digest, Md5};
use vodferry::{
    Body, BoxFuture, Bucket, Checkpoints, ErrorKind, File, Http, Initiate, Request, Response,
    ResumableUpload, TransportError, UploadTask,
};

use crate::harbour::{self, Harbour};
use crate::script::{Desk, PART, Script, credential, script};
use crate::{NAME, of};

/// Makes the record as that SDK does, and gives where.
fn record(dir: &Path, bytes: &[u8], bucket: &str, key: &str, form: &str, id: &str) -> PathBuf {
    let hex = |bytes: &[u8]| Md5::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    let file: String = hex(bytes);
    let name: String = hex(format!("{file}{bucket}{key}{PART}{form}").as_bytes());
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join(&name), id).unwrap();
    dir.join(name)
}

/// Notes the parts that are sent.
struct Spy(Arc<dyn Http>, Mutex<Vec<u32>>);

impl Http for Spy {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let number = request.query.iter().find(|(name, _)| name == "partNumber");
        self.1.lock().unwrap().extend(number.and_then(|(_, number)| number.parse::<u32>().ok()));
        self.0.send(request, body)
    }
}

#[tokio::test]
async fn parts_that_another_sdk_sent_are_not_sent_again() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let (path, bytes) = harbour.write("a.mp4", 700_001);
    let records = harbour.dir.path().join("android");
    for (sequential, form) in [(false, "-crc64"), (false, ""), (true, "-crc64-sequence")] {
        let key = format!("films/a{form}.mp4");
        let mut how = Initiate::default();
        how.sequential = sequential;
        let id = bucket.initiate_multipart_upload(&key, how).await.unwrap();
        let by_hand: &[u32] = if sequential { &[1, 2] } else { &[2, 5] };
        for number in by_hand {
            let begin = (*number as usize - 1) * PART as usize;
            let part = bytes[begin..begin + PART as usize].to_vec();
            bucket.upload_part(&key, &id, *number, part).await.unwrap();
        }
        let record = record(&records, &bytes, NAME, &key, form, &id);

        let spy = Arc::new(Spy(harbour::http(), Mutex::default()));
        let spied = Bucket::builder(harbour.server.endpoint(), NAME, harbour.operator.clone());
        let spied = spied.options(harbour.options()).http(spy.clone()).build().unwrap();
        let file = File::path(&path).foreign_records(&records).unwrap();
        let mut upload = ResumableUpload::new(&key, file);
        (upload.part_size, upload.threads, upload.sequential) = (PART, 1, sequential);
        let done = spied.resumable_upload(upload).unwrap().await.unwrap();

        let others: Vec<u32> = (1..=7).filter(|number| !by_hand.contains(number)).collect();
        assert_eq!(*spy.1.lock().unwrap(), others, "{form}");
        assert!(done.object.verified, "{form}");
        assert!(harbour.fetch(&done.target, bytes.len()).await == bytes, "{form}");
        assert!(bucket.list_uploads("").all().await.unwrap().is_empty(), "{form}");
        assert_eq!(std::fs::read_to_string(record).unwrap(), id, "it stays as it was");
    }
    harbour.server.shutdown().await;
}

fn task(desk: &Desk, foreign: Option<&Path>) -> (UploadTask, Script) {
    let (http, script) = script();
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", credential());
    let bucket = bucket.options(desk.options()).http(http).build().unwrap();
    let file = File::path(desk.path());
    let file = match foreign {
        Some(dir) => file.foreign_records(dir).unwrap(),
        None => file,
    };
    let mut upload = ResumableUpload::new("k.mp4", file);
    (upload.part_size, upload.threads) = (PART, 1);
    let upload = upload.record_directory(desk.dir()).unwrap();
    (bucket.resumable_upload(upload).unwrap(), script)
}

/// A desk, and a folder with a record of its file.
fn with_record(id: &str) -> (Desk, PathBuf) {
    let desk = Desk::new(3 * PART as usize);
    let records = desk.dir().join("android");
    record(&records, &desk.bytes, "films", "k.mp4", "", id);
    (desk, records)
}

#[tokio::test]
async fn an_upload_that_is_gone_or_that_nobody_named_begins_anew() {
    let (desk, records) = with_record("u-old");
    let (task, mut script) = task(&desk, Some(&records));
    script.expect("list").await.refuse(404, "NoSuchUpload");
    assert_eq!(script.be_good().await, [1, 2, 3]);
    task.await.unwrap();
    for nothing in ["", "two\nids"] {
        let (desk, records) = with_record(nothing);
        let (task, mut script) = self::task(&desk, Some(&records));
        assert_eq!(script.be_good().await, [1, 2, 3], "{nothing:?}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_part_of_another_size_is_replaced() {
    let (desk, records) = with_record("u1");
    let (task, mut script) = task(&desk, Some(&records));
    // The second is shorter than it was cut to be.
    let short = &desk.bytes[..2 * PART as usize - 1];
    script.expect("list").await.listed(short, &[1, 2]);
    assert_eq!(script.be_good().await, [2, 3]);
    task.await.unwrap();
}

#[tokio::test]
async fn from_then_on_it_is_a_checkpoint_of_ours_which_counts_alone() {
    let (desk, records) = with_record("u1");
    let (begun, mut server) = task(&desk, Some(&records));
    let asked = server.expect("list").await;
    assert_eq!(asked.query("uploadId"), Some("u1"));
    asked.listed(&desk.bytes, &[1]);
    server.expect("part 2").await.stored();
    server.expect("part 3").await;
    drop(begun);
    let stored = Checkpoints::open(desk.dir()).of(desk.path()).unwrap().remove(0);
    assert_eq!((stored.upload_id.as_str(), stored.part_size), ("u1", PART));
    let_go(&desk, &stored.id).await;
    // Another record of the same name would be of an upload that is not ours.
    record(&records, &desk.bytes, "films", "k.mp4", "", "u-other");
    for foreign in [Some(records.as_path()), None] {
        let (again, mut server) = task(&desk, foreign);
        let asked = server.expect("list").await;
        assert_eq!(asked.query("uploadId"), Some("u1"));
        drop(again);
        let_go(&desk, &stored.id).await;
    }
}

/// Waits until nobody holds the checkpoint: who is dropped lets go a moment later.
async fn let_go(desk: &Desk, id: &str) {
    let here = Checkpoints::open(desk.dir());
    let json = here.export(id).unwrap().unwrap();
    while here.import(&json).unwrap_err().kind() == ErrorKind::Busy {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn a_folder_that_is_none_is_told() {
    let error = File::path("a.mp4").foreign_records("/nonexistent/records").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}
