//! The admin API: access keys, roles and master keys, over HTTP.
//!
//! Whoever holds `admin_token` of the keys file may do what `vodferry admin` does on the folder
//! itself, from anywhere; nobody else, not even a program on this machine, may do anything. A secret
//! is told once, in the reply that makes it. No page of another origin may speak to it.

use std::time::Duration;

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vodferry_oss::encode::decode_path;

use super::App;
use super::body::Body;
use super::call::Call;
use super::json::{answer, bearer, parse, read};
use super::rpc::members;
use super::video::ApiError;
use crate::keys::{
    AccessKey, ChangeError, EditError, Keys, KeysError, NewRole, Role, edit, is_same_secret,
    written,
};

/// Every path of the admin API begins so.
pub(crate) const PREFIX: &str = "/admin/v1/";

/// Answers a request.
pub(crate) async fn handle(app: &App, call: &Call, body: &mut Body) -> Response<ReplyBody> {
    let (status, mut members) = match act(app, call, body).await {
        Ok(members) => (200, members),
        Err(error) => {
            call.notes.code(&error.code);
            let reply = json!({ "Code": error.code, "Message": error.message });
            (error.status, self::members(reply))
        }
    };
    members.insert("RequestId".to_owned(), Value::String(call.id.uuid()));
    answer(status, &Value::Object(members))
}

async fn act(app: &App, call: &Call, body: &mut Body) -> Result<Map<String, Value>, ApiError> {
    authorize(app, call)?;
    let unknown = || ApiError::new(404, "NotFound", "there is no such thing; see the reference");
    let path = call.path.strip_prefix(PREFIX).unwrap_or_default();
    let parts: Option<Vec<String>> = path.split('/').map(|part| decode_path(part).ok()).collect();
    let parts = parts.ok_or_else(unknown)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let now = app.now_ms();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["keys"]) => {
            let keys = app.keys.current();
            let list: Vec<Value> = keys.access_keys().iter().map(|k| described(k, now)).collect();
            Ok(members(json!({ "AccessKeys": list })))
        }
        ("POST", ["keys"]) => {
            let wish: CreateKey = parse(&read(app, call, body).await?)?;
            change(app, call, move |keys| {
                keys.create_key(wish.tenant.as_deref(), now).map(|key| made(key, now))
            })
            .await
        }
        ("POST", ["keys", id, "rotate"]) => {
            let wish: RotateKey = parse(&read(app, call, body).await?)?;
            let (id, grace) = ((*id).to_owned(), Duration::from_secs(wish.grace_seconds));
            change(app, call, move |keys| {
                keys.rotate_key(&id, grace, now).map(|key| made(key, now))
            })
            .await
        }
        ("POST", ["keys", id, verb @ ("disable" | "enable")]) => {
            let (id, disable) = ((*id).to_owned(), *verb == "disable");
            change(app, call, move |keys| {
                match disable {
                    true => keys.disable_key(&id),
                    false => keys.enable_key(&id),
                }
                .map(|()| keys.access_key(&id).map_or(Value::Null, |key| described(key, now)))
            })
            .await
        }
        ("DELETE", ["keys", id]) => {
            let id = (*id).to_owned();
            change(app, call, move |keys| keys.delete_key(&id).map(|()| json!({}))).await
        }
        ("GET", ["roles"]) => {
            let keys = app.keys.current();
            let list: Vec<Value> = keys.roles().iter().map(role).collect();
            Ok(members(json!({ "Roles": list })))
        }
        ("POST", ["roles"]) => {
            let wish: CreateRole = parse(&read(app, call, body).await?)?;
            change(app, call, move |keys| keys.create_role(wish.into()).map(role)).await
        }
        ("DELETE", ["roles", name]) => {
            let name = (*name).to_owned();
            change(app, call, move |keys| keys.delete_role(&name).map(|()| json!({}))).await
        }
        ("GET", ["masters"]) => Ok(members(masters(&app.keys.current()))),
        ("POST", ["masters", "rotate"]) => {
            change(app, call, move |keys| {
                keys.rotate_masters(now)?;
                Ok(masters(keys))
            })
            .await
        }
        ("DELETE", ["masters", kid]) => {
            let kid = (*kid).to_owned();
            change(app, call, move |keys| {
                keys.drop_master(&kid)?;
                Ok(masters(keys))
            })
            .await
        }
        (_, ["keys" | "roles" | "masters", ..])
            if ![Method::GET, Method::POST, Method::DELETE].contains(&call.method) =>
        {
            Err(ApiError::new(405, "MethodNotAllowed", "use GET, POST or DELETE"))
        }
        _ => Err(unknown()),
    }
}

