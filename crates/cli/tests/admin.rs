//! `vodferry admin`, on the folder of a server that runs.

mod common;

use std::fs;

use common::{Ran, TestEnv};
use serde_json::Value;

const ALL: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Runs `admin … --json` with success; its lines.
fn admin(env: &TestEnv, data: &str, args: &[&str]) -> Vec<Value> {
    let ran = env.run(&[&["admin", "--data", data, "--json"], args].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn keys_are_managed_beside_a_running_server() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let data = server.data.to_str().unwrap();
    let made = admin(&env, data, &["keys", "create", "--tenant", "main"]).remove(0);
    let (id, secret) =
        (made["access_key_id"].as_str().unwrap(), made["access_key_secret"].as_str().unwrap());
    let film = env.file("film.mp4", 300_000);
    let upload = || {
        let args =
            ["upload", film.to_str().unwrap(), "--endpoint", &server.url, "--bucket", "vod-media"];
        let mut command = env.command(&args);
        command.env("VODFERRY_ACCESS_KEY_ID", id).env("VODFERRY_ACCESS_KEY_SECRET", secret);
        Ran::of(&mut command)
    };
    let ran = upload();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let off = admin(&env, data, &["keys", "disable", id]).remove(0);
    assert_eq!(off["status"], "disabled");
    upload().fails(3, "");
    admin(&env, data, &["keys", "enable", id]);
    let ran = upload();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let next = admin(&env, data, &["keys", "rotate", id, "--grace", "0"]).remove(0);
    assert_ne!(next["access_key_id"], id);
    assert_eq!(next["tenant"], "main");
    upload().fails(3, "");
    admin(&env, data, &["keys", "delete", id]);

    let listed = env.run(&["admin", "keys", "list", "--data", data]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert_eq!(listed.stdout.lines().count(), 2);
    let keys = fs::read_to_string(server.keys_file()).unwrap();
    for line in keys.lines().filter(|line| line.starts_with("secret") || line.starts_with("key")) {
        let secret = line.split('"').nth(1).unwrap();
        assert!(!listed.stdout.contains(secret), "{listed:?}");
    }
}

#[test]
fn roles_masters_and_the_token() {
    let env = TestEnv::new();
    let server = env.serve(&[]);
    let data = server.data.to_str().unwrap();
    let policy = env.text("policy.json", ALL);
    let policy = policy.to_str().unwrap();
    let args = ["roles", "create", "studio", "--policy", policy, "--assumed-by", "main"];
    let made = admin(&env, data, &args).remove(0);
    assert_eq!((&made["name"], &made["policy"]), (&"studio".into(), &ALL.into()));
    assert_eq!(admin(&env, data, &["roles", "list"]).len(), 2);
    env.run(&[&["admin", "--data", data], &args[..]].concat()).fails(2, "there is a role studio");
    admin(&env, data, &["roles", "delete", "studio"]);
    assert_eq!(admin(&env, data, &["roles", "list"]).len(), 1);

    let masters = admin(&env, data, &["masters", "rotate"]);
    assert_eq!((&masters[0]["kid"], &masters[1]["status"]), (&"k2".into(), &"retired".into()));
    assert_eq!(admin(&env, data, &["masters", "drop", "k1"]).len(), 1);
    assert_eq!(admin(&env, data, &["masters", "list"])[0]["status"], "current");

    let token = admin(&env, data, &["token"]).remove(0);
    let keys = fs::read_to_string(server.keys_file()).unwrap();
    assert!(keys.contains(&format!("admin_token = {}", token["admin_token"])), "{token}");
}

#[test]
fn wrong_calls_are_explained() {
    let env = TestEnv::new();
    let ran = env.run(&["admin", "keys", "list"]).fails(8, "keys.toml");
    assert!(ran.stderr.contains("hint: --data"), "{ran:?}");
    let ran = env.run(&["admin", "keys", "create"]).fails(8, "keys.toml");
    assert!(ran.stderr.contains("hint: --data"), "{ran:?}");
    assert!(!env.path("vodferry-data").exists(), "a look makes nothing");
    let server = env.serve(&[]);
    let data = server.data.to_str().unwrap();
    let admin = |args: &[&str]| env.run(&[&["admin", "--data", data], args].concat());
    admin(&["keys", "disable", "VFx"]).fails(2, "there is no access key VFx");
    admin(&["keys", "create", "--tenant", "A b"]).fails(2, "a tenant is");
    admin(&["keys", "rotate", "VFx", "--grace", "soon"]).fails(2, "");
    admin(&["masters", "drop", "k1"]).fails(2, "rotate masters first");
    let policy = env.text("policy.json", "{}");
    let policy = policy.to_str().unwrap();
    let ran = admin(&["roles", "create", "a", "--policy", policy]).fails(2, "the policy");
    assert!(ran.stderr.contains("hint:"), "{ran:?}");
    admin(&["roles", "create", "a", "--policy", "missing.json"]).fails(8, "missing.json");
    fs::write(server.keys_file(), "garbage").unwrap();
    let ran = admin(&["keys", "list"]).fails(8, "keys.toml");
    assert!(!ran.stderr.contains("garbage"), "{ran:?}");
}
