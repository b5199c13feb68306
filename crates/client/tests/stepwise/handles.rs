//! Handles, subscribers, and what a released uploader does.

use std::time::Duration;

use vodferry::{ErrorKind, Event, FileState};

use crate::script::{Desk, PART, event};

#[tokio::test]
async fn a_released_uploader_says_nothing_more_and_keeps_the_checkpoint() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let asked = script.expect("part 1").await;
    let other = uploader.clone();
    drop(uploader);
    assert_eq!(other.files()[0].state, FileState::Active, "a clone keeps it alive");
    drop(other);
    asked.stored();
    let mut left = Vec::new();
    while let Some(event) = events.next().await {
        left.push(event);
    }
    assert!(!left.iter().any(|event| matches!(event, Event::PartAcknowledged { .. })), "{left:?}");
    script_ends(&mut script).await;
    assert_eq!(std::fs::read_dir(desk.records()).unwrap().count(), 1);
}

async fn script_ends(script: &mut crate::script::Script) {
    script.silence().await;
}

#[tokio::test]
async fn every_subscriber_hears_everything_since_it_came() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let (mut early, mut slow) = (uploader.events(), uploader.events());
    drop(uploader.events());
    let id = uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.stored();
    uploader.wait().await;
    for events in [&mut early, &mut slow] {
        assert!(matches!(event(events).await, Event::Started { file, .. } if file == id));
        assert!(matches!(event(events).await, Event::Succeeded { .. }));
        assert!(matches!(event(events).await, Event::Ended { .. }));
        assert!(events.try_next().is_none());
    }
    let late = uploader.events().try_next();
    assert!(late.is_none());
}

#[tokio::test]
async fn verbs_work_inside_of_a_handler() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    let first = uploader.add(desk.file()).unwrap();
    uploader.start();
    let cut = script.expect("put").await;
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    let second = uploader.add(desk.file()).unwrap();
    uploader.cancel(first).unwrap();
    assert!(matches!(event(&mut events).await, Event::Canceled { file } if file == first));
    uploader.pause(Some(second)).unwrap();
    uploader.resume(Some(second)).unwrap();
    drop(cut);
    script.expect("put").await.stored();
    assert_eq!(uploader.wait().await[1].state, FileState::Succeeded);
    uploader.restore(first).unwrap();
    uploader.remove(second).unwrap();
    uploader.start();
    script.expect("put").await.stored();
    let files = uploader.wait().await;
    assert_eq!((files.len(), files[0].state), (1, FileState::Succeeded));
    uploader.clear();
    assert!(uploader.files().is_empty());
    assert_eq!(uploader.remove(first).unwrap_err().kind(), ErrorKind::Misuse);
}

#[tokio::test]
async fn pause_cuts_and_resume_goes_on() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script) = desk.uploader();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    let cut = script.expect("part 2").await;
    uploader.pause(None).unwrap();
    script.silence().await;
    drop(cut);
    uploader.resume(None).unwrap();
    // The cut request may have arrived: the parts are listed first.
    script.expect("list").await.listed(&desk.bytes, &[1, 2]);
    script.expect("complete").await.completed();
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

#[tokio::test]
async fn the_last_acknowledged_figure_is_told_at_stop_pause_and_cancel() {
    type End = fn(&vodferry::Uploader, vodferry::FileId);
    let ends: [(&str, End); 4] = [
        ("stop", |uploader, _| uploader.stop()),
        ("pause of the list", |uploader, _| uploader.pause(None).unwrap()),
        ("pause of the file", |uploader, file| uploader.pause(Some(file)).unwrap()),
        ("cancel", |uploader, file| uploader.cancel(file).unwrap()),
    ];
    for (what, end) in ends {
        let desk = Desk::new(PART as usize * 4);
        let mut options = desk.options();
        options.progress_interval = Duration::from_millis(300);
        let (uploader, mut script) = desk.uploader_with(options);
        let mut events = uploader.events();
        let id = uploader.add(desk.file()).unwrap();
        uploader.start();
        script.expect("initiate").await.initiated("u1");
        for number in 1..=3 {
            script.expect(&format!("part {number}")).await.stored();
        }
        let _cut = script.expect("part 4").await;
        end(&uploader, id);
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut told = 0;
        while let Some(event) = events.try_next() {
            if let Event::Progress { acknowledged, .. } = event {
                told = acknowledged;
            }
        }
        assert_eq!(told, PART * 3, "{what}");
        assert_eq!(uploader.files()[0].acknowledged, PART * 3, "{what}");
    }
}

#[tokio::test]
async fn the_application_server_hears_of_a_changed_network_too() {
    let (http, mut asked) = crate::script::script();
    let app = vodferry::AppServer::new("http://app.example").unwrap().http(http);
    let desk = Desk::new(10);
    let (uploads, mut script) = crate::script::script();
    let uploader = vodferry::Uploader::builder()
        .options(desk.options())
        .authorizer(app)
        .http(uploads)
        .build()
        .unwrap();
    uploader.add(desk.path()).unwrap();
    uploader.start();
    let lost = asked.next().await;
    uploader.network_changed();
    let again = asked.next().await;
    assert_eq!((&again.request.path, &again.body), (&lost.request.path, &lost.body));
    script.silence().await;
    drop(lost);
}

#[tokio::test]
async fn a_changed_network_sends_anew_without_a_failure() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    let cut = script.expect("put").await;
    uploader.network_changed();
    script.expect("put").await.stored();
    drop(cut);
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    assert!(matches!(event(&mut events).await, Event::Succeeded { .. }));
}

#[tokio::test]
async fn wait_returns_at_once_when_nothing_runs_and_after_close() {
    let desk = Desk::new(10);
    let (uploader, _script) = desk.uploader();
    let id = uploader.add(desk.file()).unwrap();
    assert_eq!(uploader.wait().await[0].state, FileState::Waiting);
    let other = uploader.clone();
    uploader.start();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.wait().await.len() }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    uploader.close().await;
    assert_eq!(waiting.await.unwrap(), 1);
    assert_eq!(other.cancel(id).unwrap_err().kind(), ErrorKind::Misuse);
    other.start();
    assert!(other.events().next().await.is_none());
}

#[test]
fn outside_of_a_runtime_it_is_misuse() {
    let error = vodferry::Uploader::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
}
