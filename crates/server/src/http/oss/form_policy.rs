//! The policy of a posted form: until when, and with which fields, it may upload.

use serde_json::Value;
use vodferry_oss::time::parse_iso;
use vodferry_oss::{Code, ServiceError, base64};

/// A policy that was read.
#[derive(Debug)]
pub(super) struct FormPolicy {
    expires_ms: i64,
    conditions: Vec<Value>,
}

/// How many bytes a form's file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LengthRange {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl FormPolicy {
    /// Reads the field `policy`.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub(super) fn read(field: &str) -> Result<FormPolicy, ServiceError> {
        let bytes = base64::decode(field.trim()).ok_or_else(|| invalid("it is not base64"))?;
        let policy: Value =
            serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
        let expires_ms = policy
            .get("expiration")
            .and_then(Value::as_str)
            .and_then(parse_iso)
            .ok_or_else(|| invalid("it has no expiration"))?;
        let conditions = policy
            .get("conditions")
            .and_then(Value::as_array)
            .ok_or_else(|| invalid("it has no conditions"))?;
        Ok(FormPolicy { expires_ms, conditions: conditions.clone() })
    }

    /// Checks the form: `field` gives the value of a field by its name in lower case. What is left is
    /// the length of the file.
    ///
    /// # Errors
    /// `AccessDenied`: too late, or a condition does not hold. `InvalidPolicyDocument`: a condition
    /// is none.
    pub(super) fn check(
        &self,
        now_ms: i64,
        field: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<LengthRange>, ServiceError> {
        if now_ms > self.expires_ms {
            return Err(denied("Policy expired."));
        }
        let mut range: Option<LengthRange> = None;
        for condition in &self.conditions {
            match read(condition).ok_or_else(|| invalid(&format!("{condition} is no condition")))? {
                // All of them hold.
                Condition::Length(found) => {
                    let LengthRange { least, most } = range.unwrap_or(found);
                    range = Some(LengthRange {
                        least: least.max(found.least),
                        most: most.min(found.most),
                    });
                }
                Condition::Field(name, test) => {
                    let value = field(&name.to_ascii_lowercase());
                    if !value.is_some_and(|value| test.holds(&value)) {
                        return Err(denied(&format!("Policy Condition failed: {condition}")));
                    }
                }
            }
        }
        Ok(range)
    }
}

enum Condition {
    Length(LengthRange),
    Field(String, Test),
}

enum Test {
    Equals(String),
    StartsWith(String),
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Test::Equals(text) => value == text,
            Test::StartsWith(text) => value.starts_with(text.as_str()),
            Test::In(list) => list.iter().any(|text| text == value),
            Test::NotIn(list) => list.iter().all(|text| text != value),
        }
    }
}

fn read(condition: &Value) -> Option<Condition> {
    if let Some(members) = condition.as_object() {
        let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
        return Some(Condition::Field(name.clone(), Test::Equals(value.as_str()?.to_owned())));
    }
    let [kind, second, third] = condition.as_array()?.as_slice() else { return None };
    let kind = kind.as_str()?.to_ascii_lowercase();
    if kind == "content-length-range" {
        let (least, most) = (number(second)?, number(third)?);
        return (least <= most).then_some(Condition::Length(LengthRange { least, most }));
    }
    let text = || third.as_str().map(str::to_owned);
    let list = || {
        let texts = third.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    };
    let test = match kind.as_str() {
        "eq" => Test::Equals(text()?),
        "starts-with" => Test::StartsWith(text()?),
        "in" => Test::In(list()?),
        "not-in" => Test::NotIn(list()?),
        _ => return None,
    };
    Some(Condition::Field(second.as_str()?.strip_prefix('$')?.to_owned(), test))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn invalid(why: &str) -> ServiceError {
    ServiceError::of(Code::InvalidPolicyDocument).with_message(format!("Invalid Policy: {why}."))
}

fn denied(why: &str) -> ServiceError {
    ServiceError::of(Code::AccessDenied).with_message(format!("Invalid according to Policy: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_168_800_000; // 2026-11-20T10:00:00Z

    fn policy(conditions: &str) -> Result<FormPolicy, ServiceError> {
        let text =
            format!("{{\"expiration\":\"2026-11-20T11:00:00.000Z\",\"conditions\":{conditions}}}");
        FormPolicy::read(&base64::encode(text.as_bytes()))
    }

    fn check(conditions: &str, key: &str) -> Result<Option<LengthRange>, String> {
        let field = |name: &str| match name {
            "key" => Some(key.to_owned()),
            "bucket" => Some("demo-bkt".to_owned()),
            _ => None,
        };
        policy(conditions).unwrap().check(NOW, field).map_err(|error| error.code)
    }

    #[test]
    fn conditions_decide() {
        let denied = || Err("AccessDenied".to_owned());
        for (conditions, key, expected) in [
            ("[]", "a", Ok(None)),
            (r#"[{"bucket":"demo-bkt"}]"#, "a", Ok(None)),
            (r#"[{"bucket":"other"}]"#, "a", denied()),
            (r#"[["starts-with","$key","up/"]]"#, "up/a", Ok(None)),
            (r#"[["starts-with","$key","up/"]]"#, "down/a", denied()),
            (r#"[["eq","$Key","a"]]"#, "a", Ok(None)),
            (r#"[["eq","$missing",""]]"#, "a", denied()),
            (r#"[["in","$key",["a","b"]]]"#, "b", Ok(None)),
            (r#"[["in","$key",["a","b"]]]"#, "c", denied()),
            (r#"[["not-in","$key",["a","b"]]]"#, "c", Ok(None)),
            (r#"[["not-in","$key",["a","b"]]]"#, "a", denied()),
            (
                r#"[["content-length-range",1,10]]"#,
                "a",
                Ok(Some(LengthRange { least: 1, most: 10 })),
            ),
            (
                r#"[["content-length-range",1,7],["content-length-range",0,10],["content-length-range",2,9]]"#,
                "a",
                Ok(Some(LengthRange { least: 2, most: 7 })),
            ),
        ] {
            assert_eq!(check(conditions, key), expected, "{conditions}");
        }
        for bad in [
            r#"["eq"]"#,
            r#"[["eq","key","a"]]"#,
            r#"[["like","$key","a"]]"#,
            r#"[["content-length-range",10,1]]"#,
            r#"[{"a":"1","b":"2"}]"#,
            r#"[1]"#,
        ] {
            assert_eq!(check(bad, "a"), Err("InvalidPolicyDocument".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_policy_has_an_end_and_a_form() {
        let late = policy("[]").unwrap().check(NOW + 3_600_001, |_| None).unwrap_err();
        assert_eq!(late.code, "AccessDenied");
        assert!(late.message.ends_with("Policy expired."), "{}", late.message);
        for text in [
            "",
            "{}",
            "[]",
            "{\"expiration\":\"soon\",\"conditions\":[]}",
            "{\"expiration\":\"2026-11-20T11:00:00.000Z\"}",
        ] {
            let read = FormPolicy::read(&base64::encode(text.as_bytes()));
            assert_eq!(read.unwrap_err().code, "InvalidPolicyDocument", "{text}");
        }
        assert_eq!(FormPolicy::read("%%%").unwrap_err().code, "InvalidPolicyDocument");
    }
}
