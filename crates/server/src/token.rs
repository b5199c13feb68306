//! Temporary credentials: made from a master key, verified by any node that has it, looked up
//! nowhere.
//!
//! ```text
//! token  = "CAIS" base64url( version kid expiry id tenant issuer role session policy mac )
//! mac    = HMAC-SHA256(master[kid], everything before it)
//! secret = base64url( HMAC-SHA256(master[kid], "secret" id) )
//! ```
//!
//! Texts have their length in front of them, in one byte. The token holds no secret: who sees one
//! cannot sign with it. A role is named, not copied: what it may do, and that it still exists, is read
//! where it is used, and so is whether the key that asked for the credential was disabled since.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use vodferry_oss::{Credential, Secret};

use crate::keys::{DEFAULT_TENANT, Master, Masters, random_text};
use crate::policy::Policy;

/// Whom a credential stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whose buckets it is about. By default the tenant of the operators' first key.
    pub tenant: String,
    /// The access key that asked for it; none when nobody's key did, as in a grant of the
    /// application server.
    pub issuer: Option<KeyMark>,
    /// The role that was assumed, if one was.
    pub role: Option<AssumedRole>,
}

/// A role at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// Id of the role: a new role of an old name is another one.
    pub id: String,
    /// As the caller named it.
    pub session: String,
}

/// Tells an access key from others, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMark([u8; 8]);

impl KeyMark {
    /// Of the key with this id.
    pub fn of(access_key_id: &str) -> KeyMark {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(access_key_id));
        KeyMark([a, b, c, d, e, f, g, h])
    }
}

impl Default for Subject {
    fn default() -> Subject {
        Subject { tenant: DEFAULT_TENANT.to_owned(), issuer: None, role: None }
    }
}

/// What a token says, once it is verified.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Whom the credential stands for.
    pub subject: Subject,
    /// What the credential may do; less where its role may not.
    pub policy: Policy,
    /// Verifies the signature of the request.
    pub secret: Secret,
    /// When the credential runs out, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Makes a credential that may do what `policy` says for `life` from `now_ms` on; answers it with
/// the moment it runs out, in milliseconds since 1970. It stands for nobody in particular
/// ([`Subject::default`]).
///
/// # Errors
/// [`IssueError`].
pub fn issue(
    masters: &Masters,
    policy: &Policy,
    life: Duration,
    now_ms: u64,
) -> Result<(Credential, u64), IssueError> {
    issue_to(masters, &Subject::default(), policy, life, now_ms)
}

/// As [`issue`], for `subject`.
///
/// # Errors
/// [`IssueError`].
pub fn issue_to(
    masters: &Masters,
    subject: &Subject,
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
    push_subject(&mut claims, subject).ok_or(IssueError::TooLarge)?;
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
/// 1 had no subject.
const VERSION: u8 = 2;
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
    let subject = take_subject(&mut rest)?;
    Some((id.to_vec(), Claims { subject, policy: Policy::decode(rest)?, secret, expires_ms }))
}

fn push_subject(out: &mut Vec<u8>, subject: &Subject) -> Option<()> {
    push_short(out, subject.tenant.as_bytes())?;
    push_short(out, subject.issuer.as_ref().map_or(&[], |mark| mark.0.as_slice()))?;
    let (id, session) = match &subject.role {
        Some(role) => (role.id.as_str(), role.session.as_str()),
        None => ("", ""),
    };
    push_short(out, id.as_bytes())?;
    push_short(out, session.as_bytes())
}

