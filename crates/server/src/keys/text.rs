//! The keys file as text: read with every rule checked, and written.

use serde::Deserialize;
use toml::Spanned;
use vodferry_oss::Secret;
use vodferry_oss::time::{format_iso, parse_iso};
use zeroize::Zeroizing;

use super::{AccessKey, DEFAULT_TENANT, Keys, Master, Masters, Role};
use crate::policy::Policy;
use crate::token::KeyMark;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysToml {
    app_server_token: Spanned<String>,
    admin_token: Option<Spanned<String>>,
    current_master: Spanned<String>,
    access_key: Vec<AccessKeyToml>,
    #[serde(default)]
    role: Vec<RoleToml>,
    master: Vec<MasterToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKeyToml {
    id: Spanned<String>,
    secret: Spanned<String>,
    tenant: Option<Spanned<String>>,
    #[serde(default)]
    disabled: bool,
    expires: Option<Spanned<String>>,
    created: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleToml {
    name: Spanned<String>,
    id: Spanned<String>,
    tenant: Option<Spanned<String>>,
    assumed_by: Option<Spanned<Vec<String>>>,
    policy: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterToml {
    kid: Spanned<String>,
    key: Spanned<String>,
    retired: Option<Spanned<String>>,
}

/// Reads a keys file; a refusal names the line and quotes nothing of it.
pub(super) fn parse(text: &str) -> Result<Keys, (usize, String)> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    let file: KeysToml = toml::from_str(text).map_err(|e| {
        (line(e.span().map_or(0, |span| span.start)), without_values(e.message()).to_owned())
    })?;
    let flaw = |at: usize, what: &str| (line(at), what.to_owned());
    let check = |field: &Spanned<String>, good: bool, what: &str| {
        if good { Ok(()) } else { Err(flaw(field.span().start, what)) }
    };
    let time = |field: Option<Spanned<String>>| match &field {
        None => Ok(None),
        Some(field) => match parse_iso(field.get_ref()).and_then(|ms| u64::try_from(ms).ok()) {
            Some(ms) => Ok(Some(ms)),
            None => Err(flaw(field.span().start, "a time looks like 2026-11-20T10:00:00Z")),
        },
    };
    let tenant_of = |field: Option<Spanned<String>>| match field {
        None => Ok(DEFAULT_TENANT.to_owned()),
        Some(field) => {
            check(&field, is_tenant(field.get_ref()), TENANT_RULE)?;
            Ok(field.into_inner())
        }
    };

    for token in [Some(&file.app_server_token), file.admin_token.as_ref()].into_iter().flatten() {
        let long = token.get_ref().len() >= 16 && is_plain(token.get_ref());
        check(token, long, "a token needs at least 16 visible ASCII characters")?;
    }

    let mut access_keys: Vec<AccessKey> = Vec::new();
    for AccessKeyToml { id, secret, tenant, disabled, expires, created } in file.access_key {
        let name = id.get_ref();
        let good = (1..=128).contains(&name.len()) && is_plain(name) && !name.starts_with("STS.");
        check(&id, good, "an access key id is 1 to 128 visible ASCII characters, not STS.…")?;
        check(&id, access_keys.iter().all(|k| k.id != *name), "this access key id came before")?;
        let good = secret.get_ref().len() >= 16 && is_plain(secret.get_ref());
        check(&secret, good, "a secret needs at least 16 visible ASCII characters")?;
        access_keys.push(AccessKey {
            secret: Secret::new(secret.into_inner()),
            mark: KeyMark::of(name),
            id: id.into_inner(),
            tenant: tenant_of(tenant)?,
            disabled,
            expires_ms: time(expires)?,
            created_ms: time(created)?,
        });
    }

    let mut roles: Vec<Role> = Vec::new();
    for RoleToml { name, id, tenant, assumed_by, policy } in file.role {
        check(&name, is_role_name(name.get_ref()), ROLE_RULE)?;
        let new = roles.iter().all(|r| !r.name.eq_ignore_ascii_case(name.get_ref()));
        check(&name, new, "this role came before")?;
        let digits = id.get_ref().bytes().all(|b| b.is_ascii_digit());
        check(&id, digits && id.get_ref().len() == 16, "the id of a role is 16 digits")?;
        check(&id, roles.iter().all(|r| r.id != *id.get_ref()), "this id of a role came before")?;
        let tenant = tenant_of(tenant)?;
        let assumed_by = match assumed_by {
            None => vec![tenant.clone()],
            Some(list) if list.get_ref().iter().all(|name| is_tenant(name)) => list.into_inner(),
            Some(list) => return Err(flaw(list.span().start, TENANT_RULE)),
        };
        let at = policy.span().start;
        let parsed =
            Policy::parse(policy.get_ref()).map_err(|error| flaw(at, &error.to_string()))?;
        roles.push(Role {
            name: name.into_inner(),
            id: id.into_inner(),
            tenant,
            assumed_by,
            policy: parsed,
            policy_text: policy.into_inner(),
        });
    }

    let mut masters: Vec<Master> = Vec::new();
    for MasterToml { kid, key, retired } in file.master {
        let good = (1..=32).contains(&kid.get_ref().len()) && is_plain(kid.get_ref());
        check(&kid, good, "a kid is 1 to 32 visible ASCII characters")?;
        check(&kid, masters.iter().all(|m| m.kid != *kid.get_ref()), "this kid came before")?;
        let hex = key.get_ref().bytes().all(|b| b.is_ascii_hexdigit());
        check(&key, hex && key.get_ref().len() == 64, "a master key is 64 hexadecimal digits")?;
        masters.push(Master {
            kid: kid.into_inner(),
            key: Secret::new(key.into_inner()),
            retired_ms: time(retired)?,
        });
    }
    let current = &file.current_master;
    let at = masters.iter().position(|m| m.kid == *current.get_ref());
    check(current, at.is_some(), "current_master names no [[master]]")?;
    masters.swap(0, at.unwrap_or(0));

    Ok(Keys {
        access_keys,
        roles,
        masters: Masters { keys: masters },
        app_server_token: Secret::new(file.app_server_token.into_inner()),
        admin_token: file.admin_token.map(|token| Secret::new(token.into_inner())),
    })
}

/// Writes a keys file, which reads as the same keys.
pub(super) fn format(keys: &Keys) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::from(
        "# Secrets of this vodferry server: whoever reads this file owns it.\n\
         # A running server takes up what changes here. `vodferry admin` rewrites the file; comments are lost then.\n",
    ));
    push(&mut out, "app_server_token", keys.app_server_token.expose());
    if let Some(token) = &keys.admin_token {
        push(&mut out, "admin_token", token.expose());
    }
    push(&mut out, "current_master", keys.masters.current().map_or("", |master| &master.kid));
    for key in &keys.access_keys {
        out.push_str("\n[[access_key]]\n");
        push(&mut out, "id", &key.id);
        push(&mut out, "secret", key.secret.expose());
        push(&mut out, "tenant", &key.tenant);
        if key.disabled {
            out.push_str("disabled = true\n");
        }
        push_time(&mut out, "expires", key.expires_ms);
        push_time(&mut out, "created", key.created_ms);
    }
    for role in &keys.roles {
        out.push_str("\n[[role]]\n");
        push(&mut out, "name", &role.name);
        push(&mut out, "id", &role.id);
        push(&mut out, "tenant", &role.tenant);
        let names: Vec<String> = role.assumed_by.iter().map(|name| quoted(name)).collect();
        out.push_str(&format!("assumed_by = [{}]\n", names.join(", ")));
        push(&mut out, "policy", &role.policy_text);
    }
    for master in &keys.masters.keys {
        out.push_str("\n[[master]]\n");
        push(&mut out, "kid", &master.kid);
        push(&mut out, "key", master.key.expose());
        push_time(&mut out, "retired", master.retired_ms);
    }
    out
}

