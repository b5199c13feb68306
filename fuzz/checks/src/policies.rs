//! Policies in their compact form, and the tokens that carry them.

use std::time::Duration;

use crate::keys::Masters;
use crate::policy::{Context, Pattern, Policy};
use crate::token::{IssueError, TokenError, issue, verify};

const NOW: u64 = 1_795_168_800_000;
const ID: &str = "STS.NfZkGWqAHaRr6y1";

/// The bytes as a policy, and as a token that nobody issued.
pub fn policies(data: &[u8]) {
    let masters = Masters::new();
    if let Ok(text) = std::str::from_utf8(data) {
        // None of our masters' keys ever leaves the server: what came from outside is never right.
        for text in [text.to_owned(), format!("CAIS{text}")] {
            assert_eq!(verify(&masters, ID, &text, NOW).err(), Some(TokenError::Invalid));
        }
    }
    // What people write is understood or refused in one line, and travels as what it is.
    if let Ok(text) = std::str::from_utf8(data) {
        match Policy::parse(text) {
            Ok(policy) => {
                if let Some(bytes) = policy.encode() {
                    assert_eq!(Policy::decode(&bytes), Some(policy));
                }
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
    let Some(policy) = Policy::decode(data) else { return };
    assert_eq!(policy.encode().as_deref(), Some(data), "there is one spelling of a policy");
    let bucket = policy.sole_bucket().unwrap_or("demo-bkt").to_owned();
    let wanted = policy.allows("oss:PutObject", &format!("{bucket}/sv/1.mp4"), &context());
    for statement in &policy.statements {
        for pattern in statement.actions.iter().chain(&statement.resources) {
            matches(pattern);
        }
    }

    let (credential, expires_ms) = match issue(&masters, &policy, Duration::from_secs(900), NOW) {
        Ok(issued) => issued,
        Err(IssueError::TooLarge) => return,
        Err(error) => panic!("{error}"),
    };
    let id = &credential.access_key_id;
    let token = credential.security_token.as_ref().map_or("", |token| token.expose());
    let claims = verify(&masters, id, token, NOW).expect("issued just now");
    assert_eq!((&claims.policy, claims.expires_ms), (&policy, expires_ms));
    assert_eq!(claims.secret, credential.access_key_secret);
    assert_eq!(
        claims.policy.allows("oss:PutObject", &format!("{bucket}/sv/1.mp4"), &context()),
        wanted
    );
    assert_eq!(verify(&masters, ID, token, NOW).err(), Some(TokenError::KeyMismatch));
    assert_eq!(verify(&masters, id, token, expires_ms).err(), Some(TokenError::Expired));
    // One character changed, anywhere.
    let at = data.iter().fold(7, |sum: usize, byte| sum * 31 % 65_521 + usize::from(*byte));
    let at = at % token.len();
    let other = if token.as_bytes().get(at) == Some(&b'A') { "B" } else { "A" };
    let mut forged = token.to_owned();
    forged.replace_range(at..=at, other);
    assert_eq!(verify(&masters, id, &forged, NOW).err(), Some(TokenError::Invalid), "at {at}");
}

fn context() -> Context<'static> {
    Context {
        source_ip: [10, 0, 0, 1].into(),
        secure: true,
        now_ms: NOW,
        prefix: Some("sv/"),
        delimiter: None,
        user_agent: "",
    }
}

/// Against the definition, which is too slow for a server.
fn matches(pattern: &Pattern) {
    for text in ["", "oss:PutObject", "demo-bkt/sv/1.mp4", "aab测aab", "*?*"] {
        let expected = match pattern {
            Pattern::Literal(literal) => literal == text,
            Pattern::Glob(glob) => {
                let text: Vec<char> = text.chars().collect();
                defined(glob, &text)
            }
        };
        assert_eq!(pattern.matches(text), expected, "{pattern:?} on {text:?}");
    }
}

/// `ends[i]` says whether the pattern so far matches the first i characters.
fn defined(glob: &str, text: &[char]) -> bool {
    let mut ends: Vec<bool> = (0..=text.len()).map(|i| i == 0).collect();
    for p in glob.chars() {
        let one = |i: usize| i > 0 && ends[i - 1] && (p == '?' || p == text[i - 1]);
        ends = match p {
            '*' => (0..ends.len()).map(|i| ends[..=i].contains(&true)).collect(),
            _ => (0..ends.len()).map(one).collect(),
        };
    }
    ends[text.len()]
}