fn take_subject(rest: &mut &[u8]) -> Option<Subject> {
    let tenant = take_text(rest)?;
    let issuer = match take_short(rest)? {
        [] => None,
        mark => Some(KeyMark(mark.try_into().ok()?)),
    };
    let (id, session) = (take_text(rest)?, take_text(rest)?);
    let role = (!id.is_empty()).then_some(AssumedRole { id, session });
    Some(Subject { tenant, issuer, role })
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

fn take_text(rest: &mut &[u8]) -> Option<String> {
    Some(std::str::from_utf8(take_short(rest)?).ok()?.to_owned())
}

fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = *rest.split_off_first()?;
    rest.split_off(..usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn masters() -> Masters {
        Masters::of(&[("k2", &"b".repeat(64)), ("k1", &"a".repeat(64))])
    }

    fn upload(masters: &Masters) -> (Credential, u64) {
        let policy = Policy::upload_only("films", "sv/1.mp4");
        issue(masters, &policy, Duration::from_secs(3000), NOW).unwrap()
    }

    fn token_of(credential: &Credential) -> String {
        credential.security_token.as_ref().unwrap().expose().to_owned()
    }

    #[test]
    fn what_was_issued_is_verified() {
        let (credential, expires_ms) = upload(&masters());
        assert_eq!(expires_ms, NOW + 3_000_000);
        let token = token_of(&credential);
        let claims = verify(&masters(), &credential.access_key_id, &token, NOW).unwrap();
        assert_eq!(claims.policy, Policy::upload_only("films", "sv/1.mp4"));
        assert_eq!(claims.subject, Subject::default());
        assert_eq!(claims.secret, credential.access_key_secret);
        assert_eq!(claims.expires_ms, expires_ms);
        assert!(is_temporary(&credential.access_key_id));
        assert_eq!(credential.access_key_id.len(), 29);
        assert!(token.starts_with("CAIS"));
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        assert!(token.bytes().chain(credential.access_key_secret.expose().bytes()).all(safe));
        assert!(!token.contains(credential.access_key_secret.expose()));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let (credential, _) = upload(&masters());
        let token = token_of(&credential);
        for at in 0..token.len() {
            for other in *b"A_z9" {
                let mut bytes = token.clone().into_bytes();
                if bytes[at] == other {
                    continue;
                }
                bytes[at] = other;
                let changed = String::from_utf8(bytes).unwrap();
                let refused = verify(&masters(), &credential.access_key_id, &changed, NOW);
                assert_eq!(refused.unwrap_err(), TokenError::Invalid, "character {at}");
            }
        }
        for cut in 0..token.len() {
            let refused = verify(&masters(), &credential.access_key_id, &token[..cut], NOW);
            assert_eq!(refused.unwrap_err(), TokenError::Invalid, "cut at {cut}");
        }
        for junk in ["", "CAIS", "CAISAAAA", "中文", "CAIS====", &"A".repeat(100_000)] {
            let refused = verify(&masters(), &credential.access_key_id, junk, NOW);
            assert_eq!(refused.unwrap_err(), TokenError::Invalid);
        }
    }

    /// Bytes are changed below the text too, so that no quirk of the encoding does the refusing.
    #[test]
    fn the_scope_cannot_be_widened() {
        let (credential, _) = upload(&masters());
        let token = token_of(&credential);
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&changed));
            let refused = verify(&masters(), &credential.access_key_id, &changed, NOW);
            assert_eq!(refused.unwrap_err(), TokenError::Invalid, "byte {at}");
        }
        // The claims of one token with the policy of another, and with one of our own making.
        let everything = issue(&masters(), &Policy::everything(), Duration::from_secs(1), NOW);
        let wide = token_of(&everything.unwrap().0);
        let wide = URL_SAFE_NO_PAD.decode(wide.strip_prefix(PREFIX).unwrap()).unwrap();
        let policy_at = 1 + 1 + 2 + 8 + 1 + 29;
        let mac_at = bytes.len() - MAC_LENGTH;
        let own = Policy::everything().encode().unwrap();
        for spliced in [
            [&bytes[..policy_at], &wide[policy_at..]].concat(),
            [&bytes[..policy_at], &own, &bytes[mac_at..]].concat(),
            [&bytes[..mac_at], &own, &bytes[mac_at..]].concat(),
        ] {
            let spliced = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&spliced));
            let refused = verify(&masters(), &credential.access_key_id, &spliced, NOW);
            assert_eq!(refused.unwrap_err(), TokenError::Invalid);
        }
    }

    #[test]
    fn a_token_serves_its_own_key_until_it_expires() {
        let (first, expires_ms) = upload(&masters());
        let (second, _) = upload(&masters());
        assert_ne!(first.access_key_id, second.access_key_id);
        assert_ne!(first.access_key_secret, second.access_key_secret);
        let token = token_of(&first);
        let at = |id: &str, now| verify(&masters(), id, &token, now).map(|_| ());
        assert_eq!(at(&first.access_key_id, expires_ms - 1), Ok(()));
        assert_eq!(at(&first.access_key_id, expires_ms), Err(TokenError::Expired));
        assert_eq!(at(&second.access_key_id, NOW), Err(TokenError::KeyMismatch));
        assert_eq!(at(&second.access_key_id, expires_ms), Err(TokenError::KeyMismatch));
    }

    #[test]
    fn masters_rotate() {
        let old = Masters::of(&[("k1", &"a".repeat(64))]);
        let (credential, _) = upload(&old);
        let token = token_of(&credential);
        let at = |masters: &Masters| {
            verify(masters, &credential.access_key_id, &token, NOW).map(|claims| claims.secret)
        };
        assert_eq!(at(&masters()), Ok(credential.access_key_secret.clone()));
        let gone = Masters::of(&[("k2", &"b".repeat(64))]);
        assert_eq!(at(&gone), Err(TokenError::Invalid));
        let impostor = Masters::of(&[("k1", &"c".repeat(64))]);
        assert_eq!(at(&impostor), Err(TokenError::Invalid));
    }

    #[test]
    fn a_subject_travels_along() {
        let subject = Subject {
            tenant: "studio".to_owned(),
            issuer: Some(KeyMark::of("VFkey")),
            role: Some(AssumedRole { id: "3100".to_owned(), session: "me@home".to_owned() }),
        };
        let life = Duration::from_secs(900);
        let (credential, _) =
            issue_to(&masters(), &subject, &Policy::everything(), life, NOW).unwrap();
        let token = token_of(&credential);
        let claims = verify(&masters(), &credential.access_key_id, &token, NOW).unwrap();
        assert_eq!(claims.subject, subject);
        assert_ne!(KeyMark::of("VFkey"), KeyMark::of("VFkex"));
        let long = Subject { tenant: "t".repeat(256), ..Subject::default() };
        let refused = issue_to(&masters(), &long, &Policy::everything(), life, NOW);
        assert!(matches!(refused, Err(IssueError::TooLarge)));
    }

    #[test]
    fn the_longest_key_fits_and_more_is_refused() {
        let life = Duration::from_secs(3600);
        let longest = Policy::upload_only(&"b".repeat(63), &"k".repeat(1023));
        let subject = Subject {
            tenant: "t".repeat(32),
            issuer: Some(KeyMark::of("VFkey")),
            role: Some(AssumedRole { id: "3".repeat(16), session: "s".repeat(64) }),
        };
        let (credential, _) = issue_to(&masters(), &subject, &longest, life, NOW).unwrap();
        let token = token_of(&credential);
        assert!(token.len() < 2048, "{}", token.len());
        let claims = verify(&masters(), &credential.access_key_id, &token, NOW).unwrap();
        assert_eq!(claims.policy, longest);
        let refused = issue(&masters(), &Policy::upload_only("b", &"k".repeat(1500)), life, NOW);
        assert!(matches!(refused, Err(IssueError::TooLarge)));
        let refused = issue(&Masters::of(&[]), &longest, life, NOW);
        assert!(matches!(refused, Err(IssueError::NoMaster)));
    }
}