/// 1 to 32 of a-z, 0-9, `-` and `_`.
pub(crate) fn is_tenant(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`.
pub(super) fn is_role_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

pub(super) const TENANT_RULE: &str = "a tenant is 1 to 32 of a-z, 0-9, - and _";
pub(super) const ROLE_RULE: &str = "the name of a role is 1 to 64 of A-Z, a-z, 0-9, ., _ and -";

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

fn push(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(" = ");
    out.push_str(&Zeroizing::new(quoted(value)));
    out.push('\n');
}

fn push_time(out: &mut String, name: &str, ms: Option<u64>) {
    if let Some(ms) = ms {
        push(out, name, &written(ms));
    }
}

/// A moment, given in milliseconds since 1970, as the keys file has it: `2026-11-20T10:00:00Z`.
pub fn written(ms: u64) -> String {
    format_iso(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

/// Messages of the parser may quote the value that they refuse.
fn without_values(message: &str) -> &str {
    match message.split_once(", expected ") {
        Some((before, _)) if before.starts_with("invalid type") => "not the type of this field",
        Some((before, _)) if before.starts_with("invalid value") => "not a value of this field",
        _ => message.lines().next().unwrap_or("damaged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"# comment
app_server_token = "0123456789abcdef"
current_master = "k2"

[[access_key]]
id = "VFroot"
secret = "very-secret-0123456789"

[[master]]
kid = "k1"
key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[master]]
kid = "k2"
key = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
"#;

    const MORE: &str = r#"
[[access_key]]
id = 'VF"odd\'
secret = "other-secret-0123456789"
tenant = "studio"
disabled = true
expires = "2026-11-20T10:00:00Z"
created = "2026-11-20T09:00:00Z"

[[role]]
name = "Up.loader"
id = "3100000000000001"
tenant = "studio"
assumed_by = ["main", "studio"]
policy = '{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*"}]}'
"#;

    #[test]
    fn the_current_master_is_the_one_named() {
        let keys = parse(GOOD).unwrap();
        assert_eq!(keys.masters.current().unwrap().kid, "k2");
        assert_eq!(keys.masters.find(b"k1").unwrap().key.expose(), "a".repeat(64));
        assert!(keys.masters.find(b"k3").is_none());
    }

    #[test]
    fn what_a_file_leaves_out_has_a_default() {
        let keys = parse(GOOD).unwrap();
        let key = keys.root().unwrap();
        assert_eq!(key.tenant, "main");
        assert!(key.is_active(u64::MAX));
        assert!(keys.admin_token.is_none() && keys.roles().is_empty());
        let role = MORE.replace("assumed_by = [\"main\", \"studio\"]\n", "");
        let keys = parse(&format!("{GOOD}{role}")).unwrap();
        assert_eq!(keys.role("uP.LOADER").unwrap().assumed_by, ["studio"]);
    }

    #[test]
    fn what_is_written_is_read_alike() {
        let text =
            GOOD.replace("current_master", "admin_token = \"fedcba9876543210\"\ncurrent_master");
        let mut keys = parse(&format!("{text}{MORE}")).unwrap();
        keys.masters.keys[1].retired_ms = Some(1_795_168_800_000);
        let again = parse(&format(&keys)).unwrap();
        assert_eq!(again.access_keys, keys.access_keys);
        assert_eq!(again.access_key("VF\"odd\\").unwrap().expires_ms, Some(1_795_168_800_000));
        assert_eq!(again.roles, keys.roles);
        assert_eq!(again.app_server_token, keys.app_server_token);
        assert_eq!(again.admin_token, keys.admin_token);
        let names = |keys: &Keys| {
            keys.masters.names().map(|(kid, at)| (kid.to_owned(), at)).collect::<Vec<_>>()
        };
        assert_eq!(names(&again), names(&keys));
        assert_eq!(format(&again), format(&keys));
    }

    #[test]
    fn damage_is_named_by_its_line_and_never_quoted() {
        let long = "b".repeat(64);
        let good = format!("{GOOD}{MORE}");
        for (from, to, line, says) in [
            ("current_master = \"k2\"", "current_master = \"k3\"", 3, "names no"),
            ("current_master = \"k2\"", "current_master = 31337", 3, "not the type"),
            ("current_master = \"k2\"", "current = \"k2\"", 3, "unknown field"),
            ("\"very-secret-0123456789\"", "\"short31337\"", 7, "at least 16"),
            ("\"very-secret-0123456789\"", "\"very-secret-31337", 7, ""),
            ("\"very-secret-0123456789\"", "very-secret-31337", 7, ""),
            ("id = \"VFroot\"", "id = \"STS.31337\"", 6, "access key id"),
            ("id = \"VFroot\"", "id = \"\"", 6, "access key id"),
            ("kid = \"k2\"", "kid = \"k1\"", 14, "came before"),
            (long.as_str(), "31337", 15, "64 hexadecimal"),
            ("\"0123456789abcdef\"", "\"31337\"", 2, "at least 16"),
            ("tenant = \"studio\"\ndis", "tenant = \"Studio 31337\"\ndis", 20, "a tenant is"),
            ("disabled = true", "disabled = 31337", 21, "not the type"),
            ("2026-11-20T10:00:00Z", "31337", 22, "a time looks like"),
            ("\"Up.loader\"", "\"31337/x\"", 26, "name of a role"),
            ("\"3100000000000001\"", "\"31337\"", 27, "16 digits"),
            ("[\"main\", \"studio\"]", "[\"main\", \"31337!\"]", 29, "a tenant is"),
            ("\"Allow\"", "\"31337\"", 30, "Effect must be"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            let (at, what) = parse(&text).unwrap_err();
            assert_eq!(at, line, "{to}: {what}");
            assert!(what.contains(says), "{to}: {what}");
            assert!(!what.contains("31337") && !what.contains('\n'), "{to}: {what}");
        }
        for missing in ["app_server_token", "current_master", "secret", "kid"] {
            let text: String = GOOD
                .lines()
                .filter(|l| !l.starts_with(missing))
                .map(|l| format!("{l}\n"))
                .collect();
            let (_, what) = parse(&text).unwrap_err();
            assert!(what.contains("missing field") && what.contains(missing), "{what}");
        }
    }

    #[test]
    fn no_secret_in_debug() {
        let text = format!("{:?}", parse(GOOD).unwrap());
        assert!(text.contains("VFroot"), "{text}");
        for secret in ["0123456789", "aaaa", "bbbb"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
