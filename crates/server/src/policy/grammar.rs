//! The JSON in which people write policies.
//!
//! ```json
//! {"Version": "1", "Statement": [
//!   {"Effect": "Allow", "Action": ["oss:PutObject", "oss:List*"], "Resource": "acs:oss:*:*:films/sv/*",
//!    "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}, "Bool": {"acs:SecureTransport": "true"}}}]}
//! ```
//!
//! What is not understood is refused: a condition that is ignored gives away what its author wanted
//! to keep. Region and account of a resource are not looked at: a server is one region, and a bucket's
//! name is unique on it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use vodferry_oss::time::parse_iso;

use super::condition::{Condition, Order, TextKey};
use super::network::Network;
use super::pattern::Pattern;
use super::{Effect, Policy, Statement};

/// Why a text is no policy: one line that says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    /// The text quotes what it was found in, line breaks and all.
    fn new(text: &str) -> PolicyError {
        PolicyError(text.replace(char::is_control, " "))
    }
}

impl Policy {
    /// Reads a policy as it is written.
    ///
    /// # Errors
    /// When it is not JSON, or has anything that is not understood here.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        let document: Document = serde_json::from_str(text)
            .map_err(|error| PolicyError::new(&format!("the policy is not understood: {error}")))?;
        if document.version != "1" {
            return Err(PolicyError::new("Version must be \"1\""));
        }
        let mut statements = Vec::new();
        for (at, statement) in document.statement.0.into_iter().enumerate() {
            let read = read(statement);
            let read =
                read.map_err(|what| PolicyError::new(&format!("Statement {}: {what}", at + 1)))?;
            statements.extend(read);
        }
        Ok(Policy { statements })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Document {
    version: String,
    statement: Several<StatementJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StatementJson {
    effect: String,
    action: Several<String>,
    resource: Several<String>,
    #[serde(default)]
    condition: Pairs<Pairs<Several<Scalar>>>,
}

/// One, or a list.
struct Several<T>(Vec<T>);

/// A JSON object as it stands: a name that comes twice counts twice.
struct Pairs<T>(Vec<(String, T)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Text(String),
}

/// A statement, once for each service that its resources name: `acs:oss:*:*:*` is not all that
/// there is.
fn read(statement: StatementJson) -> Result<Vec<Statement>, String> {
    let effect = match statement.effect.as_str() {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        _ => return Err("Effect must be Allow or Deny".to_owned()),
    };
    if statement.action.0.is_empty() || statement.resource.0.is_empty() {
        return Err("Action and Resource must name something".to_owned());
    }
    let actions =
        statement.action.0.iter().map(|text| action(text)).collect::<Result<Vec<_>, _>>()?;
    let mut by_service: Vec<(Option<&str>, Vec<Pattern>)> = Vec::new();
    for text in &statement.resource.0 {
        let (service, pattern) = resource(text)?;
        match by_service.iter_mut().find(|(s, _)| *s == service) {
            Some((_, patterns)) => patterns.push(pattern),
            None => by_service.push((service, vec![pattern])),
        }
    }
    let mut conditions = Vec::new();
    for (operator, keys) in &statement.condition.0 {
        for (key, values) in &keys.0 {
            conditions.push(condition(operator, key, &values.0)?);
        }
    }
    let narrowed = |service: Option<&str>| -> Vec<Pattern> {
        let of = |(own, pattern): &(Option<&str>, &str)| match (own, service) {
            (_, None) => Some(Pattern::of(pattern)),
            (None, Some(service)) => Some(Pattern::Glob(format!("{service}:*"))),
            (Some(own), Some(service)) => {
                own.eq_ignore_ascii_case(service).then(|| Pattern::of(pattern))
            }
        };
        actions.iter().filter_map(of).collect()
    };
    let statements = by_service.into_iter().map(|(service, resources)| Statement {
        effect,
        actions: narrowed(service),
        resources,
        conditions: conditions.clone(),
    });
    // One that speaks of no action says nothing.
    Ok(statements.filter(|statement| !statement.actions.is_empty()).collect())
}

/// An action and the service that it belongs to; none for `*`.
fn action(text: &str) -> Result<(Option<&str>, &str), String> {
    if text == "*" {
        return Ok((None, text));
    }
    match text.split_once(':') {
        Some((service, name)) if is_service(service) && !name.is_empty() => {
            Ok((Some(service), text))
        }
        _ => Err(format!("the Action {text} is not * or like oss:PutObject")),
    }
}

/// The pattern of a resource and the service that it belongs to; none for any.
fn resource(text: &str) -> Result<(Option<&str>, Pattern), String> {
    if text == "*" {
        return Ok((None, Pattern::of(text)));
    }
    let mut parts = text.splitn(5, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (acs, service, _region, _account, relative) = (next(), next(), next(), next(), next());
    match service {
        _ if acs != "acs" || relative.is_empty() => {}
        "*" => return Ok((None, Pattern::of(relative))),
        service if is_service(service) => {
            return Ok((Some(service), Pattern::of(relative)));
        }
        _ => {}
    }
    Err(format!("the Resource {text} is not * or like acs:oss:*:*:bucket/key"))
}

fn is_service(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn condition<'v>(operator: &str, key: &str, values: &'v [Scalar]) -> Result<Condition, String> {
    let flaw = |rule: &str| format!("the Condition {operator} {key} {rule}");
    let refused = |rule: &str| Err(flaw(rule));
    if values.is_empty() {
        return refused("has no value");
    }
    let texts = || -> Result<Vec<&'v str>, String> {
        let text = |value: &'v Scalar| match value {
            Scalar::Text(text) => Ok(text.as_str()),
            Scalar::Bool(_) => Err(flaw("takes text")),
        };
        values.iter().map(text).collect()
    };
    let not = operator.starts_with("Not") || operator.starts_with("StringNot");
    match (operator, key.to_ascii_lowercase().as_str()) {
        ("IpAddress" | "NotIpAddress", "acs:sourceip") => {
            let networks = texts()?.into_iter().map(Network::parse).collect::<Option<Vec<_>>>();
            match networks {
                Some(networks) => Ok(Condition::SourceIp { not, networks }),
                None => refused("takes addresses like 10.0.0.1 or 10.0.0.0/8"),
            }
        }
        ("Bool", "acs:securetransport") => match values {
            [Scalar::Bool(wanted)] => Ok(Condition::SecureTransport(*wanted)),
            [Scalar::Text(text)] if text.eq_ignore_ascii_case("true") => {
                Ok(Condition::SecureTransport(true))
            }
            [Scalar::Text(text)] if text.eq_ignore_ascii_case("false") => {
                Ok(Condition::SecureTransport(false))
            }
            _ => refused("takes one value, true or false"),
        },
        (_, "acs:currenttime") => {
            let order = match operator {
                "DateEquals" => Order::Equals,
                "DateGreaterThan" => Order::Greater,
                "DateGreaterThanEquals" => Order::GreaterEquals,
                "DateLessThan" => Order::Less,
                "DateLessThanEquals" => Order::LessEquals,
                "DateNotEquals" => Order::NotEquals,
                _ => return refused("is not supported"),
            };
            match texts()?.as_slice() {
                [text] => match parse_iso(text) {
                    Some(at_ms) => Ok(Condition::CurrentTime { order, at_ms }),
                    None => refused("takes a time like 2026-11-20T10:00:00Z"),
                },
                _ => refused("takes one value"),
            }
        }
        (_, key @ ("oss:prefix" | "oss:delimiter" | "acs:useragent")) => {
            let key = match key {
                "oss:prefix" => TextKey::Prefix,
                "oss:delimiter" => TextKey::Delimiter,
                _ => TextKey::UserAgent,
            };
            let (ignore_case, pattern): (bool, fn(&str) -> Pattern) = match operator {
                "StringLike" | "StringNotLike" => (false, Pattern::of),
                "StringEquals" | "StringNotEquals" => (false, literal),
                "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => (true, literal),
                _ => return refused("is not supported"),
            };
            let values = texts()?.into_iter().map(pattern).collect();
            Ok(Condition::Text { key, not, ignore_case, values })
        }
        _ => refused("is not supported"),
    }
}

fn literal(text: &str) -> Pattern {
    Pattern::Literal(text.to_owned())
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Several<T>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany<T> {
            One(T),
            Many(Vec<T>),
        }
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(one) => Several(vec![one]),
            OneOrMany::Many(many) => Several(many),
        })
    }
}

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        struct Object<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Context;

    fn allows(policy: &Policy, action: &str, resource: &str) -> bool {
        let context = Context {
            source_ip: [192, 0, 2, 1].into(),
            secure: false,
            now_ms: 0,
            prefix: None,
            delimiter: None,
            user_agent: "",
        };
        policy.allows(action, resource, &context)
    }

    #[test]
    fn as_people_write_it() {
        let policy = Policy::parse(
            r#"{"Version":"1","Statement":[
             {"Effect":"Allow","Action":["oss:PutObject","oss:AbortMultipartUpload","oss:ListParts"],
              "Resource":["acs:oss:*:*:demo-bkt/sv/1f2e/1f2e.mp4"]},
             {"Effect":"Deny","Action":"oss:DeleteObject","Resource":"*"}]}"#,
        )
        .unwrap();
        assert!(allows(&policy, "oss:PutObject", "demo-bkt/sv/1f2e/1f2e.mp4"));
        assert!(!allows(&policy, "oss:PutObject", "demo-bkt/sv/1f2e/1f2e.mp"));
        assert!(!allows(&policy, "oss:GetObject", "demo-bkt/sv/1f2e/1f2e.mp4"));
        assert_eq!(policy.sole_bucket(), Some("demo-bkt"));
        // A single statement, another case, a key with colons, somebody's region and account.
        let policy = Policy::parse(
            r#"{"Statement":{"Action":"oss:get*","Effect":"Allow",
                "Resource":"acs:oss:oss-cn-hangzhou:1234:b/a:b:*"},"Version":"1"}"#,
        )
        .unwrap();
        assert!(allows(&policy, "oss:GetObject", "b/a:b:c/d"));
        assert!(!allows(&policy, "oss:GetObject", "b/a:bc"));
    }

    #[test]
    fn resources_of_one_service_give_nothing_of_another() {
        let policy = |resource: &str| {
            Policy::parse(&format!(
                r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"*","Resource":{resource}}}]}}"#
            ))
            .unwrap()
        };
        let may = |policy: &Policy| {
            (allows(policy, "oss:GetObject", "b/k"), allows(policy, "vod:GetVideoInfo", "*"))
        };
        assert_eq!(may(&policy(r#""acs:oss:*:*:*""#)), (true, false));
        assert_eq!(may(&policy(r#""acs:vod:*:*:*""#)), (false, true));
        assert_eq!(may(&policy(r#"["acs:vod:*:*:*","acs:oss:*:*:b/*"]"#)), (true, true));
        assert_eq!(may(&policy(r#""acs:*:*:*:*""#)), (true, true));
        let put = Policy::parse(
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"acs:vod:*:*:*"}]}"#,
        );
        assert_eq!(put, Ok(Policy::default()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let with = |more: &str| {
            format!(
                r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"oss:*","Resource":"*"{more}}}]}}"#
            )
        };
        Policy::parse(&with("")).unwrap();
        let condition = |text: &str| with(&format!(r#","Condition":{text}"#));
        let plain = with("");
        for text in [
            "",
            "{}",
            "[]",
            "nonsense",
            &plain.replace("\"1\"", "\"2\""),
            &plain.replace("\"1\"", "1"),
            &plain.replace("Allow", "allow"),
            &plain.replace("oss:*", "oss"),
            &plain.replace("oss:*", "oss:"),
            &plain.replace("oss:*", "o*:Get"),
            &plain.replace("oss:*", "**"),
            &plain.replace(r#""oss:*""#, "[]"),
            &plain.replace(r#""oss:*""#, "7"),
            &plain.replace(r#""Resource":"*""#, r#""Resource":"bucket/key""#),
            &plain.replace(r#""Resource":"*""#, r#""Resource":"acs:oss:*:*:""#),
            &plain.replace(r#""Resource":"*""#, r#""Resource":"acs:o?s:*:*:b""#),
            &plain.replace(r#""Resource":"*""#, r#""Resource":"arn:oss:*:*:b""#),
            &plain.replace(r#""Resource":"*""#, r#""Resource":[]"#),
            &plain.replace("Action", "NotAction"),
            &plain.replace("Resource", "NotResource"),
            &with(r#","Effect":"Deny""#),
            &with(r#","Principal":"*""#),
            &condition(r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/40"}}"#),
            &condition(r#"{"IpAddress":{"acs:SourceIp":[]}}"#),
            &condition(r#"{"IpAddress":{"acs:SourceIp":true}}"#),
            &condition(r#"{"IpAddress":{"acs:SourceVpc":"x"}}"#),
            &condition(r#"{"StringLike":{"acs:SourceIp":"10.*"}}"#),
            &condition(r#"{"Bool":{"acs:SecureTransport":"yes"}}"#),
            &condition(r#"{"Bool":{"acs:SecureTransport":["true","false"]}}"#),
            &condition(r#"{"Bool":{"acs:MFAPresent":"true"}}"#),
            &condition(r#"{"DateLessThan":{"acs:CurrentTime":"soon"}}"#),
            &condition(r#"{"StringMatches":{"oss:Prefix":"a"}}"#),
            &condition("[]"),
            &format!("{plain} x"),
        ] {
            let error = Policy::parse(text).expect_err(text).to_string();
            assert!(!error.contains('\n') && !error.is_empty(), "{error}");
        }
    }
}
