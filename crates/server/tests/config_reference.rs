//! The reference of the configuration is made of the comments in the code. `WRITE_REFERENCE=1 cargo test
//! -p vodferry-server --test config_reference` writes it anew.

use std::path::Path;

use vodferry_server::Config;

const HEAD: &str = "\
# Configuration of the server

<!-- Made of the comments in crates/server/src by crates/server/tests/config_reference.rs; edit there. -->

`vodferry serve` takes its settings from the table `[serve]` of the configuration file (`--config FILE`, by default
`~/.config/vodferry/config.toml`); the flags that win over it are in [cli.md](cli.md). Each setting may be left out, and a name that is not
known is an error. Times are seconds, whole or broken; sizes are bytes.

On SIGHUP the access log is opened again, and certificate and key are read again; all else takes a restart. On a terminal a server that has neither ends, as any program does.
";

const TAIL: &str = "\
## An example

```toml
[serve]
listen = \"0.0.0.0:443\"
public_endpoint = \"https://upload.example.com\"
data = \"/var/lib/vodferry\"
metrics_listen = \"127.0.0.1:9100\"
access_log = \"/var/log/vodferry/access.log\"

[serve.tls]
cert = \"/etc/vodferry/cert.pem\"
key = \"/etc/vodferry/key.pem\"

[serve.callback]
allow = [\"app.internal\", \"10.20.0.0/16\"]

[serve.cnames]
\"media.example.com\" = \"vod-media\"

[serve.quota]
bytes = 1_000_000_000_000

[serve.quotas.studio]
objects = 100_000

[serve.limits]
connections = 10_000
```

## The access log

One object of JSON per line. Fields that are not known are left out; names are kept, new ones may be added.

| field | |
|---|---|
| `time` | when the request came, UTC |
| `request_id` | the one that the reply carries |
| `remote`, `tls`, `protocol` | the client, whether what it sends is encrypted, the version of HTTP |
| `via` | the trusted proxy that said who the client is, if there is one |
| `method`, `path` | as sent, without the query |
| `bucket`, `key`, `operation` | what it is about, and the name of the operation as OSS, STS or VOD have it |
| `part` | the number of the part, where it is about one |
| `access_key_id` | the key that it names, if there is such a key; whether it signed, the status tells |
| `status`, `code` | of the reply; `status` is `null` when the client left first |
| `callback` | how the callback of an upload went: `answered`, or why not: `busy`, `unsigned`, `unknown_host`, `forbidden` (by `[serve.callback]`), `unreachable`, `tls`, `late`, `status`, `bad_answer` |
| `received`, `sent` | bytes of the bodies |
| `ms` | from the head of the request to the last byte of the reply |
| `user_agent` | as sent |

## Metrics

`http://METRICS_LISTEN/metrics` answers in the OpenMetrics format, which Prometheus reads: `vodferry_requests_total` by operation, HTTP status
and code, `vodferry_request_seconds` (a histogram) by operation, `vodferry_requests_in_flight`, `vodferry_received_bytes_total`,
`vodferry_sent_bytes_total`, `vodferry_parts_total`, `vodferry_part_bytes_total`, `vodferry_connections`,
`vodferry_certificate_loads_total`, `vodferry_access_log_lost_lines_total`, `vodferry_callbacks_total` by outcome (the words of the access log), `vodferry_callback_seconds` (a histogram), of the database `vodferry_commit_seconds` and
`vodferry_commit_commands` (histograms: how long a transaction takes, and how many waiting commands shared it) and `vodferry_failed_commits_total`, of the process `process_resident_memory_bytes` and `process_open_fds` (on Linux), and of the janitor `vodferry_janitor_rounds_total`,
`…_failures_total`, `…_expired_uploads_total`, `…_deleted_blobs_total`, `…_forgotten_completions_total`, `…_last_round_seconds`, and of lifecycle rules `vodferry_lifecycle_deleted_objects_total` and
`vodferry_lifecycle_aborted_uploads_total`.
";

