//! `vodferry admin`: access keys, roles and master keys of a data folder, and its backup, also under a
//! running server.
//!
//! What is told goes to stdout, a line each, or as JSON. A secret is told once, when it is made.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueHint};
use serde_json::{Value, json};
use vodferry_server::keys::{
    AccessKey, ChangeError, EditError, KEYS_FILE, Keys, KeysError, NewRole, Role, edit, written,
};
use vodferry_server::store::{BackupError, BackupOptions, BackupReport, backup};

use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::serve::chain;
use crate::settings::Settings;
use crate::{output, units};

/// `vodferry admin`.
#[derive(Args)]
pub(crate) struct AdminArgs {
    /// Folder of objects, database and keys [default: vodferry-data]
    #[arg(long, global = true, value_name = "DIR", env = "VODFERRY_DATA", value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,

    /// Print JSON, one object per line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Access keys: who may use the server
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Roles: what a key may become for a while, by AssumeRole
    #[command(subcommand)]
    Roles(RolesVerb),
    /// Master keys: what temporary credentials are derived from
    #[command(subcommand)]
    Masters(MastersVerb),
    /// Make a new token for the admin API; the one before is worth nothing from then on
    Token,
    /// Copy the data folder, also under a running server; a server can be started on the copy
    Backup {
        /// Folder of the copy, which is made; one that is there must be empty
        #[arg(value_hint = ValueHint::DirPath)]
        to: PathBuf,
        /// An earlier backup on the same disk as the new one: what it has is linked from there and not copied again
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        previous: Option<PathBuf>,
        /// Copy the bytes also where links to them would do, on the disk that they are on
        #[arg(long)]
        copy: bool,
    },
}

#[derive(Subcommand)]
enum KeysVerb {
    /// Show all access keys, without their secrets
    List,
    /// Make an access key, and show its secret, this once
    Create {
        /// Whose buckets it may use: 1 to 32 of a-z, 0-9, - and _ [default: a new tenant of its own]
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Make a key, and all that it asked for, open nothing
    Disable {
        /// The access key id
        id: String,
    },
    /// Undo `disable`, or the end that `rotate` set
    Enable {
        /// The access key id
        id: String,
    },
    /// Make another key for the same tenant, and let the old one run out
    Rotate {
        /// The access key id
        id: String,
        /// How long the old key still works, for example 0 or 24h
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = units::parse_duration)]
        grace: Duration,
    },
    /// Remove a key; its tenant's buckets stay
    Delete {
        /// The access key id
        id: String,
    },
}

#[derive(Subcommand)]
enum RolesVerb {
    /// Show all roles
    List,
    /// Make a role
    Create {
        /// As in acs:ram::ACCOUNT:role/NAME
        name: String,
        /// File with the policy as JSON; `-` is stdin
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        policy: PathBuf,
        /// Whose buckets it is about [default: main]
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Tenant whose keys may assume it; may be given more than once [default: the one of --tenant]
        #[arg(long, value_name = "NAME")]
        assumed_by: Vec<String>,
    },
    /// Remove a role; credentials of it open nothing from then on
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Subcommand)]
enum MastersVerb {
    /// Show all master keys by their names
    List,
    /// Make a new one current; credentials of those before it stay good until they run out
    Rotate,
    /// Remove one that is not current; credentials derived from it open nothing from then on
    Drop {
        /// Its name
        kid: String,
    },
}

/// Shows or changes the keys of a data folder.
pub(crate) fn run(args: &AdminArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let data = match &args.data {
        Some(data) => data.clone(),
        None => settings.serve.clone().unwrap_or_default().data,
    };
    if let What::Backup { to, previous, copy } = &args.what {
        let options = BackupOptions { copy: *copy, previous: previous.clone() };
        let report = backup(&data, to, &options).map_err(|error| explain_backup(&error))?;
        return Ok(tell_backup(&report, args.json));
    }
    let now = now_ms();
    let look =
        || Keys::load(&data.join(KEYS_FILE)).map_err(|error| explain(&EditError::Keys(error)));
    let told = match &args.what {
        What::Backup { .. } => vec![],
        What::Keys(KeysVerb::List) => {
            look()?.access_keys().iter().map(|key| described(key, now)).collect()
        }
        What::Roles(RolesVerb::List) => look()?.roles().iter().map(role).collect(),
        What::Masters(MastersVerb::List) => masters(&look()?),
        What::Roles(RolesVerb::Create { name, policy, tenant, assumed_by }) => {
            let new = NewRole {
                name: name.clone(),
                policy: read(policy)?,
                tenant: tenant.clone(),
                assumed_by: assumed_by.clone(),
            };
            change(&data, |keys| keys.create_role(new).map(|made| vec![role(made)]))?
        }
        What::Roles(RolesVerb::Delete { name }) => {
            change(&data, |keys| keys.delete_role(name).map(|()| vec![]))?
        }
        What::Keys(verb) => change(&data, |keys| keys_verb(keys, verb, now))?,
        What::Masters(MastersVerb::Rotate) => change(&data, |keys| {
            keys.rotate_masters(now)?;
            Ok(masters(keys))
        })?,
        What::Masters(MastersVerb::Drop { kid }) => change(&data, |keys| {
            keys.drop_master(kid)?;
            Ok(masters(keys))
        })?,
        What::Token => change(&data, |keys| {
            Ok(vec![json!({ "admin_token": keys.renew_admin_token()?.expose() })])
        })?,
    };
    for members in told {
        output::data(&if args.json { members.to_string() } else { line(&members) });
    }
    Ok(ExitCode::Success)
}

