//! What other faces stand on: verbs by index, duplicates, reasons to hold, callbacks, snapshots.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodferry::{
    Body, BoxFuture, Duplicates, ErrorKind, Event, File, FileId, FileState, Http, Listener,
    ObjectInfo, OnPartFailure, Request, Response, Snapshot, Snapshots, Target, TransportError,
    Uploader,
};

use crate::script::{Desk, PART, Script, credential, event, script, target};

#[tokio::test]
async fn files_are_found_by_their_place() {
    let desk = Desk::new(10);
    let (uploader, _script) = desk.uploader();
    assert_eq!(uploader.at(0), None);
    let ids: Vec<FileId> = (0..3).map(|_| uploader.add(desk.file()).unwrap()).collect();
    uploader.remove(uploader.at(1).unwrap()).unwrap();
    assert_eq!(
        [uploader.at(0), uploader.at(1), uploader.at(2)],
        [Some(ids[0]), Some(ids[2]), None]
    );
    assert_eq!(uploader.file(ids[2]).unwrap().name, "a.mp4");
    assert!(uploader.file(ids[1]).is_none());
}

#[tokio::test]
async fn the_file_that_matters_most_goes_first() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let add = |key: &str, priority| {
        let file = File::bytes(key, vec![7; 9]).to(target(key), credential());
        uploader.add(file.priority(priority)).unwrap()
    };
    let [_, low, high] = [add("first", 0), add("low", -1), add("high", 5)];
    uploader.start();
    for key in ["high", "first"] {
        let asked = script.expect("put").await;
        assert!(asked.request.path.ends_with(key), "{}", asked.request.path);
        if key == "high" {
            let last = add("last", 0);
            uploader.set_priority(last, -2).unwrap();
        }
        asked.stored();
    }
    uploader.remove(high).unwrap();
    assert!(uploader.set_priority(high, 1).is_err());
    let asked = script.expect("put").await;
    assert!(asked.request.path.ends_with("low"), "{}", asked.request.path);
    uploader.cancel(low).unwrap();
    assert!(script.expect("put").await.request.path.ends_with("last"));
}

#[tokio::test]
async fn a_part_that_fails_for_good_stops_the_others_or_lets_them_end() {
    for finish in [false, true] {
        let desk = Desk::new(PART as usize * 4);
        let mut options = desk.options();
        options.parallel = 2;
        if finish {
            options.on_part_failure = OnPartFailure::FinishOthers;
        }
        let (uploader, mut script) = desk.uploader_with(options);
        let id = uploader.add(desk.file()).unwrap();
        uploader.start();
        script.expect("initiate").await.initiated("u1");
        let (one, two) = (script.next().await, script.next().await);
        one.refuse(403, "AccessDenied");
        script.silence().await;
        let state = uploader.file(id).unwrap().state;
        assert_eq!(state, if finish { FileState::Active } else { FileState::Failed });
        two.stored();
        let file = uploader.wait().await.remove(0);
        assert_eq!(file.acknowledged, if finish { PART } else { 0 });
        assert_eq!(file.error.unwrap().code, "AccessDenied");
        script.silence().await;
    }
}

#[tokio::test]
async fn a_file_is_added_twice_unless_that_is_refused() {
    let desk = Desk::new(10);
    let (uploader, _script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.add(desk.file()).unwrap();

    let mut options = desk.options();
    options.duplicates = Duplicates::Refuse;
    let (uploader, _script) = desk.uploader_with(options);
    let first = uploader.add(desk.file()).unwrap();
    let refused = uploader.add(desk.file()).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Misuse, "FileAlreadyExist"));
    assert!(refused.to_string().contains("a.mp4"), "{refused}");
    // However its path is written.
    let path = desk.path();
    let dotted = path.parent().unwrap().join(".").join(path.file_name().unwrap());
    let same = File::path(dotted).to(target("k.mp4"), credential());
    assert_eq!(uploader.add(same).unwrap_err().code(), "FileAlreadyExist");
    // To another place it is another upload, and bytes have no name to tell them by.
    uploader.add(File::path(desk.path()).to(target("other.mp4"), credential())).unwrap();
    for _ in 0..2 {
        uploader.add(File::bytes("b.mp4", vec![7; 9]).to(target("b.mp4"), credential())).unwrap();
    }
    uploader.remove(first).unwrap();
    uploader.add(desk.file()).unwrap();
    assert_eq!(uploader.files().len(), 4);
}

