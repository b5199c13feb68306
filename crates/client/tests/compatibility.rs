//! `docs/reference/compatibility.md`: every test that it names exists and runs, no row is forgotten; and the tests of rows that nothing else shows.

#[path = "stepwise/script.rs"]
#[allow(dead_code, reason = "shared with the stepwise tests, which use all of it")]
mod script;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use script::{Desk, event};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use vodferry::{ErrorKind, Event, File, Target};

/// Rows about browsers, from J1.
const BROWSER_ROWS: usize = 58;

/// The table and the root of the repository.
fn table() -> (String, &'static Path) {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let text = std::fs::read_to_string(root.join("docs/reference/compatibility.md"));
    (text.expect("the table"), root)
}

/// Whether `name` is a test in `source`, and not an ignored one.
fn runs(source: &str, name: &str) -> bool {
    let begins = [format!("fn {name}("), format!("async fn {name}(")];
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_it = |line: &&str| begins.iter().any(|begin| line.starts_with(begin));
    let Some(at) = lines.iter().position(|line| is_it(line)) else { return false };
    // What stands directly above: attributes and comments.
    let above = lines.iter().take(at).rev();
    let above: Vec<_> =
        above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
    let is_test = |line: &str| line == "#[test]" || line.starts_with("#[tokio::test");
    above.iter().any(|line| is_test(line)) && !above.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn only_a_test_that_runs_counts() {
    let source = "#[test]\nfn a() {}\n#[tokio::test]\n/// Why.\nasync fn b() {}\nfn c() {}\n\
                  #[test]\n#[ignore = \"slow\"]\nfn d() {}\n// fn e() {}\n";
    let found: Vec<&str> =
        ["a", "b", "c", "d", "e"].into_iter().filter(|n| runs(source, n)).collect();
    assert_eq!(found, ["a", "b"]);
}

/// The rows: name and tests.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row "));
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ");
            let name = cells.next().unwrap_or_default().trim();
            (name, cells.nth(1).unwrap_or_default())
        })
        .collect()
}

#[test]
fn every_test_that_the_table_names_exists_and_runs() {
    let (text, root) = table();
    let mut named = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        if let Some((path, name)) = quoted.split_once("::").filter(|(path, _)| path.contains('/')) {
            let source = std::fs::read_to_string(root.join(path));
            let source = source.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(runs(&source, name), "{path} has no test {name} that runs");
            named += 1;
        } else if quoted.starts_with("conformance/") {
            assert!(root.join(quoted).is_file(), "there is no {quoted}");
            named += 1;
        }
    }
    assert!(named > 100, "{named} tests");
}

#[test]
fn no_row_is_forgotten_and_each_has_a_test_or_says_why_not() {
    let (text, _) = table();
    let rows = rows(&text);
    let mobile = (1..=38).chain([45]).chain(48..=62).map(|number| number.to_string());
    let browsers = (1..=BROWSER_ROWS).map(|number| format!("J{number}"));
    for number in mobile.chain(browsers) {
        let has = |(name, _): &&(&str, &str)| name.split(' ').next() == Some(&number);
        assert_eq!(rows.iter().filter(has).count(), 1, "row {number}");
    }
    for (name, shown) in &rows {
        let shown = shown.contains('`') || shown.trim() == "*browser*";
        assert!(shown, "{name} has neither a test nor a reason");
    }
    assert_eq!(rows.len(), 54 + BROWSER_ROWS, "rows without a number");
}

#[tokio::test]
async fn without_a_record_folder_nothing_is_kept() {
    let desk = Desk::new(3 * script::PART as usize);
    let mut options = desk.options();
    options.record_dir = None;
    for _ in 0..2 {
        let (uploader, mut server) = desk.uploader_with(options.clone());
        uploader.add(desk.file()).unwrap();
        uploader.start();
        // The second uploader knows nothing of the first one's upload.
        server.expect("initiate").await.initiated("u1");
        server.expect("part 1").await.stored();
        server.expect("part 2").await;
        uploader.close().await;
    }
    let left: Vec<_> = std::fs::read_dir(desk.dir()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_place_with_a_blank_fails_its_file_before_anything_is_sent() {
    let desk = Desk::new(3);
    let (uploader, mut server) = desk.uploader();
    let mut events = uploader.events();
    for (endpoint, bucket, key) in
        [("", "films", "k"), ("http://127.0.0.1:9", "", "k"), ("http://127.0.0.1:9", "films", "")]
    {
        let [endpoint, bucket, key] = [endpoint, bucket, key].map(str::to_owned);
        let target = Target { endpoint, bucket, key };
        uploader.add(File::path(desk.path()).to(target, script::credential())).unwrap();
    }
    uploader.add(desk.file()).unwrap();
    uploader.start();
    // The first request is that of the file whose place is whole.
    server.expect("put").await.stored();
    for _ in 0..3 {
        let error = script::failure(&mut events).await;
        assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    }
    while !matches!(event(&mut events).await, Event::Succeeded { .. }) {}
}

#[tokio::test]
async fn a_run_that_a_failure_halts_is_over_for_who_waits() {
    let desk = Desk::new(2 * script::PART as usize);
    let mut options = desk.options();
    options.halt_on_failure = true;
    let (uploader, mut server) = desk.uploader_with(options);
    uploader.add(desk.file()).unwrap();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    server.expect("initiate").await.refuse(403, "AccessDenied");
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), uploader.wait()).await;
    let states: Vec<_> = waited.expect("an end").iter().map(|file| file.state).collect();
    assert_eq!(states, [vodferry::FileState::Failed, vodferry::FileState::Waiting]);
}

