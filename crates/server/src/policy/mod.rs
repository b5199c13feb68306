//! Who may do what: statements of Allow and Deny over actions and resources.
//!
//! An action is one of the original service (`oss:PutObject`, `vod:CreateUploadVideo`), in any case of
//! letters; a resource is `bucket/key`, or `bucket` for calls on a bucket, without the `acs:oss:*:*:`
//! in front. A statement may be bound to conditions: where the request came from, how and when. An
//! explicit Deny wins, else any Allow, else the answer is no.
//!
//! Operators write policies as JSON ([`Policy::parse`]), tokens carry them in a compact form.

mod compact;
mod condition;
mod grammar;
mod network;
mod pattern;

use vodferry_oss::address::valid_bucket;

pub use condition::{Condition, Context, Order, TextKey};
pub use grammar::PolicyError;
pub use network::Network;
pub use pattern::Pattern;

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
    /// … on a resource that any of these matches …
    pub resources: Vec<Pattern>,
    /// … when all of these hold; none holds always.
    pub conditions: Vec<Condition>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Gives the right.
    Allow,
    /// Takes the right, whatever else gives it.
    Deny,
}

impl Policy {
    /// Everything: what operators may do.
    pub fn everything() -> Policy {
        let all = || vec![Pattern::Glob("*".to_owned())];
        let statement = Statement {
            effect: Effect::Allow,
            actions: all(),
            resources: all(),
            conditions: Vec::new(),
        };
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
            conditions: Vec::new(),
        };
        Policy { statements: vec![statement] }
    }

    /// Whether `action` (such as `oss:PutObject`) may be done on `resource`
    /// ([`object_resource`], the bare bucket name, or nothing for the service) by such a request.
    pub fn allows(&self, action: &str, resource: &str, context: &Context<'_>) -> bool {
        let mut allowed = false;
        for statement in &self.statements {
            let speaks = statement.actions.iter().any(|p| p.matches_ignore_case(action))
                && statement.resources.iter().any(|p| p.matches(resource))
                && statement.conditions.iter().all(|c| c.holds(context));
            match statement.effect {
                Effect::Deny if speaks => return false,
                Effect::Allow if speaks => allowed = true,
                _ => {}
            }
        }
        allowed
    }

    /// The bucket of a policy that allows nothing but in this one, on itself or its objects: this tells
    /// the bucket of a request that does not name it.
    pub fn sole_bucket(&self) -> Option<&str> {
        let allows = self.statements.iter().filter(|s| s.effect == Effect::Allow);
        let mut buckets = allows.flat_map(|s| &s.resources).map(bucket_of);
        let first = buckets.next()??;
        buckets.all(|bucket| bucket == Some(first)).then_some(first)
    }
}

/// The bucket that a resource is, or is in, where it is one for certain.
fn bucket_of(resource: &Pattern) -> Option<&str> {
    let (Pattern::Literal(text) | Pattern::Glob(text)) = resource;
    let bucket = text.split('/').next()?;
    valid_bucket(bucket).then_some(bucket)
}

