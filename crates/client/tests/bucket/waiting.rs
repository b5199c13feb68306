//! The same without async.

use vodferry::blocking;
use vodferry::{ErrorKind, File, Initiate, ListObjects, Listed, PutOptions, ResumableUpload};

use crate::harbour::Harbour;
use crate::of;
use crate::script::PART;

/// A server on a runtime of its own, as a program without one meets it.
struct Elsewhere {
    runtime: tokio::runtime::Runtime,
    harbour: Option<Harbour>,
}

impl Elsewhere {
    fn open() -> Elsewhere {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let harbour = Some(runtime.block_on(Harbour::open()));
        Elsewhere { runtime, harbour }
    }

    fn harbour(&self) -> &Harbour {
        self.harbour.as_ref().unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(harbour) = self.harbour.take() {
            self.runtime.block_on(harbour.server.shutdown());
        }
    }
}

#[test]
fn every_call_is_waited_for() {
    let elsewhere = Elsewhere::open();
    let bucket = blocking::Bucket::new(of(elsewhere.harbour())).unwrap();
    let (path, bytes) = elsewhere.harbour().write("a.mp4", 300_000);
    let mut upload = ResumableUpload::new("a.mp4", &path);
    upload.part_size = PART;
    let task = bucket.resumable_upload(upload).unwrap();
    let done = task.wait().unwrap();
    assert!(done.object.verified && task.is_finished() && !task.is_canceled());
    assert_eq!(task.result().unwrap().unwrap(), done);
    task.cancel();
    drop(bucket.clone());
    assert_eq!(bucket.head_object("a.mp4").unwrap().unwrap().length, bytes.len() as u64);

    bucket.put_object("b", File::bytes("b", "b"), PutOptions::default()).unwrap();
    let end = bucket.append_object("c", 0, "c").unwrap();
    assert_eq!(bucket.append_object("c", end, "d").unwrap().next_position, 2);
    let keys = bucket.list_objects(ListObjects::default()).map(|entry| match entry.unwrap() {
        Listed::Object(object) => object.key,
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["a.mp4", "b", "c"]);
    bucket.delete_object("b").unwrap();

    let id = bucket.initiate_multipart_upload("d", Initiate::default()).unwrap();
    let part = bucket.upload_part("d", &id, 1, "d").unwrap();
    assert_eq!(bucket.list_parts("d", &id).count(), 1);
    assert_eq!(bucket.list_uploads("").count(), 1);
    bucket.complete_multipart_upload("d", &id, vec![part], None).unwrap();
    let id = bucket.initiate_multipart_upload("e", Initiate::default()).unwrap();
    bucket.abort_multipart_upload("e", &id).unwrap();
    assert!(bucket.abort_unfinished("", std::time::Duration::ZERO).unwrap().is_empty());
    bucket.abort_after_days("", 7).unwrap();

    let harbour = elsewhere.harbour();
    let uploaded = blocking::upload(&path, harbour.app.clone()).unwrap();
    assert!(uploaded.video_id.is_some());
}

#[test]
fn a_task_is_cancelled_from_another_thread() {
    let elsewhere = Elsewhere::open();
    let mut options = elsewhere.harbour().options();
    options.limit = 200_000;
    let slow = crate::with_options(elsewhere.harbour(), options);
    let bucket = blocking::Bucket::new(slow).unwrap();
    let (path, _) = elsewhere.harbour().write("a.mp4", 900_000);
    let task = bucket.resumable_upload(ResumableUpload::new("a.mp4", path)).unwrap();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| task.cancel());
        task.wait().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Canceled);
    assert!(task.is_canceled());
    assert_eq!(bucket.list_uploads("").count(), 0);
}

#[tokio::test]
async fn who_may_not_wait_is_told() {
    let harbour = Harbour::open().await;
    let bucket = blocking::Bucket::new(of(&harbour)).unwrap();
    assert_eq!(bucket.head_object("a").unwrap_err().kind(), ErrorKind::Misuse);
    let mut listing = bucket.list_uploads("");
    assert_eq!(listing.next().unwrap().unwrap_err().kind(), ErrorKind::Misuse);
    drop((bucket, listing));
    harbour.server.shutdown().await;
}
