//! The argument of a callback: base64 of JSON.

use serde::Deserialize;
use serde_json::{Map, Value};
use vodferry_oss::base64;

use super::target::{Target, is_authority};
use super::template::Template;

/// What an uploader asked for.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    /// In the order in which they are tried; one at least.
    pub(super) urls: Vec<Target>,
    /// In place of the URL's own host.
    pub(super) host: Option<String>,
    /// TLS names the host.
    pub(super) sni: bool,
    pub(super) body: Template,
    /// The body is JSON, else a form.
    pub(super) json: bool,
    /// Names with their `x:`.
    pub(super) variables: Vec<(String, String)>,
}

/// Longest base64 of each argument.
const MOST_BYTES: usize = 5 << 10;
const MOST_URLS: usize = 5;

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "callbackUrl")]
    url: String,
    #[serde(rename = "callbackHost", default)]
    host: Option<String>,
    #[serde(rename = "callbackBody")]
    body: String,
    #[serde(rename = "callbackBodyType", default)]
    body_type: Option<String>,
    #[serde(rename = "callbackSNI", default)]
    sni: Option<bool>,
}

impl Callback {
    /// Reads the argument and, where there is one, that of the variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(argument: &str, variables: Option<&str>) -> Result<Callback, String> {
        let written: Written = serde_json::from_slice(&decoded(argument)?)
            .map_err(|_| "The callback is not the JSON that it must be.")?;
        let urls: Vec<&str> = written.url.split(';').collect();
        if urls.len() > MOST_URLS {
            return Err(format!("The callback has more than {MOST_URLS} URLs."));
        }
        let urls = urls.into_iter().map(Target::read).collect::<Result<_, _>>()?;
        let host = written.host.filter(|host| !host.is_empty());
        if host.as_deref().is_some_and(|host| !is_authority(host)) {
            return Err("callbackHost is not a host.".into());
        }
        if written.body.is_empty() {
            return Err("callbackBody is empty.".into());
        }
        let json = match written.body_type.as_deref() {
            None | Some("" | "application/x-www-form-urlencoded") => false,
            Some("application/json") => true,
            Some(_) => return Err("callbackBodyType is neither form nor JSON.".into()),
        };
        let variables = match variables.filter(|text| !text.is_empty()) {
            Some(text) => read_variables(text)?,
            None => Vec::new(),
        };
        let (body, sni) = (Template::read(&written.body)?, written.sni.unwrap_or(false));
        Ok(Callback { urls, host, sni, body, json, variables })
    }

    /// With a variable that came by another way; `name` has its `x:`.
    pub(crate) fn add_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Whether a variable whose name begins so is asked for.
    pub(crate) fn wants(&self, beginning: &str) -> bool {
        self.body.wants(beginning)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("The callback is longer than {MOST_BYTES} bytes."));
    }
    base64::decode(text).ok_or_else(|| "The callback is not base64.".to_owned())
}

fn read_variables(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || "callback-var is not an object of texts.".to_owned();
    let object: Map<String, Value> =
        serde_json::from_slice(&decoded(text)?).map_err(|_| wrong())?;
    object
        .into_iter()
        .map(|(name, value)| match value {
            _ if !name.starts_with("x:") || name.bytes().any(|b| b.is_ascii_uppercase()) => {
                Err("Names in callback-var begin with x: and are in lower case.".to_owned())
            }
            Value::String(value) => Ok((name, value)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            _ => Err(wrong()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Callback, String> {
        Callback::read(&base64::encode(json.as_bytes()), None)
    }

    #[test]
    fn what_is_left_out_has_a_meaning() {
        let callback = read(r#"{"callbackUrl":"a;https://b:8443/c","callbackBody":"x"}"#).unwrap();
        assert!(callback.host.is_none() && !callback.sni && !callback.json);
        let ports: Vec<u16> = callback.urls.iter().map(|url| url.port).collect();
        assert_eq!(ports, [80, 8443]);
        let callback = read(
            r#"{"callbackUrl":"a","callbackBody":"x","callbackHost":"b:81","callbackSNI":true,
                "callbackBodyType":"application/json","more":1}"#,
        )
        .unwrap();
        assert_eq!((callback.host.as_deref(), callback.sni), (Some("b:81"), true));
        assert!(callback.json);
    }

    #[test]
    fn arguments_are_refused_for_each_of_their_faults() {
        assert!(read(r#"{"callbackUrl":"a","callbackBody":"${bucket}"}"#).is_ok());
        for json in [
            "",
            "[]",
            r#"{"callbackUrl":"a"}"#,
            r#"{"callbackBody":"b"}"#,
            r#"{"callbackUrl":"","callbackBody":"b"}"#,
            r#"{"callbackUrl":1,"callbackBody":"b"}"#,
            r#"{"callbackUrl":"a","callbackUrl":"a","callbackBody":"b"}"#,
            r#"{"callbackUrl":"a","callbackBody":""}"#,
            r#"{"callbackUrl":"a","callbackBody":"${bucket"}"#,
            r#"{"callbackUrl":"a","callbackBody":"b","callbackBodyType":"text/plain"}"#,
            r#"{"callbackUrl":"a","callbackBody":"b","callbackSNI":"maybe"}"#,
            r#"{"callbackUrl":"a","callbackBody":"b","callbackHost":"a\r\nX: y"}"#,
            r#"{"callbackUrl":"a","callbackBody":"b","callbackHost":"u@a"}"#,
            r#"{"callbackUrl":"a;b;c;d;e;f","callbackBody":"b"}"#,
            r#"{"callbackUrl":"a;ftp://b","callbackBody":"b"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        assert!(Callback::read("%%%", None).is_err());
        let long = format!(r#"{{"callbackUrl":"a","callbackBody":"{}"}}"#, "b".repeat(5000));
        assert!(read(&long).is_err());
    }

    #[test]
    fn variables_are_texts_under_names_in_lower_case() {
        let good = base64::encode(br#"{"callbackUrl":"a","callbackBody":"b"}"#);
        let with = |json: &str| {
            Callback::read(&good, Some(&base64::encode(json.as_bytes()))).map(|c| c.variables)
        };
        for variables in [r#"{"who":"me"}"#, r#"{"x:Who":"me"}"#, r#"{"x:a":null}"#, "[]", "x"] {
            assert!(with(variables).is_err(), "{variables}");
        }
        let found = with(r#"{"x:a":"me","x:b":1,"x:c":true}"#).unwrap();
        let expected = [("x:a", "me"), ("x:b", "1"), ("x:c", "true")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(with(&format!(r#"{{"x:a":"{}"}}"#, "b".repeat(5000))).is_err());
        assert!(Callback::read(&good, Some("%%%")).is_err());
        assert!(Callback::read(&good, Some("")).unwrap().variables.is_empty());
    }
}