/// An object as a resource.
pub fn object_resource(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn from(address: &str) -> Context<'static> {
        Context {
            source_ip: address.parse::<IpAddr>().unwrap(),
            secure: false,
            now_ms: 1_795_168_800_000,
            prefix: None,
            delimiter: None,
            user_agent: "",
        }
    }

    fn allows(policy: &Policy, action: &str, resource: &str) -> bool {
        policy.allows(action, resource, &from("192.0.2.1"))
    }

    fn statement(effect: Effect, action: &str, resource: &str) -> Statement {
        let glob = |text: &str| vec![Pattern::Glob(text.to_owned())];
        let (actions, resources) = (glob(action), glob(resource));
        Statement { effect, actions, resources, conditions: vec![] }
    }

    #[test]
    fn deny_wins_whatever_the_order() {
        let allow = statement(Effect::Allow, "oss:*", "films/*");
        let deny = statement(Effect::Deny, "oss:DeleteObject", "*");
        for statements in [vec![allow.clone(), deny.clone()], vec![deny, allow]] {
            let policy = Policy { statements };
            assert!(allows(&policy, "oss:PutObject", "films/a"));
            assert!(allows(&policy, "oss:PutObject", "films/a/b"));
            assert!(!allows(&policy, "oss:DeleteObject", "films/a"));
            assert!(!allows(&policy, "oss:PutObject", "other/a"));
            assert!(!allows(&policy, "vod:CreateUploadVideo", "films/a"));
        }
        assert!(!allows(&Policy::default(), "oss:PutObject", "films/a"));
        assert!(allows(&Policy::everything(), "vod:CreateUploadVideo", "*"));
    }

    #[test]
    fn an_uploader_may_upload_its_object_and_nothing_else() {
        let policy = Policy::upload_only("films", "sv/1.mp4");
        for action in ["oss:PutObject", "oss:AbortMultipartUpload", "oss:ListParts"] {
            assert!(allows(&policy, action, &object_resource("films", "sv/1.mp4")));
            for other in [
                "films/sv/2.mp4",
                "films/sv/1.mp4/x",
                "films/sv/1.mp",
                "films/SV/1.mp4",
                "films",
                "other/sv/1.mp4",
                "*",
                "",
            ] {
                assert!(!allows(&policy, action, other), "{action} on {other}");
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
            assert!(!allows(&policy, action, "films/sv/1.mp4"), "{action}");
        }
        assert_eq!(policy.sole_bucket(), Some("films"));
    }

    #[test]
    fn wildcards_in_a_key_do_not_widen_its_scope() {
        for key in ["*", "sv/*", "a?c", "**", "?"] {
            let policy = Policy::upload_only("films", key);
            assert!(allows(&policy, "oss:PutObject", &object_resource("films", key)));
            for other in ["films/a", "films/abc", "films/sv/1", "films/sv/", "films/"] {
                assert!(!allows(&policy, "oss:PutObject", other), "{key} on {other}");
            }
        }
    }

    #[test]
    fn only_a_policy_of_one_bucket_has_a_sole_bucket() {
        assert_eq!(Policy::everything().sole_bucket(), None);
        assert_eq!(Policy::default().sole_bucket(), None);
        for (resources, sole) in [
            (&["films"][..], Some("films")),
            (&["films/*"], Some("films")),
            (&["films", "films/*", "films/a?/b"], Some("films")),
            (&["films/a", "films/a"], Some("films")),
            (&["films/a", "other/a"], None),
            (&["films", "films*"], None),
            (&["film?/a"], None),
            (&["*/a"], None),
            (&["*", "films"], None),
            (&["FILMS/a"], None),
        ] {
            let allow = |resource: &&str| statement(Effect::Allow, "oss:*", resource);
            let mut policy = Policy { statements: resources.iter().map(allow).collect() };
            policy.statements.push(statement(Effect::Deny, "*", "other/*"));
            assert_eq!(policy.sole_bucket(), sole, "{resources:?}");
        }
    }

    /// Allows `oss:*` on everything under this condition.
    fn when(condition: &str) -> Policy {
        let text = format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"oss:*","Resource":"*",
                "Condition":{condition}}}]}}"#
        );
        let policy = Policy::parse(&text).unwrap();
        assert_eq!(Policy::decode(&policy.encode().unwrap()), Some(policy.clone()));
        policy
    }

    #[test]
    fn conditions_on_the_address() {
        let inside = when(r#"{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","2001:db8::/32"]}}"#);
        let outside = when(r#"{"NotIpAddress":{"acs:SourceIp":["10.0.0.0/8","2001:db8::/32"]}}"#);
        for (address, is_inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("11.0.0.1", false),
            ("::ffff:11.0.0.1", false),
            ("2001:db9::1", false),
        ] {
            let may = |policy: &Policy| policy.allows("oss:GetObject", "b/k", &from(address));
            assert_eq!((may(&inside), may(&outside)), (is_inside, !is_inside), "{address}");
        }
        // Both must hold.
        let but = when(
            r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"NotIpAddress":{"acs:sourceip":"10.0.0.5"}}"#,
        );
        assert!(but.allows("oss:GetObject", "b/k", &from("10.0.0.6")));
        assert!(!but.allows("oss:GetObject", "b/k", &from("::ffff:10.0.0.5")));
        // A name that comes twice counts twice.
        let twice = when(
            r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"IpAddress":{"acs:SourceIp":"0.0.0.0/0"}}"#,
        );
        assert!(!twice.allows("oss:GetObject", "b/k", &from("11.0.0.1")));
    }

    #[test]
    fn a_deny_may_have_conditions() {
        let policy = Policy::parse(
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
                {"Effect":"Deny","Action":"*","Resource":"*",
                 "Condition":{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}]}"#,
        )
        .unwrap();
        assert!(policy.allows("oss:GetObject", "b/k", &from("10.0.0.1")));
        assert!(!policy.allows("oss:GetObject", "b/k", &from("192.0.2.1")));
    }

    #[test]
    fn conditions_on_the_transport_and_the_time() {
        for (written, wanted) in [("\"true\"", true), ("true", true), ("\"False\"", false)] {
            let policy = when(&format!(r#"{{"Bool":{{"acs:SecureTransport":{written}}}}}"#));
            for secure in [true, false] {
                let context = Context { secure, ..from("10.0.0.1") };
                assert_eq!(policy.allows("oss:GetObject", "b/k", &context), secure == wanted);
            }
        }
        let now = from("10.0.0.1").now_ms;
        let before = when(r#"{"DateLessThan":{"acs:CurrentTime":"2026-11-20T10:00:00Z"}}"#);
        let after = when(r#"{"DateGreaterThanEquals":{"acs:CurrentTime":"2026-11-20T10:00:00Z"}}"#);
        for (now_ms, is_before) in [(now - 1, true), (now, false), (now + 1, false)] {
            let context = Context { now_ms, ..from("10.0.0.1") };
            let may = |policy: &Policy| policy.allows("oss:GetObject", "b/k", &context);
            assert_eq!((may(&before), may(&after)), (is_before, !is_before));
        }
    }

    #[test]
    fn conditions_on_a_prefix_hold_for_listings_only() {
        let like = when(r#"{"StringLike":{"oss:Prefix":["sv/*","x?"]}}"#);
        let not_like = when(r#"{"StringNotLike":{"oss:Prefix":["sv/*","x?"]}}"#);
        let equals = when(r#"{"StringEquals":{"oss:Prefix":"sv/*"}}"#);
        for (prefix, fits) in [
            (Some("sv/"), true),
            (Some("sv/a/b"), true),
            (Some("xy"), true),
            (Some("s"), false),
            (Some(""), false),
            (None, false),
        ] {
            let context = Context { prefix, ..from("10.0.0.1") };
            let may = |policy: &Policy| policy.allows("oss:ListObjects", "b", &context);
            assert_eq!((may(&like), may(&not_like)), (fits, !fits), "{prefix:?}");
            assert!(!may(&equals), "a wildcard is itself");
        }
    }
}
