//! STS: temporary credentials for those who hold a long-lived key.

use std::time::Duration;

use serde_json::{Map, Value, json};
use vodferry_oss::time::format_iso;

use super::App;
use super::caller::Caller;
use super::rpc::{Parameters, members};
use super::video::{ApiError, as_i64};
use crate::keys::account_of;
use crate::policy::Policy;
use crate::token::{AssumedRole, IssueError, Subject, issue_to};

/// Version of the API.
pub(crate) const VERSION: &str = "2015-04-01";

/// The calls of this server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    AssumeRole,
    GetCallerIdentity,
}

impl Operation {
    /// The one of this name.
    pub(crate) fn named(action: &str) -> Option<Operation> {
        Some(match action {
            "AssumeRole" => Operation::AssumeRole,
            "GetCallerIdentity" => Operation::GetCallerIdentity,
            _ => return None,
        })
    }

    /// Carries it out, if the caller may.
    pub(crate) fn run(
        self,
        app: &App,
        caller: &Caller,
        given: &Parameters,
    ) -> Result<Map<String, Value>, ApiError> {
        match self {
            Operation::AssumeRole => assume_role(app, caller, given),
            Operation::GetCallerIdentity => get_caller_identity(caller),
        }
    }
}

fn assume_role(
    app: &App,
    caller: &Caller,
    given: &Parameters,
) -> Result<Map<String, Value>, ApiError> {
    let arn = given.required("RoleArn")?;
    let name = role_name(arn).ok_or_else(|| {
        invalid("RoleArn", "RoleArn must look like acs:ram::1000000000000001:role/uploader")
    })?;
    let session = given.required("RoleSessionName")?;
    if !is_session_name(session) {
        let rule = "RoleSessionName is 2 to 64 of A-Z, a-z, 0-9, ., @, _ and -";
        return Err(invalid("RoleSessionName", rule));
    }
    let life = match given.get("DurationSeconds").map(str::parse::<u64>) {
        None => LONGEST,
        Some(Ok(seconds)) if (SHORTEST..=LONGEST).contains(&seconds) => seconds,
        _ => {
            let rule = "The Min/Max value of DurationSeconds is 15min/1hr.";
            return Err(invalid("DurationSeconds", rule));
        }
    };
    let policy = match given.get("Policy") {
        None => Policy::everything(),
        Some(text) if text.chars().count() > MAX_POLICY => {
            let rule = format!("Policy has at most {MAX_POLICY} characters");
            return Err(invalid("PolicySize", &rule));
        }
        Some(text) => {
            Policy::parse(text).map_err(|error| invalid("PolicyGrammar", &error.to_string()))?
        }
    };

    let keys = app.keys.current();
    let role = keys.role(name).ok_or_else(|| {
        ApiError::new(404, "EntityNotExist.Role", format!("The role not exists: {arn}"))
    })?;
    // A temporary credential would outlive itself.
    if caller.is_temporary() || !role.assumed_by.iter().any(|tenant| tenant == caller.tenant()) {
        return Err(no_permission());
    }
    let subject = Subject {
        tenant: role.tenant.clone(),
        issuer: caller.subject.issuer,
        role: Some(AssumedRole { id: role.id.clone(), session: session.to_owned() }),
    };
    let life = Duration::from_secs(life);
    let issued = issue_to(&keys.masters, &subject, &policy, life, app.now_ms());
    let (credential, expires_ms) = issued.map_err(|error| match error {
        IssueError::TooLarge => invalid(
            "PolicySize",
            "Policy does not fit into a security token, which is read from URLs and headers: shorten it",
        ),
        other => other.into(),
    })?;
    tracing::info!(
        key = caller.access_key_id,
        role = role.name,
        session,
        credential = credential.access_key_id,
        "a role was assumed"
    );
    let token = credential.security_token.as_ref().map_or("", |token| token.expose());
    Ok(members(json!({
        "AssumedRoleUser": {
            "Arn": format!("{arn}/{session}"),
            "AssumedRoleId": format!("{}:{session}", role.id),
        },
        "Credentials": {
            "AccessKeyId": credential.access_key_id,
            "AccessKeySecret": credential.access_key_secret.expose(),
            "SecurityToken": token,
            "Expiration": format_iso(as_i64(expires_ms)),
        },
    })))
}

/// Needs no right: it tells the caller who it is.
fn get_caller_identity(caller: &Caller) -> Result<Map<String, Value>, ApiError> {
    let account = account_of(caller.tenant());
    match (&caller.role, &caller.subject.role) {
        (Some(role), Some(assumed)) => Ok(members(json!({
            "IdentityType": "AssumedRoleUser",
            "AccountId": account,
            "Arn": format!("acs:ram::{account}:assumed-role/{}/{}", role.name, assumed.session),
            "PrincipalId": format!("{}:{}", role.id, assumed.session),
            "RoleId": role.id,
        }))),
        _ if caller.is_temporary() => Err(no_permission()),
        _ => Ok(members(json!({
            "IdentityType": "Account",
            "AccountId": account,
            "Arn": format!("acs:ram::{account}:root"),
            "PrincipalId": account,
            "UserId": account,
        }))),
    }
}

const SHORTEST: u64 = 900;
const LONGEST: u64 = 3600;
const MAX_POLICY: usize = 2048;

/// The name of a role, out of `acs:ram::ACCOUNT:role/NAME`. Names are unique on a server, so that
/// the account says nothing.
fn role_name(arn: &str) -> Option<&str> {
    let (account, name) = arn.strip_prefix("acs:ram::")?.split_once(":role/")?;
    let plain = |text: &str, more: &[u8]| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    (plain(account, b"") && plain(name, b"._-")).then_some(name)
}

fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".@_-".contains(&b))
}

fn invalid(what: &str, rule: &str) -> ApiError {
    ApiError::bad(&format!("InvalidParameter.{what}"), rule)
}

fn no_permission() -> ApiError {
    let message = "You are not authorized to do this action. You should be authorized by RAM.";
    ApiError::new(403, "NoPermission", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles() {
        assert_eq!(
            role_name("acs:ram::1000000000000001:role/up.Loader-1_x"),
            Some("up.Loader-1_x")
        );
        for arn in [
            "",
            "uploader",
            "acs:ram:::role/uploader",
            "acs:ram::1:role/",
            "acs:ram::1:user/uploader",
            "acs:ram::1:role/a/b",
            "acs:ram::1:role/a b",
            "acs:ram:cn:1:role/a",
            "acs:ram::1\n:role/a",
        ] {
            assert_eq!(role_name(arn), None, "{arn}");
        }
    }

    #[test]
    fn names_of_sessions() {
        for name in ["ab", "a.b@c_d-e", &"s".repeat(64)] {
            assert!(is_session_name(name), "{name}");
        }
        for name in ["", "a", "a b", "a/b", "ä1", &"s".repeat(65)] {
            assert!(!is_session_name(name), "{name}");
        }
    }
}