fn authorize(app: &App, call: &Call) -> Result<(), ApiError> {
    let keys = app.keys.current();
    let Some(right) = &keys.admin_token else {
        let message = "the keys file has no admin_token; make one with: vodferry admin token";
        return Err(ApiError::new(403, "AdminDisabled", message));
    };
    match bearer(call) {
        None => {
            let message = "Authorization: Bearer with admin_token of keys.toml is needed";
            Err(ApiError::new(401, "MissingToken", message))
        }
        Some(Some(given)) if is_same_secret(&given, right) => Ok(()),
        Some(_) => {
            let message = "the bearer token is not the admin_token of keys.toml";
            Err(ApiError::new(401, "InvalidToken", message))
        }
    }
}

/// Changes the keys file, away from the threads that serve.
async fn change(
    app: &App,
    call: &Call,
    change: impl FnOnce(&mut Keys) -> Result<Value, ChangeError> + Send + 'static,
) -> Result<Map<String, Value>, ApiError> {
    let folder = app.config.data.clone();
    let done = tokio::task::spawn_blocking(move || edit(&folder, change)).await;
    let changed = done.map_err(|error| ApiError::internal(&error))??;
    tracing::info!(method = %call.method, path = call.path, "the keys were changed");
    Ok(members(changed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateKey {
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RotateKey {
    #[serde(default = "an_hour")]
    grace_seconds: u64,
}

fn an_hour() -> u64 {
    3600
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateRole {
    name: String,
    /// JSON text, or the object itself.
    policy: Value,
    tenant: Option<String>,
    #[serde(default)]
    assumed_by: Vec<String>,
}

impl From<CreateRole> for NewRole {
    fn from(wish: CreateRole) -> NewRole {
        NewRole {
            name: wish.name,
            policy: match wish.policy {
                Value::String(text) => text,
                object => object.to_string(),
            },
            tenant: wish.tenant,
            assumed_by: wish.assumed_by,
        }
    }
}

/// A key without its secret.
fn described(key: &AccessKey, now_ms: u64) -> Value {
    let status = match key.is_active(now_ms) {
        true => "Active",
        false if key.disabled => "Disabled",
        false => "Expired",
    };
    let mut members = members(json!({
        "AccessKeyId": key.id,
        "Tenant": key.tenant,
        "Status": status,
    }));
    for (name, at) in [("Created", key.created_ms), ("Expires", key.expires_ms)] {
        if let Some(ms) = at {
            members.insert(name.to_owned(), written(ms).into());
        }
    }
    Value::Object(members)
}

/// A key that was made just now, with its secret.
fn made(key: &AccessKey, now_ms: u64) -> Value {
    let mut reply = described(key, now_ms);
    if let Value::Object(members) = &mut reply {
        members.insert("AccessKeySecret".to_owned(), key.secret.expose().into());
    }
    reply
}

fn role(role: &Role) -> Value {
    json!({
        "Name": role.name,
        "RoleId": role.id,
        "Tenant": role.tenant,
        "AssumedBy": role.assumed_by,
        "Policy": role.policy_text,
    })
}

fn masters(keys: &Keys) -> Value {
    let described = |(kid, retired): (&str, Option<u64>)| {
        let mut members = members(json!({ "Kid": kid }));
        if let Some(ms) = retired {
            members.insert("Retired".to_owned(), written(ms).into());
        }
        Value::Object(members)
    };
    let list: Vec<Value> = keys.masters.names().map(described).collect();
    json!({ "Masters": list })
}

impl From<EditError> for ApiError {
    fn from(error: EditError) -> ApiError {
        let change = match error {
            EditError::Change(change) => change,
            EditError::Keys(KeysError::Locked { .. }) => {
                let message = "another process is changing the keys; try again";
                return ApiError::new(503, "ServiceUnavailable", message);
            }
            EditError::Keys(error) => return ApiError::internal(&error),
        };
        let (status, code) = match &change {
            ChangeError::CurrentMaster(_) => (409, "CurrentMaster"),
            ChangeError::LastKey(_) => (409, "LastKey"),
            ChangeError::NoSuchKey(_) => (404, "NoSuchKey"),
            ChangeError::NoSuchMaster(_) => (404, "NoSuchMaster"),
            ChangeError::NoSuchRole(_) => (404, "NoSuchRole"),
            ChangeError::Policy(_) | ChangeError::PolicySize => (400, "InvalidPolicy"),
            ChangeError::RoleExists(_) => (409, "RoleExists"),
            ChangeError::Random(_) => return ApiError::internal(&change),
            _ => (400, "InvalidParameter"),
        };
        ApiError::new(status, code, change.to_string())
    }
}
