//! Who takes reports, and who does not: the upload is the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use vodferry::{
    AppServer, Error, ErrorKind, File, FileState, Report, Reported, Reporter, Uploader,
};

use crate::script::{Desk, PART, credential, response, script, target};

/// An upload of three parts, of which the second is refused once, with this reporter.
async fn upload(reporter: impl Reporter) -> Uploader {
    let desk = Desk::new(PART as usize * 3);
    let (http, mut storage) = script();
    let builder = Uploader::builder().options(desk.options()).http(http).reporter(reporter);
    let uploader = builder.build().unwrap();
    uploader.add(File::path(desk.path()).to(target("k.mp4"), credential())).unwrap();
    uploader.start();
    storage.expect("initiate").await.initiated("u1");
    storage.expect("part 1").await.stored();
    storage.expect("part 2").await.refuse(500, "InternalError");
    assert_eq!(storage.be_good().await, [2, 3]);
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    uploader
}

#[tokio::test]
async fn a_reporter_that_hangs_fails_or_panics_disturbs_nobody() {
    upload(|_| std::future::pending()).await;
    upload(|_| async { Err(Error::new(ErrorKind::Network, "ConnectFailed", "nobody")) }).await;
    upload(|reports: Vec<Report>| async move { panic!("{} reports", reports.len()) }).await;
}

#[tokio::test]
async fn an_uploader_that_is_closed_does_not_wait_for_a_reporter_for_ever() {
    let uploader = upload(|_| std::future::pending()).await;
    tokio::time::timeout(Duration::from_secs(20), uploader.close()).await.unwrap();
}

#[tokio::test]
async fn what_happened_is_told_in_order_and_holds_no_secret() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let take = taken.clone();
    let uploader = upload(move |reports: Vec<Report>| {
        take.lock().unwrap().extend(reports);
        async { Ok(()) }
    })
    .await;
    // An application that ends right after this has told all.
    uploader.close().await;
    let reports = taken.lock().unwrap().clone();
    assert_eq!(reports[0].what, Reported::Started);
    assert_eq!(reports.last().unwrap().what, Reported::Succeeded);
    let parts: Vec<u32> = reports
        .iter()
        .filter_map(|report| match report.what {
            Reported::Part { number, .. } => Some(number),
            _ => None,
        })
        .collect();
    assert_eq!(parts, [1, 2, 3]);
    let retries = reports.iter().filter(|report| matches!(report.what, Reported::Retry(_)));
    assert_eq!(retries.count(), 1);
    for report in &reports {
        assert_eq!(report.name, "a.mp4");
        assert_eq!(report.attempt, reports[0].attempt);
        let text = format!("{report:?} {}", report.to_json());
        assert!(!text.contains("hush") && !text.contains("/tmp"), "{text}");
    }
    assert_eq!(reports[0].size, Some(PART * 3));
}

#[tokio::test]
async fn where_files_are_on_this_machine_is_not_told() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let take = taken.clone();
    let reporter = move |reports: Vec<Report>| {
        take.lock().unwrap().extend(reports);
        async { Ok(()) }
    };
    let folder = tempfile::tempdir().unwrap();
    let (http, _storage) = script();
    let builder = Uploader::builder().http(http).reporter(reporter);
    let uploader = builder.build().unwrap();
    let missing = folder.path().join("private").join("b.mp4");
    uploader.add(File::path(&missing).to(target("k.mp4"), credential())).unwrap();
    uploader.start();
    let error = uploader.wait().await[0].error.clone().unwrap();
    assert!(error.message.contains(missing.to_str().unwrap()), "{error:?}");
    uploader.close().await;
    let reports = taken.lock().unwrap().clone();
    let Reported::Failed(told) = &reports.last().unwrap().what else { panic!("{reports:?}") };
    assert_eq!((told.kind, &told.code), (error.kind, &error.code));
    assert!(told.message.contains("b.mp4"), "{told:?}");
    let text = format!("{reports:?}");
    assert!(!text.contains("private"), "{text}");
}

#[tokio::test]
async fn an_application_server_is_told_in_batches() {
    let (http, mut server) = script();
    let app = AppServer::new("http://app.test/x").unwrap().bearer("hush-bearer").http(http);
    let uploader = upload(app).await;
    let mut events = Vec::new();
    while events.last().is_none_or(|last| last != "Succeeded") {
        let asked = server.expect("POST /x/api/upload-reports").await;
        assert_eq!(asked.header("authorization"), Some("Bearer hush-bearer"));
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        for report in body["Reports"].as_array().unwrap() {
            events.push(report["Event"].as_str().unwrap().to_owned());
        }
        asked.reply(response(200, &[], "{}"));
    }
    assert_eq!(events[0], "Started");
    assert_eq!(events.iter().filter(|event| *event == "Part").count(), 3);
    drop(uploader);
}