/// Tables in the order of the page: title, what stands above, source, name of the struct, prefix of the defaults.
const TABLES: &[(&str, &str, &str, &str)] = &[
    ("[serve]", include_str!("../src/config.rs"), "Config", ""),
    ("[serve.tls]", include_str!("../src/config.rs"), "TlsFiles", "tls"),
    ("[serve.callback]", include_str!("../src/config.rs"), "CallbackRules", "callback"),
    (
        "[serve.quota] and [serve.quotas.TENANT]",
        include_str!("../src/store/quota.rs"),
        "Quota",
        "quota",
    ),
    ("[serve.limits]", include_str!("../src/config.rs"), "Limits", "limits"),
];

#[test]
fn the_reference_is_current() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differs = found.lines().zip(page.lines()).position(|(old, new)| old != new);
    assert!(
        found == page,
        "docs/reference/config.md is not current (line {:?}): run this test with WRITE_REFERENCE=1",
        differs.map(|line| line + 1)
    );
}

#[test]
fn no_setting_is_missing() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let page = page();
    let limits = defaults["limits"].as_table().unwrap();
    let callback = defaults["callback"].as_table().unwrap();
    for name in defaults.keys().chain(limits.keys()).chain(callback.keys()) {
        let listed = page.contains(&format!("| `{name}` |"));
        assert!(
            listed || ["callback", "limits", "quota", "quotas"].contains(&name.as_str()),
            "{name}"
        );
    }
    assert!(limits.len() > 10 && defaults.len() > 10);
}

/// The example is one that the server takes.
#[test]
fn the_example_is_understood() {
    let example = TAIL.split("```").nth(1).unwrap().trim_start_matches("toml");
    let table: toml::Table = example.parse().unwrap();
    let config: Config = table["serve"].clone().try_into().unwrap();
    config.check().unwrap();
    assert_eq!(config.cnames["media.example.com"], "vod-media");
    assert_eq!(config.quotas["studio"].objects, Some(100_000));
    assert!(config.tls.is_some() && config.limits.connections == 10_000);
}

fn page() -> String {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let mut page = HEAD.to_owned();
    for (title, source, name, prefix) in TABLES {
        let (about, fields) = described(source, name);
        page.push_str(&format!("\n## `{}`\n\n{about}\n\n", title.replace(" and ", "` and `")));
        page.push_str("| setting | default | |\n|---|---|---|\n");
        let values = match *prefix {
            "" => Some(&defaults),
            table => defaults.get(table).and_then(toml::Value::as_table),
        };
        for (field, text) in fields {
            let default = match values.and_then(|values| values.get(&field)) {
                // A table has a section of its own.
                Some(toml::Value::Table(_)) if has_section(&field) => continue,
                Some(value) => format!("`{value}`"),
                None if text.contains("Default none") => String::new(),
                None if *prefix == "tls" => "needed".to_owned(),
                None => String::new(),
            };
            if text.starts_with("Certificate and key") {
                continue;
            }
            page.push_str(&format!("| `{field}` | {default} | {text} |\n"));
        }
    }
    page.push('\n');
    page.push_str(TAIL);
    page
}

fn has_section(field: &str) -> bool {
    let named = |title: &str| {
        let end = title.split(&format!("[serve.{field}")).nth(1);
        end.is_some_and(|end| end.starts_with([']', '.']))
    };
    TABLES.iter().any(|(title, ..)| named(title))
}

/// The comment above a struct, and those above its public fields.
fn described(source: &str, name: &str) -> (String, Vec<(String, String)>) {
    let (mut comment, mut about) = (String::new(), None);
    let mut fields = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else if about.is_some() && line == "}" {
            break;
        } else if line == format!("pub struct {name} {{") {
            about = Some(std::mem::take(&mut comment));
        } else if let Some(rest) = line.strip_prefix("pub ").filter(|_| about.is_some()) {
            let (field, _) = rest.split_once(':').unwrap();
            fields.push((field.to_owned(), tidy(&std::mem::take(&mut comment))));
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    assert!(!fields.is_empty(), "no {name}");
    (tidy(&about.unwrap()), fields)
}

/// One paragraph for a cell of a table.
fn tidy(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
