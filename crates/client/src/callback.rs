//! The upload callback: the service tells the application that an object was made, and hands its answer to the uploader.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::Error;

/// Most URLs, and most bytes of a header.
const MOST_URLS: usize = 5;
const MOST_BYTES: usize = 5 << 10;

/// Whom the service tells that the object was made, and how (`callbackParam` and `callbackVars` of the mobile SDKs). It travels with the
/// request that makes the object; the answer of the application comes back in
/// [`ObjectInfo::callback_body`](crate::ObjectInfo::callback_body).
///
/// When the application does not answer as it should, the file fails with the code `CallbackFailed`: the object is in storage all the
/// same, and the upload is not tried again. Where the reply got lost, the request is repeated, and the application is called again;
/// a service that does not remember says that the object is there, and the answer of the first call is not known.
///
/// ```
/// let mut callback = vodferry::Callback::new("https://app.example.com/uploaded", "object=${object}&size=${size}&who=${x:who}");
/// callback.vars.push(("x:who".into(), "me".into()));
/// let file = vodferry::File::path("a.mp4").callback(callback);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Callback {
    /// Where the service posts to: up to five URLs, separated by `;`, asked in their order until one answers.
    pub url: String,
    /// The Host of the post; `None` (default): that of the URL.
    pub host: Option<String>,
    /// What is posted, with variables such as `${bucket}`, `${object}`, `${etag}`, `${size}`, `${mimeType}` and `${x:name}`.
    pub body: String,
    /// What it is. Default: a form.
    pub body_type: CallbackBody,
    /// Whether the name of the host is sent when TLS is agreed upon. Default false.
    pub sni: bool,
    /// Variables of one's own: names that begin with `x:`, in lower case, and their values.
    pub vars: Vec<(String, String)>,
}

/// The Content-Type of a callback; it decides how variables are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackBody {
    /// `application/x-www-form-urlencoded`
    #[default]
    Form,
    /// `application/json`; strings get their quotes from the service.
    Json,
}

impl Callback {
    /// Posts `body` as a form to `url`.
    pub fn new(url: impl Into<String>, body: impl Into<String>) -> Callback {
        Callback {
            url: url.into(),
            host: None,
            body: body.into(),
            body_type: CallbackBody::default(),
            sni: false,
            vars: Vec::new(),
        }
    }

    /// What the service would refuse.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::misuse(format!("the callback {text}")));
        let urls: Vec<&str> = self.url.split(';').collect();
        if urls.len() > MOST_URLS || urls.iter().any(|url| url.trim().is_empty()) {
            return wrong("needs one to five URLs, separated by semicolons");
        }
        if self.body.is_empty() {
            return wrong("has an empty body");
        }
        let is_name = |name: &str| {
            let rest = name.strip_prefix("x:").unwrap_or_default();
            !rest.is_empty() && !name.contains(|c: char| c.is_uppercase() || c.is_control())
        };
        if !self.vars.iter().all(|(name, _)| is_name(name)) {
            return wrong("has a variable whose name is not x: and lower case");
        }
        match self.headers().iter().any(|(_, value)| value.len() > MOST_BYTES) {
            true => wrong("or its variables are longer than 5 KB as they travel"),
            false => Ok(()),
        }
    }

    /// As they travel.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let mut callback = json!({
            "callbackUrl": self.url,
            "callbackBody": self.body,
            "callbackBodyType": match self.body_type {
                CallbackBody::Form => "application/x-www-form-urlencoded",
                CallbackBody::Json => "application/json",
            },
        });
        if let Some(host) = &self.host {
            callback["callbackHost"] = json!(host);
        }
        if self.sni {
            callback["callbackSNI"] = json!(true);
        }
        let encode = |value: Value| vodferry_oss::base64::encode(value.to_string().as_bytes());
        let mut headers = vec![("x-oss-callback".to_owned(), encode(callback))];
        if !self.vars.is_empty() {
            let vars: Map<String, Value> =
                self.vars.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            headers.push(("x-oss-callback-var".to_owned(), encode(Value::Object(vars))));
        }
        headers
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs, bodies and values may hold what only the application is to know.
        let names: Vec<&str> = self.vars.iter().map(|(name, _)| name.as_str()).collect();
        let mut shown = f.debug_struct("Callback");
        shown.field("host", &self.host).field("body_type", &self.body_type);
        shown.field("vars", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(header: &(String, String)) -> Value {
        let bytes = vodferry_oss::base64::decode(&header.1).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn it_travels_as_two_headers() {
        let mut callback = Callback::new("http://a/cb;http://b/cb", "size=${size}");
        assert_eq!(callback.headers().len(), 1);
        callback.host = Some("a.example.com".into());
        callback.body_type = CallbackBody::Json;
        callback.vars = vec![("x:who".into(), "m\"e".into())];
        callback.check().unwrap();
        let [argument, vars] = callback.headers().try_into().unwrap();
        assert_eq!((&*argument.0, &*vars.0), ("x-oss-callback", "x-oss-callback-var"));
        let wanted = json!({"callbackUrl": "http://a/cb;http://b/cb", "callbackBody": "size=${size}",
            "callbackBodyType": "application/json", "callbackHost": "a.example.com"});
        assert_eq!(decoded(&argument), wanted);
        assert_eq!(decoded(&vars), json!({"x:who": "m\"e"}));
    }

    #[test]
    fn what_the_service_would_refuse_is_refused() {
        let good = || Callback::new("http://a/cb", "b");
        good().check().unwrap();
        let var = |name: &str| Callback { vars: vec![(name.into(), "v".into())], ..good() };
        let long = Callback { vars: vec![("x:a".into(), "v".repeat(4_000))], ..good() };
        for bad in [
            Callback::new("", "b"),
            Callback::new("a;b;c;d;e;f", "b"),
            Callback::new("http://a", ""),
            var("who"),
            var("x:"),
            var("x:Who"),
            long,
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), crate::ErrorKind::Misuse, "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_values() {
        let mut callback = Callback::new("http://a/hush", "hush=1");
        callback.vars.push(("x:who".into(), "hush".into()));
        let text = format!("{callback:?}");
        assert!(text.contains("x:who") && !text.contains("hush"), "{text}");
    }
}