#[tokio::test]
async fn a_place_in_the_list_names_its_file_in_every_state() {
    use vodferry::FileState::{Active, Canceled, Failed, Paused, Succeeded, Waiting};
    let desk = Desk::new(10);
    let mut options = desk.options();
    options.files_at_once = 1;
    let (uploader, mut server) = desk.uploader_with(options);
    let mut events = uploader.events();
    let ids: Vec<_> = (0..6).map(|_| uploader.add(desk.file()).unwrap()).collect();
    let states = |uploader: &vodferry::Uploader| -> Vec<_> {
        let state = |at| uploader.file(uploader.at(at)?).map(|file| file.state);
        (0..).map_while(state).collect()
    };
    let places = |uploader: &vodferry::Uploader| -> Vec<_> {
        (0..).map_while(|at| uploader.at(at)).collect()
    };
    uploader.pause(uploader.at(3)).unwrap();
    uploader.cancel(uploader.at(4).unwrap()).unwrap();
    assert_eq!(states(&uploader), [Waiting, Waiting, Waiting, Paused, Canceled, Waiting]);
    uploader.start();
    server.expect("put").await.stored();
    server.expect("put").await.refuse(403, "AccessDenied");
    let under_way = server.expect("put").await;
    assert_eq!(states(&uploader), [Succeeded, Failed, Active, Paused, Canceled, Waiting]);
    assert_eq!(places(&uploader), ids);
    assert_eq!([uploader.at(6), uploader.at(usize::MAX)], [None, None]);

    // A verb about a place is one about its file: nothing here has the place that it had.
    uploader.remove(uploader.at(1).unwrap()).unwrap();
    uploader.restore(uploader.at(3).unwrap()).unwrap();
    assert_eq!(states(&uploader), [Succeeded, Active, Paused, Waiting, Waiting]);
    assert_eq!(places(&uploader), [ids[0], ids[2], ids[3], ids[4], ids[5]]);
    under_way.stored();
    for _ in 0..2 {
        server.expect("put").await.stored();
    }
    uploader.resume(uploader.at(2)).unwrap();
    server.expect("put").await.stored();
    while !matches!(event(&mut events).await, Event::Ended { .. }) {}
    assert_eq!(states(&uploader), [Succeeded; 5]);
    uploader.clear();
    assert_eq!(uploader.at(0), None);
}

#[tokio::test]
async fn the_checkpoint_of_what_grew_is_found_by_its_path() {
    let desk = Desk::new(1);
    let options = desk.options();
    let records = vodferry::Checkpoints::open(options.record_dir.clone().unwrap());
    let (uploader, mut server) = desk.uploader_with(options);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.mp4");
    std::fs::write(&path, vec![7; 3 * script::PART as usize]).unwrap();
    let (file, growth) = File::growing(&path);
    let [endpoint, bucket, key] = ["http://127.0.0.1:9", "films", "k"].map(str::to_owned);
    let file = file.part_size(script::PART);
    uploader.add(file.to(Target { endpoint, bucket, key }, script::credential())).unwrap();
    uploader.start();
    growth.ready(0..script::PART + 1);
    server.expect("initiate").await.initiated("u1");
    server.expect("part 1").await.stored();
    while records.list().unwrap().first().is_none_or(|info| info.parts < 1) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let found = |path: &Path| records.of(path).map(|found| found.len());
    assert_eq!(found(&path).unwrap(), 1);
    assert_eq!(found(&desk.path()).unwrap(), 0);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found(&path).unwrap(), 1);
    assert_eq!(found(&folder.path().join("other.mp4")).unwrap_err().code(), "FileNotFound");
    uploader.close().await;
}

/// Takes every span and event of every level as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0.lock().unwrap(), "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_secret_is_logged() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let desk = Desk::new(2 * script::PART as usize);
    let (uploader, mut server) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    server.expect("initiate").await.initiated("u1");
    server.expect("part 1").await.refuse(500, "InternalError");
    let lost = vodferry::TransportError::new(vodferry::TransportErrorKind::Lost, "cut");
    server.expect("part 1").await.fail(lost);
    server.expect("part 1").await.refuse(403, "SignatureDoesNotMatch");
    let mut told = String::new();
    loop {
        let event = event(&mut events).await;
        let _ = write!(told, "{event:?} ");
        if matches!(event, Event::Ended { .. }) {
            break;
        }
    }
    let _ = write!(told, "{:?} {:?}", uploader.files(), desk.file());
    let log = log.0.lock().unwrap().clone();
    assert!(log.contains("part 1"), "nothing was logged: {log}");
    assert!(told.contains("SignatureDoesNotMatch"));
    assert!(!log.contains("hush") && !told.contains("hush"), "{log}\n{told}");
}
