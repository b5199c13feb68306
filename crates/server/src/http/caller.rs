//! Who asks: an access key, or a temporary credential, and what it may do.

use std::net::IpAddr;

use vodferry_oss::{Code, Secret, ServiceError};

use super::auth::Place;
use super::call::Call;
use crate::keys::{Keys, Role};
use crate::policy::{Context, Policy, object_resource};
use crate::token::{self, KeyMark, Subject, TokenError};

/// Who asks, with what rights.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The key that signed.
    pub(crate) access_key_id: String,
    /// For whom it signs.
    pub(crate) subject: Subject,
    /// The role that is at work, if one is.
    pub(crate) role: Option<Role>,
    /// When a temporary credential runs out, in milliseconds since 1970.
    pub(crate) expires_ms: Option<u64>,
    /// All of them must allow; none is a long-lived key, which may do everything.
    policies: Vec<Policy>,
    request: Circumstances,
}

/// What a policy's conditions may speak of.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    source_ip: IpAddr,
    secure: bool,
    now_ms: u64,
    prefix: String,
    delimiter: String,
    user_agent: String,
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// There is no such key.
    Unknown,
    /// It is disabled, or was rotated and its time is over.
    Inactive,
    /// A temporary key came without its token.
    TokenMissing,
    /// A long-lived key came with a token.
    TokenUnwanted,
    /// The token is not good.
    Token(TokenError),
    /// The key that asked for the credential, or its role, was taken away.
    Revoked,
}

impl Circumstances {
    /// Those of a request at `now_ms`.
    pub(crate) fn of(call: &Call, now_ms: u64) -> Circumstances {
        Circumstances {
            source_ip: call.peer.ip.to_canonical(),
            secure: call.peer.secure,
            now_ms,
            prefix: call.parameter("prefix").unwrap_or_default().to_owned(),
            delimiter: call.parameter("delimiter").unwrap_or_default().to_owned(),
            user_agent: call.header("user-agent").unwrap_or_default().into_owned(),
        }
    }

    fn context(&self, action: &str) -> Context<'_> {
        // Elsewhere a prefix means nothing, and must not open what is bound to one.
        let listing = LISTINGS.contains(&action);
        Context {
            source_ip: self.source_ip,
            secure: self.secure,
            now_ms: self.now_ms,
            prefix: listing.then_some(self.prefix.as_str()),
            delimiter: listing.then_some(self.delimiter.as_str()),
            user_agent: &self.user_agent,
        }
    }
}

const LISTINGS: &[&str] =
    &["oss:ListMultipartUploads", "oss:ListObjectVersions", "oss:ListObjects"];

impl Caller {
    /// Looks a key up; answers it with the secret that must have signed.
    pub(crate) fn find(
        keys: &Keys,
        access_key_id: &str,
        token: Option<&str>,
        request: Circumstances,
    ) -> Result<(Secret, Caller), KeyError> {
        let now_ms = request.now_ms;
        let caller = |subject, role, policies, expires_ms| Caller {
            access_key_id: access_key_id.to_owned(),
            subject,
            role,
            expires_ms,
            policies,
            request,
        };
        if !token::is_temporary(access_key_id) {
            let key = keys.access_key(access_key_id).ok_or(KeyError::Unknown)?;
            if !key.is_active(now_ms) {
                return Err(KeyError::Inactive);
            }
            if token.is_some() {
                return Err(KeyError::TokenUnwanted);
            }
            let issuer = Some(KeyMark::of(access_key_id));
            let subject = Subject { tenant: key.tenant.clone(), issuer, role: None };
            return Ok((key.secret.clone(), caller(subject, None, Vec::new(), None)));
        }
        let token = token.ok_or(KeyError::TokenMissing)?;
        let claims =
            token::verify(&keys.masters, access_key_id, token, now_ms).map_err(KeyError::Token)?;
        let subject = claims.subject;
        if subject.issuer.is_some_and(|issuer| !keys.stands_by(issuer)) {
            return Err(KeyError::Revoked);
        }
        let mut policies = vec![claims.policy];
        let mut role = None;
        if let Some(assumed) = &subject.role {
            let found = keys.role_by_id(&assumed.id).filter(|role| role.tenant == subject.tenant);
            let found = found.ok_or(KeyError::Revoked)?;
            policies.push(found.policy.clone());
            role = Some(found.clone());
        }
        Ok((claims.secret, caller(subject, role, policies, Some(claims.expires_ms))))
    }

    /// Somebody without a key, who may do with the buckets of `tenant` what `policy` says.
    pub(crate) fn anonymous(tenant: &str, policy: Policy, request: Circumstances) -> Caller {
        Caller {
            access_key_id: String::new(),
            subject: Subject { tenant: tenant.to_owned(), issuer: None, role: None },
            role: None,
            expires_ms: None,
            policies: vec![policy],
            request,
        }
    }

    /// The same where an ACL lets in whoever comes: what the caller may do anyway, and of it only what `policy` says.
    #[must_use]
    pub(crate) fn as_guest(&self, policy: Policy) -> Caller {
        let mut guest = self.clone();
        guest.policies.push(policy);
        guest
    }

    /// Whose buckets it may use.
    pub(crate) fn tenant(&self) -> &str {
        &self.subject.tenant
    }

    /// Whether it is a temporary credential.
    pub(crate) fn is_temporary(&self) -> bool {
        self.expires_ms.is_some()
    }

    /// Whether every policy allows `action` on `resource`; says nothing about whose it is.
    pub(crate) fn may(&self, action: &str, resource: &str) -> bool {
        let context = self.request.context(action);
        self.policies.iter().all(|policy| policy.allows(action, resource, &context))
    }

    /// Refuses what the policies do not allow.
    pub(crate) fn require(&self, action: &str, place: &Place) -> Result<(), ServiceError> {
        let resource = match place.key.as_str() {
            "" => place.bucket.clone(),
            key => object_resource(&place.bucket, key),
        };
        if self.may(action, &resource) {
            return Ok(());
        }
        let message = format!("This credential does not allow {action} on {resource}.");
        Err(ServiceError::of(Code::AccessDenied).with_message(message))
    }

    /// The only bucket that it may use, where there is only one.
    pub(crate) fn sole_bucket(&self) -> Option<&str> {
        self.policies.iter().find_map(Policy::sole_bucket)
    }
}
