//! Who may do what: statements of Allow and Deny over actions and resources.
//!
//! An action is an OSS or VOD action (`oss:PutObject`); a resource is `bucket/key`, or `bucket` for
//! calls on a bucket, without the `acs:oss:*:*:` in front. An explicit Deny wins, else any Allow,
//! else the answer is no.

use std::str::Chars;

/// What a credential may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In any order; none allows nothing.
    pub statements: Vec<Statement>,
}

/// Allows or denies some actions on some resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which of the two.
    pub effect: Effect,
    /// It speaks of an action that any of these matches …
    pub actions: Vec<Pattern>,
    /// … on a resource that any of these matches.
    pub resources: Vec<Pattern>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives the right.
    Allow,
    /// Takes the right, whatever else gives it.
    Deny,
}

/// Matches an action or a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*` stands for any run of characters, `/` included, `?` for any single one.
    Glob(String),
    /// Exactly this text; `*` and `?` are themselves. Names that came from outside belong here.
    Literal(String),
}

impl Policy {
    /// Everything: what operators may do.
    pub fn everything() -> Policy {
        let all = || vec![Pattern::Glob("*".to_owned())];
        let statement = Statement { effect: Effect::Allow, actions: all(), resources: all() };
        Policy { statements: vec![statement] }
    }

    /// What the uploader of one object needs: to put it, in one piece or in parts, to list its
    /// parts and to abort. `key` is taken as it is, wildcards included.
    pub fn upload_only(bucket: &str, key: &str) -> Policy {
        let action = |name: &str| Pattern::Literal(name.to_owned());
        let statement = Statement {
            effect: Effect::Allow,
            actions: vec![
                action("oss:PutObject"),
                action("oss:AbortMultipartUpload"),
                action("oss:ListParts"),
            ],
            resources: vec![Pattern::Literal(object_resource(bucket, key))],
        };
        Policy { statements: vec![statement] }
    }

    /// Whether `action` (such as `oss:PutObject`) may be done on `resource`
    /// ([`object_resource`], or the bare bucket name).
    pub fn allows(&self, action: &str, resource: &str) -> bool {
        let mut allowed = false;
        for statement in &self.statements {
            let speaks = statement.actions.iter().any(|p| p.matches(action))
                && statement.resources.iter().any(|p| p.matches(resource));
            match statement.effect {
                Effect::Deny if speaks => return false,
                Effect::Allow if speaks => allowed = true,
                _ => {}
            }
        }
        allowed
    }

    /// The bucket and key of a policy that allows nothing but on one object: this tells the bucket
    /// of a request that does not name it.
    pub fn sole_object(&self) -> Option<(&str, &str)> {
        let mut sole = None;
        for resource in self
            .statements
            .iter()
            .filter(|s| s.effect == Effect::Allow)
            .flat_map(|s| s.resources.iter())
        {
            match (resource, sole) {
                (Pattern::Literal(text), None) => sole = Some(text.as_str()),
                (Pattern::Literal(text), Some(seen)) if text == seen => {}
                _ => return None,
            }
        }
        sole?.split_once('/')
    }

    /// The compact form inside a token; none when a count or a text is too long for it.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = vec![u8::try_from(self.statements.len()).ok()?];
        for statement in &self.statements {
            out.push(match statement.effect {
                Effect::Allow => ALLOW,
                Effect::Deny => DENY,
            });
            for patterns in [&statement.actions, &statement.resources] {
                out.push(u8::try_from(patterns.len()).ok()?);
                for pattern in patterns {
                    let (kind, text) = match pattern {
                        Pattern::Glob(text) => (GLOB, text),
                        Pattern::Literal(text) => (LITERAL, text),
                    };
                    out.push(kind);
                    out.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
                    out.extend(text.as_bytes());
                }
            }
        }
        Some(out)
    }

    /// Reads the compact form; none when it is not one, or when something follows it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Policy> {
        let mut rest = bytes;
        let mut statements = Vec::new();
        for _ in 0..take_byte(&mut rest)? {
            let effect = match take_byte(&mut rest)? {
                ALLOW => Effect::Allow,
                DENY => Effect::Deny,
                _ => return None,
            };
            let actions = take_patterns(&mut rest)?;
            let resources = take_patterns(&mut rest)?;
            statements.push(Statement { effect, actions, resources });
        }
        rest.is_empty().then_some(Policy { statements })
    }
}

impl Pattern {
    /// Whether this matches the whole of `text`.
    ///
    /// Takes at most pattern length × text length steps: only the last `*` is ever tried again.
    pub fn matches(&self, text: &str) -> bool {
        let glob = match self {
            Pattern::Literal(literal) => return literal == text,
            Pattern::Glob(glob) => glob,
        };
        let (mut pattern, mut text) = (glob.chars(), text.chars());
        // Where to go on when the rest does not match: the pattern behind the last star, and the
        // text that this star has not eaten yet.
        let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let before = text.clone();
            match (pattern.next(), text.next()) {
                (Some('*'), _) => {
                    text = before;
                    retry = Some((pattern.clone(), text.clone()));
                }
                (Some('?'), Some(_)) => {}
                (Some(p), Some(t)) if p == t => {}
                (None, None) => return true,
                _ => {
                    let Some((behind, uneaten)) = &mut retry else { return false };
                    if uneaten.next().is_none() {
                        return false;
                    }
                    pattern = behind.clone();
                    text = uneaten.clone();
                }
            }
        }
    }
}

