//! Temporary credentials: made from a master key, verified by any node that has it, looked up
//! nowhere.
//!
//! ```text
//! token  = "CAIS" base64url( version kid-length kid expiry id-length id policy mac )
//! mac    = HMAC-SHA256(master[kid], everything before it)
//! secret = base64url( HMAC-SHA256(master[kid], "secret" id) )
//! ```
//!
//! The token holds no secret: who sees one cannot sign with it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vodferry_oss::{Credential, Secret};

use crate::keys::{Master, Masters, random_text};
use crate::policy::Policy;

/// What a token says, once it is verified.
#[derive(Clone, Debug)]
pub struct Claims {
    /// What the credential may do.
    pub policy: Policy,
    /// Verifies the signature of the request.
    pub secret: Secret,
    /// When the credential runs out, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Makes a credential that may do what `policy` says for `life` from `now_ms` on; answers it with
/// the moment it runs out, in milliseconds since 1970.
///
/// # Errors
/// [`IssueError`].
pub fn issue(
    masters: &Masters,
    policy: &Policy,
    life: Duration,
    now_ms: u64,
) -> Result<(Credential, u64), IssueError> {
    let master = masters.current().ok_or(IssueError::NoMaster)?;
    let id = format!("STS.{}", random_text(25).map_err(IssueError::Random)?);
    let expires_ms = now_ms.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));

    let mut claims = vec![VERSION];
    push_short(&mut claims, master.kid.as_bytes()).ok_or(IssueError::TooLarge)?;
    claims.extend(expires_ms.to_be_bytes());
    push_short(&mut claims, id.as_bytes()).ok_or(IssueError::TooLarge)?;
    claims.extend(policy.encode().ok_or(IssueError::TooLarge)?);
    let mac = keyed(master, &[&claims]).finalize().into_bytes();
    claims.extend(mac);
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&claims));
    if token.len() >= MAX_TOKEN {
        return Err(IssueError::TooLarge);
    }
    let credential = Credential {
        access_key_secret: secret_of(master, &id),
        access_key_id: id,
        security_token: Some(Secret::new(token)),
    };
    Ok((credential, expires_ms))
}

/// Reads the token that came with `access_key_id`.
///
/// # Errors
/// The first of [`TokenError`] that holds, in the order of its variants.
pub fn verify(
    masters: &Masters,
    access_key_id: &str,
    token: &str,
    now_ms: u64,
) -> Result<Claims, TokenError> {
    let (id, claims) = open(masters, token).ok_or(TokenError::Invalid)?;
    if id != access_key_id.as_bytes() {
        return Err(TokenError::KeyMismatch);
    }
    if now_ms >= claims.expires_ms {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Whether an access key id is one of a temporary credential.
pub fn is_temporary(access_key_id: &str) -> bool {
    access_key_id.starts_with("STS.")
}

/// Why a token is not accepted; in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not one of ours, was tampered with, or its master key is gone.
    #[error("the security token is not valid")]
    Invalid,
    /// It belongs to another access key id.
    #[error("the security token belongs to another access key id")]
    KeyMismatch,
    /// Its time is over.
    #[error("the security token has expired")]
    Expired,
}

/// Why no credential was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// There is no master key.
    #[error("there is no master key")]
    NoMaster,
    /// The policy does not fit into a token of 2,047 characters.
    #[error("the policy is too large for a security token")]
    TooLarge,
    /// The operating system gave no randomness.
    #[error("no randomness to make a credential from: {0}")]
    Random(getrandom::Error),
}

const PREFIX: &str = "CAIS";
const VERSION: u8 = 1;
const MAX_TOKEN: usize = 2048;
const MAC_LENGTH: usize = 32;

/// The access key id and the claims of a token whose MAC is right.
fn open(masters: &Masters, token: &str) -> Option<(Vec<u8>, Claims)> {
    if token.len() >= MAX_TOKEN {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LENGTH)?)?;
    let mut rest = signed;
    if *rest.split_off_first()? != VERSION {
        return None;
    }
    let master = masters.find(take_short(&mut rest)?)?;
    keyed(master, &[signed]).verify_slice(mac).ok()?;
    let expires_ms = u64::from_be_bytes(rest.split_off(..8)?.try_into().ok()?);
    let id = take_short(&mut rest)?;
    let secret = secret_of(master, std::str::from_utf8(id).ok()?);
    Some((id.to_vec(), Claims { policy: Policy::decode(rest)?, secret, expires_ms }))
}

fn secret_of(master: &Master, access_key_id: &str) -> Secret {
    let mac = keyed(master, &[b"secret", access_key_id.as_bytes()]).finalize().into_bytes();
    Secret::new(URL_SAFE_NO_PAD.encode(mac))
}

fn keyed(master: &Master, parts: &[&[u8]]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so there is no error to hand on; the fallback key would only
    // make every credential unusable.
    let mut mac = Hmac::<Sha256>::new_from_slice(master.key.expose().as_bytes())
        .unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(part);
    }
    mac
}

fn push_short(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.push(u8::try_from(bytes.len()).ok()?);
    out.extend(bytes);
    Some(())
}

fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = *rest.split_off_first()?;
    rest.split_off(..usize::from(length))
}
