//! Skipped tests are told and counted although the harness captures what passing tests print.

use std::process::Command;

use vodferry_testkit::skip::skipped;

#[test]
fn a_skipped_test_is_told_past_the_capture_and_counted() {
    if std::env::var_os("VODFERRY_SKIP_VICTIM").is_some() {
        skipped("one", "no such\nthing");
        skipped("two", "no");
        return;
    }
    let list = std::env::temp_dir().join(format!("vodferry-skip-{}", std::process::id()));
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_skipped_test_is_told_past_the_capture_and_counted"])
        .env("VODFERRY_SKIP_VICTIM", "1")
        .env("VODFERRY_SKIPPED", &list)
        .output()
        .unwrap();
    let counted = std::fs::read_to_string(&list);
    let _ = std::fs::remove_file(&list);
    let told = "skipped: one: no such thing\nskipped: two: no\n";
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stderr), told);
    assert_eq!(counted.unwrap(), told);
}