/// An object as a resource.
pub fn object_resource(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

const ALLOW: u8 = 1;
const DENY: u8 = 2;
const GLOB: u8 = 1;
const LITERAL: u8 = 2;

fn take_patterns(rest: &mut &[u8]) -> Option<Vec<Pattern>> {
    let mut patterns = Vec::new();
    for _ in 0..take_byte(rest)? {
        let kind = take_byte(rest)?;
        let length = u16::from_be_bytes([take_byte(rest)?, take_byte(rest)?]);
        let text = rest.split_off(..usize::from(length))?;
        let text = std::str::from_utf8(text).ok()?.to_owned();
        patterns.push(match kind {
            GLOB => Pattern::Glob(text),
            LITERAL => Pattern::Literal(text),
            _ => return None,
        });
    }
    Some(patterns)
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    rest.split_off_first().copied()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn glob(text: &str) -> Pattern {
        Pattern::Glob(text.to_owned())
    }

    fn statement(effect: Effect, action: &str, resource: &str) -> Statement {
        Statement { effect, actions: vec![glob(action)], resources: vec![glob(resource)] }
    }

    #[test]
    fn wildcards() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b/c", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*.mp4", "sv/1/film.mp4", true),
            ("*.mp4", "sv/1/film.mp4.txt", false),
            ("?", "", false),
            ("?", "é", true),
            ("a?c", "a中c", true),
            ("a?c", "ac", false),
            ("**a**", "bab", true),
            ("a*b*c", "a-b-b-c-c", true),
            ("a*b*c", "a-c-b", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(glob(pattern).matches(text), matches, "{pattern} on {text}");
        }
        assert!(Pattern::Literal("a*".to_owned()).matches("a*"));
        assert!(!Pattern::Literal("a*".to_owned()).matches("ab"));
    }

    #[test]
    fn many_stars_take_no_longer_than_few() {
        let pattern = glob(&"*a".repeat(500));
        let begun = Instant::now();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(1000))));
        assert!(begun.elapsed().as_secs() < 1, "took {:?}", begun.elapsed());
    }

    #[test]
    fn deny_wins_whatever_the_order() {
        let allow = statement(Effect::Allow, "oss:*", "films/*");
        let deny = statement(Effect::Deny, "oss:DeleteObject", "*");
        for statements in [vec![allow.clone(), deny.clone()], vec![deny, allow]] {
            let policy = Policy { statements };
            assert!(policy.allows("oss:PutObject", "films/a"));
            assert!(!policy.allows("oss:DeleteObject", "films/a"));
            assert!(!policy.allows("oss:PutObject", "other/a"));
            assert!(!policy.allows("vod:CreateUploadVideo", "films/a"));
        }
        assert!(!Policy::default().allows("oss:PutObject", "films/a"));
        assert!(Policy::everything().allows("vod:CreateUploadVideo", "*"));
    }

    #[test]
    fn an_uploader_may_upload_its_object_and_nothing_else() {
        let policy = Policy::upload_only("films", "sv/1.mp4");
        for action in ["oss:PutObject", "oss:AbortMultipartUpload", "oss:ListParts"] {
            assert!(policy.allows(action, &object_resource("films", "sv/1.mp4")));
            for other in [
                "films/sv/2.mp4",
                "films/sv/1.mp4/x",
                "films/sv/1.mp",
                "films",
                "other/sv/1.mp4",
                "*",
            ] {
                assert!(!policy.allows(action, other), "{action} on {other}");
            }
        }
        for action in [
            "oss:GetObject",
            "oss:DeleteObject",
            "oss:ListObjects",
            "oss:*",
            "oss:PutObjectAcl",
            "*",
        ] {
            assert!(!policy.allows(action, "films/sv/1.mp4"), "{action}");
        }
        assert_eq!(policy.sole_object(), Some(("films", "sv/1.mp4")));
    }

    #[test]
    fn wildcards_in_a_key_do_not_widen_its_scope() {
        for key in ["*", "sv/*", "a?c", "**", "?"] {
            let policy = Policy::upload_only("films", key);
            assert!(policy.allows("oss:PutObject", &object_resource("films", key)));
            for other in ["films/a", "films/abc", "films/sv/1", "films/sv/", "films/"] {
                assert!(!policy.allows("oss:PutObject", other), "{key} on {other}");
            }
        }
    }

    #[test]
    fn only_a_policy_of_one_object_has_a_sole_object() {
        assert_eq!(Policy::everything().sole_object(), None);
        assert_eq!(Policy::default().sole_object(), None);
        let mut two = Policy::upload_only("films", "a");
        two.statements.extend(Policy::upload_only("films", "b").statements);
        assert_eq!(two.sole_object(), None);
        let mut twice = Policy::upload_only("films", "a/b");
        twice.statements.extend(Policy::upload_only("films", "a/b").statements);
        twice.statements.push(statement(Effect::Deny, "*", "other/*"));
        assert_eq!(twice.sole_object(), Some(("films", "a/b")));
    }

    #[test]
    fn compact_form_there_and_back() {
        let mut policy = Policy::upload_only("films", "sv/*中.mp4");
        policy.statements.push(statement(Effect::Deny, "oss:Get*", ""));
        policy.statements.push(Statement {
            effect: Effect::Allow,
            actions: vec![],
            resources: vec![],
        });
        let bytes = policy.encode().unwrap();
        assert_eq!(Policy::decode(&bytes), Some(policy));
        for cut in 0..bytes.len() {
            assert_eq!(Policy::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Policy::decode(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(Policy::upload_only("b", &"k".repeat(70_000)).encode(), None);
    }
}