fn tell_backup(report: &BackupReport, json: bool) -> ExitCode {
    let BackupReport { objects, videos, uploads, blobs, small, bytes, copied, problems, .. } =
        report;
    let text = match json {
        true => json!({
            "objects": objects, "videos": videos, "uploads": uploads, "blobs": blobs, "small": small,
            "bytes": bytes, "copied": copied, "problems": problems,
        })
        .to_string(),
        false => report.to_string(),
    };
    text.lines().for_each(output::data);
    if problems.is_empty() { ExitCode::Success } else { ExitCode::Integrity }
}

fn keys_verb(keys: &mut Keys, verb: &KeysVerb, now: u64) -> Result<Vec<Value>, ChangeError> {
    let id = match verb {
        KeysVerb::List => return Ok(vec![]),
        KeysVerb::Create { tenant } => {
            return keys.create_key(tenant.as_deref(), now).map(|key| vec![made(key, now)]);
        }
        KeysVerb::Rotate { id, grace } => {
            return keys.rotate_key(id, *grace, now).map(|key| vec![made(key, now)]);
        }
        KeysVerb::Delete { id } => return keys.delete_key(id).map(|()| vec![]),
        KeysVerb::Disable { id } => {
            keys.disable_key(id)?;
            id
        }
        KeysVerb::Enable { id } => {
            keys.enable_key(id)?;
            id
        }
    };
    Ok(keys.access_key(id).map(|key| described(key, now)).into_iter().collect())
}

fn change<T>(
    data: &std::path::Path,
    change: impl FnOnce(&mut Keys) -> Result<T, ChangeError>,
) -> Result<T, Failure> {
    edit(data, change).map_err(|error| explain(&error))
}

/// A key without its secret.
fn described(key: &AccessKey, now: u64) -> Value {
    let status = match key.is_active(now) {
        true => "active",
        false if key.disabled => "disabled",
        false => "expired",
    };
    let mut members = json!({ "access_key_id": key.id, "tenant": key.tenant, "status": status });
    for (name, at) in [("created", key.created_ms), ("expires", key.expires_ms)] {
        if let Some(ms) = at {
            members[name] = written(ms).into();
        }
    }
    members
}

/// A key that was made just now, with its secret.
fn made(key: &AccessKey, now: u64) -> Value {
    let mut members = described(key, now);
    members["access_key_secret"] = key.secret.expose().into();
    members
}

fn role(role: &Role) -> Value {
    json!({
        "name": role.name,
        "role_id": role.id,
        "tenant": role.tenant,
        "assumed_by": role.assumed_by,
        "policy": role.policy_text,
    })
}

fn masters(keys: &Keys) -> Vec<Value> {
    let described = |(kid, retired): (&str, Option<u64>)| match retired {
        None => json!({ "kid": kid, "status": "current" }),
        Some(ms) => json!({ "kid": kid, "status": "retired", "retired": written(ms) }),
    };
    keys.masters.names().map(described).collect()
}

/// Members for people: `name value`, separated by blanks.
fn line(members: &Value) -> String {
    let mut line = String::new();
    for (name, value) in members.as_object().into_iter().flatten() {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Policies may be written over several lines.
        let text = text.replace(['\n', '\r'], " ");
        line.push_str(&format!("{name} {text}"));
    }
    line
}

fn read(path: &std::path::Path) -> Result<String, Failure> {
    let mut text = String::new();
    let done = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| text),
        _ => std::fs::read_to_string(path),
    };
    done.map_err(|error| Failure::file("read", path, &error))
}

fn explain_backup(error: &BackupError) -> Failure {
    let failure = Failure::new(ExitCode::File, chain(error));
    match error {
        BackupError::NoData(_) => failure.hint("--data takes the data folder of `vodferry serve`"),
        BackupError::NotEmpty(_) => {
            failure.hint("each backup has a folder of its own; --previous takes the one before")
        }
        _ => failure,
    }
}

fn explain(error: &EditError) -> Failure {
    let exit = match error {
        EditError::Change(_) => ExitCode::Usage,
        EditError::Keys(KeysError::Locked { .. }) => ExitCode::Busy,
        EditError::Keys(_) => ExitCode::File,
    };
    let failure = Failure::new(exit, chain(error));
    match error {
        EditError::Keys(KeysError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            failure.hint("--data takes the data folder of `vodferry serve`")
        }
        EditError::Change(ChangeError::Policy(_)) => {
            failure.hint("docs/concepts/security.md shows what a policy looks like")
        }
        _ => failure,
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