#[tokio::test]
async fn the_list_goes_on_when_the_last_reason_to_hold_it_is_gone() {
    let desk = Desk::new(PART as usize * 3);
    let mut options = desk.options();
    options.pause_on_metered = true;
    let (uploader, mut script) = desk.uploader_with(options);
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let cut = script.expect("part 1").await;
    uploader.set_metered(true);
    uploader.set_metered(true);
    uploader.pause(None).unwrap();
    uploader.resume(None).unwrap();
    uploader.set_online(true);
    script.silence().await;
    drop(cut);
    assert!(held(&uploader).await.metered);
    uploader.pause(None).unwrap();
    uploader.set_metered(false);
    script.silence().await;
    uploader.resume(None).unwrap();
    script.expect("list").await.listed(&desk.bytes, &[]);
    script.expect("part 1").await.stored();
    let _cut = script.expect("part 2").await;
    uploader.set_online(false);
    script.silence().await;
    uploader.set_online(true);
    script.expect("list").await.listed(&desk.bytes, &[1]);
    assert_eq!(script.be_good().await, [2, 3]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn a_metered_network_disturbs_nobody_who_did_not_ask() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.set_metered(true);
    uploader.start();
    assert!(!held(&uploader).await.any());
    script.be_good().await;
}

async fn held(uploader: &Uploader) -> vodferry::Holds {
    uploader.snapshots().next().await.unwrap().held
}

/// A port over a script that says once that the way to the network is another one.
struct Moved {
    http: Arc<dyn Http>,
    moved: AtomicBool,
}

impl Http for Moved {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        self.http.send(request, body)
    }

    fn route_changed(&self) -> bool {
        self.moved.swap(false, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_request_is_sent_anew_when_the_address_under_it_is_gone() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut script): (_, Script) = script();
    let port = Arc::new(Moved { http, moved: AtomicBool::new(false) });
    let uploader = Uploader::builder().options(desk.options()).http(port.clone()).build().unwrap();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    let _silent = script.expect("part 2").await;
    port.moved.store(true, Ordering::SeqCst);
    let again = tokio::time::timeout(Duration::from_secs(10), script.next()).await.unwrap();
    match again.operation().as_str() {
        "list" => {
            again.listed(&desk.bytes, &[1]);
            script.expect("part 2").await.stored();
        }
        "part 2" => again.stored(),
        other => panic!("unexpected {other}"),
    }
    script.expect("complete").await.completed();
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    assert!(matches!(event(&mut events).await, Event::Succeeded { .. }), "no failure, no event");
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }
}

struct Clerk {
    notes: Notes,
    uploader: Uploader,
}

impl Listener for Clerk {
    fn started(&mut self, file: FileId, video_id: Option<&str>, _: Option<&Target>) {
        self.notes.write(format!("started {video_id:?}"));
        // Every verb may be called here.
        self.uploader
            .authorize(file, vodferry::UploadGrant::new(target("k.mp4"), credential()))
            .unwrap();
    }

    fn succeeded(&mut self, _: FileId, target: &Target, _: Option<&str>, _: &ObjectInfo) {
        self.notes.write(format!("succeeded {}", target.key));
        panic!("what a handler does wrong is its own affair");
    }

    fn progress(&mut self, _: FileId, acknowledged: u64, _: u64, total: Option<u64>) {
        if Some(acknowledged) == total {
            self.notes.write("whole");
        }
    }

    fn ended(&mut self, _: Option<FileId>) {
        self.notes.write("ended");
    }
}

#[tokio::test]
async fn callbacks_come_in_order_and_may_call_verbs_and_panic() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let notes = Notes::default();
    uploader.listen(Clerk { notes: notes.clone(), uploader: uploader.clone() });
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    uploader.listen(move |_: &Event| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    uploader.add(File::path(desk.path())).unwrap();
    uploader.start();
    script.expect("put").await.stored();
    uploader.wait().await;
    let all = ["started None", "whole", "succeeded k.mp4", "ended"];
    until(|| notes.0.lock().unwrap().len() == all.len()).await;
    assert_eq!(*notes.0.lock().unwrap(), all);
    assert!(count.load(Ordering::SeqCst) >= all.len());
}

#[tokio::test]
async fn a_snapshot_is_the_newest_and_the_last_one_is_told() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    let mut snapshots: Snapshots = uploader.snapshots();
    let list: Snapshot = snapshots.next().await.unwrap();
    assert!(list.files.is_empty() && !list.running);
    let id = uploader.add(desk.file()).unwrap();
    uploader.start();
    let list = snapshots.next().await.unwrap();
    assert!(list.files[0].id == id && list.running, "both changes are one snapshot");
    script.be_good().await;
    uploader.wait().await;
    loop {
        let list = snapshots.next().await.unwrap();
        if list.files[0].state == FileState::Succeeded && !list.running {
            assert_eq!(list.files[0].acknowledged, PART * 2);
            break;
        }
    }
    uploader.close().await;
    assert!(snapshots.next().await.is_none());
}

#[tokio::test]
async fn bytes_in_flight_are_a_figure_of_their_own() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let part = script.expect("part 1").await;
    let figures = || {
        let file = uploader.files().remove(0);
        (file.acknowledged, file.in_flight)
    };
    until(|| figures() == (0, PART)).await;
    uploader.pause(None).unwrap();
    assert_eq!(figures(), (0, 0), "what was cut is on its way no more");
    drop(part);
    uploader.resume(None).unwrap();
    script.expect("list").await.listed(&desk.bytes, &[]);
    script.be_good().await;
    uploader.wait().await;
    assert_eq!(figures(), (2 * PART, 0));
    uploader.close().await;
}

async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}
