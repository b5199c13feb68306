//! Upload address and upload auth: where one file goes, and the credential that may put it there.
//!
//! Both travel as base64 of a flat JSON object (standard alphabet, padded). An application server hands them out as they are,
//! people paste them into command lines; so reading forgives what cannot be misunderstood (blanks and line breaks, missing
//! padding, the URL-safe alphabet), and what is wrong is named: which of the two, and what about it.

use alloc::string::String;
use core::fmt;

use vodferry_oss::text::{decimal, parse_u64};
use vodferry_oss::{Credential, Secret, Target};

use crate::json::{Object, push_member};

/// Where an object goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadAddress {
    /// With or without scheme, for example `https://oss-cn-shanghai.aliyuncs.com`.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// The object's key.
    pub file_name: String,
}

impl UploadAddress {
    /// Reads the base64 text.
    pub fn decode(text: &str) -> Result<UploadAddress, BlobError> {
        let reader = Members::read(Blob::Address, text)?;
        Ok(UploadAddress {
            endpoint: String::from(reader.required("Endpoint")?),
            bucket: String::from(reader.required("Bucket")?),
            file_name: String::from(reader.required("FileName")?),
        })
    }

    /// Gives the base64 text.
    pub fn encode(&self) -> String {
        encode(&[
            ("Endpoint", Some(&self.endpoint)),
            ("Bucket", Some(&self.bucket)),
            ("FileName", Some(&self.file_name)),
        ])
    }

    /// The same in the words of OSS.
    pub fn into_target(self) -> Target {
        Target { endpoint: self.endpoint, bucket: self.bucket, key: self.file_name }
    }
}

/// A temporary credential for the object that an [`UploadAddress`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadAuth {
    /// Names the key; not a secret.
    pub access_key_id: String,
    /// Signs.
    pub access_key_secret: Secret,
    /// Goes with every request.
    pub security_token: Secret,
    /// When it dies, as `2026-11-20T10:50:00Z`.
    pub expire_utc_time: Option<String>,
    /// How long it lives from the moment it was given out, in seconds.
    pub expiration_secs: Option<u64>,
    /// Where later calls of the API go, for example `cn-shanghai`.
    pub region: Option<String>,
}

impl UploadAuth {
    /// Reads the base64 text.
    pub fn decode(text: &str) -> Result<UploadAuth, BlobError> {
        let reader = Members::read(Blob::Auth, text)?;
        Ok(UploadAuth {
            access_key_id: String::from(reader.required("AccessKeyId")?),
            access_key_secret: Secret::from(reader.required("AccessKeySecret")?),
            security_token: Secret::from(reader.required("SecurityToken")?),
            expire_utc_time: reader.optional("ExpireUTCTime"),
            expiration_secs: reader.object.get("Expiration").and_then(parse_u64),
            region: reader.optional("Region"),
        })
    }

    /// Gives the base64 text: a secret, as it holds the key.
    pub fn encode(&self) -> String {
        let expiration = self.expiration_secs.map(decimal);
        encode(&[
            ("SecurityToken", Some(self.security_token.expose())),
            ("AccessKeyId", Some(&self.access_key_id)),
            ("ExpireUTCTime", self.expire_utc_time.as_deref()),
            ("AccessKeySecret", Some(self.access_key_secret.expose())),
            // Text, not a number: the web SDK's check for a truthy value and the typed models of the others agree on it.
            ("Expiration", expiration.as_deref()),
            ("Region", self.region.as_deref()),
        ])
    }

    /// When the credential dies, milliseconds since 1970 in the server's time: `ExpireUTCTime` where it can be read, otherwise
    /// `Expiration` after `received_ms`. `None`: nobody said.
    pub fn expires_at_ms(&self, received_ms: i64) -> Option<i64> {
        if let Some(at) = self.expire_utc_time.as_deref().and_then(vodferry_oss::time::parse_iso) {
            return Some(at);
        }
        let life = i64::try_from(self.expiration_secs?).ok()?.checked_mul(1000)?;
        received_ms.checked_add(life)
    }

    /// The same in the words of OSS.
    pub fn into_credential(self) -> Credential {
        Credential {
            access_key_id: self.access_key_id,
            access_key_secret: self.access_key_secret,
            security_token: Some(self.security_token),
        }
    }
}

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blob {
    /// An [`UploadAddress`].
    Address,
    /// An [`UploadAuth`].
    Auth,
}

impl Blob {
    fn name(self) -> &'static str {
        match self {
            Blob::Address => "upload address",
            Blob::Auth => "upload auth",
        }
    }
}

/// A text that is no upload address or no upload auth. Says what is wrong without repeating any of it: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobError {
    /// Which was expected.
    pub blob: Blob,
    /// What was found.
    pub flaw: Flaw,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing there.
    Empty,
    /// A member is there and holds nothing.
    EmptyMember(&'static str),
    /// A member is missing.
    Missing(&'static str),
    /// Characters that base64 does not have, or a length it cannot have.
    NotBase64,
    /// Base64, but not of a JSON object.
    NotJson,
    /// It is the other of the two.
    Swapped,
}

impl BlobError {
    /// One line for people.
    pub fn message(&self) -> String {
        let name = self.blob.name();
        let (before, after) = match self.flaw {
            Flaw::Empty => ("the ", " is empty"),
            Flaw::EmptyMember(_) => ("the ", " has an empty "),
            Flaw::Missing(_) => ("the ", " has no "),
            Flaw::NotBase64 => ("the ", " is not base64: was it cut off or altered on its way?"),
            Flaw::NotJson => ("the ", " is base64, but not of a JSON object: was it cut off?"),
            Flaw::Swapped => ("address and auth are swapped: what was given as ", " is the other"),
        };
        let mut out = String::from(before);
        out.push_str(name);
        out.push_str(after);
        if let Flaw::EmptyMember(member) | Flaw::Missing(member) = self.flaw {
            out.push_str(member);
        }
        out
    }
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl core::error::Error for BlobError {}

struct Members {
    blob: Blob,
    object: Object,
}

impl Members {
    fn read(blob: Blob, text: &str) -> Result<Members, BlobError> {
        let fail = |flaw| BlobError { blob, flaw };
        let plain: String = text
            .chars()
            .filter(|b| !b.is_ascii_whitespace())
            .map(|b| match b {
                '-' => '+',
                '_' => '/',
                b => b,
            })
            .collect();
        if plain.is_empty() {
            return Err(fail(Flaw::Empty));
        }
        let json = vodferry_oss::base64::decode_unpadded(plain.trim_end_matches('='))
            .ok_or(fail(Flaw::NotBase64))?;
        // As a secret from here on, so that the text is wiped as well.
        let json = String::from_utf8(json).map(Secret::new).map_err(|_| fail(Flaw::NotJson))?;
        let object = Object::parse(json.expose()).ok_or(fail(Flaw::NotJson))?;
        let (own, other) = match blob {
            Blob::Address => ("Endpoint", "AccessKeyId"),
            Blob::Auth => ("AccessKeyId", "Endpoint"),
        };
        if object.has(other) && !object.has(own) {
            return Err(fail(Flaw::Swapped));
        }
        Ok(Members { blob, object })
    }

    fn required(&self, name: &'static str) -> Result<&str, BlobError> {
        match self.object.get(name) {
            None => Err(BlobError { blob: self.blob, flaw: Flaw::Missing(name) }),
            Some("") => Err(BlobError { blob: self.blob, flaw: Flaw::EmptyMember(name) }),
            Some(value) => Ok(value),
        }
    }

    fn optional(&self, name: &str) -> Option<String> {
        self.object.get(name).filter(|value| !value.is_empty()).map(String::from)
    }
}

fn encode(members: &[(&str, Option<&str>)]) -> String {
    let mut json = String::from("{");
    for (name, value) in members {
        if let Some(value) = value {
            push_member(&mut json, name, value);
        }
    }
    json.push('}');
    let json = Secret::new(json);
    vodferry_oss::base64::encode(json.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::{Blob, BlobError, Flaw, UploadAddress, UploadAuth};

    const ADDRESS: &str = r#"{"Endpoint":"https://oss-cn-shanghai.aliyuncs.com","Bucket":"outin-0a1b2c","FileName":"sv/5b4e2f-1937c2/5b4e2f-1937c2.mp4"}"#;
    const AUTH: &str = r#"{"SecurityToken":"CAIStoken","AccessKeyId":"STS.Nkey","ExpireUTCTime":"2026-11-20T10:50:00Z","AccessKeySecret":"keysecret","Expiration":"3000","Region":"cn-shanghai"}"#;
    const EXPIRES: i64 = 1_795_171_800_000;

    fn b64(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    fn auth_without(member: &str) -> String {
        AUTH.replace(&format!("\"{member}\":"), "\"Other\":")
    }

    #[test]
    fn reads_and_writes_the_documented_forms() {
        let address = UploadAddress::decode(&b64(ADDRESS)).unwrap();
        assert_eq!(address.endpoint, "https://oss-cn-shanghai.aliyuncs.com");
        assert_eq!(address.bucket, "outin-0a1b2c");
        assert_eq!(address.encode(), b64(ADDRESS));
        assert_eq!(address.into_target().key, "sv/5b4e2f-1937c2/5b4e2f-1937c2.mp4");

        let auth = UploadAuth::decode(&b64(AUTH)).unwrap();
        assert_eq!(auth.expiration_secs, Some(3000));
        assert_eq!(auth.region.as_deref(), Some("cn-shanghai"));
        assert_eq!(auth.encode(), b64(AUTH));
        let credential = auth.into_credential();
        assert_eq!(credential.access_key_id, "STS.Nkey");
        assert_eq!(credential.access_key_secret.expose(), "keysecret");
        assert_eq!(credential.security_token.unwrap().expose(), "CAIStoken");
    }

    #[test]
    fn expiry_prefers_the_date() {
        let auth = UploadAuth::decode(&b64(AUTH)).unwrap();
        assert_eq!(auth.expires_at_ms(0), Some(EXPIRES));
        let auth = UploadAuth::decode(&b64(&auth_without("ExpireUTCTime"))).unwrap();
        assert_eq!(auth.expires_at_ms(500), Some(3_000_500));
        let auth =
            UploadAuth::decode(&b64(&AUTH.replace("2026-11-20T10:50:00Z", "tomorrow"))).unwrap();
        assert_eq!(auth.expires_at_ms(500), Some(3_000_500));
        let auth = UploadAuth::decode(&b64(&AUTH.replace("\"3000\"", "3000"))).unwrap();
        assert_eq!(auth.expiration_secs, Some(3000));
        let nothing = auth_without("ExpireUTCTime").replace("\"3000\"", "\"soon\"");
        assert_eq!(UploadAuth::decode(&b64(&nothing)).unwrap().expires_at_ms(500), None);
        let ages = auth_without("ExpireUTCTime").replace("3000", "18446744073709551615");
        assert_eq!(UploadAuth::decode(&b64(&ages)).unwrap().expires_at_ms(500), None);
    }

    #[test]
    fn forgives_how_the_text_travelled() {
        let address = r#"{"Endpoint":"http://10.0.0.5:9000","Bucket":"b","FileName":"测?>~.mp4"}"#;
        let plain = UploadAddress::decode(&b64(address)).unwrap();
        let text = b64(address);
        assert!(text.contains('+') || text.contains('/'), "shows nothing: {text}");
        let (head, tail) = text.split_at(20);
        for variant in [
            text.trim_end_matches('=').to_string(),
            text.replace('+', "-").replace('/', "_"),
            format!("  {head}\r\n{tail}\n"),
        ] {
            assert_eq!(UploadAddress::decode(&variant).unwrap(), plain, "{variant}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let address = |text: &str| UploadAddress::decode(text).unwrap_err();
        let auth = |text: &str| UploadAuth::decode(text).unwrap_err();
        let error = |blob, flaw| BlobError { blob, flaw };
        assert_eq!(address(" \n"), error(Blob::Address, Flaw::Empty));
        assert_eq!(address("*not*base64*"), error(Blob::Address, Flaw::NotBase64));
        assert_eq!(auth(&b64(AUTH)[..9]), error(Blob::Auth, Flaw::NotBase64));
        assert_eq!(auth(&b64(AUTH)[..40]), error(Blob::Auth, Flaw::NotJson));
        assert_eq!(auth(&b64("[1]")), error(Blob::Auth, Flaw::NotJson));
        assert_eq!(auth(&BASE64_STANDARD.encode([0xff, 0xfe])), error(Blob::Auth, Flaw::NotJson));
        assert_eq!(address(&b64(AUTH)), error(Blob::Address, Flaw::Swapped));
        assert_eq!(auth(&b64(ADDRESS)), error(Blob::Auth, Flaw::Swapped));
        assert_eq!(
            address(&b64(&ADDRESS.replace("outin-0a1b2c", ""))),
            error(Blob::Address, Flaw::EmptyMember("Bucket"))
        );
        for member in ["AccessKeyId", "AccessKeySecret", "SecurityToken"] {
            let got = auth(&b64(&auth_without(member)));
            assert_eq!(got, error(Blob::Auth, Flaw::Missing(member)));
            assert_eq!(got.to_string(), format!("the upload auth has no {member}"));
        }
        for member in ["Endpoint", "Bucket", "FileName"] {
            let text = ADDRESS.replace(&format!("\"{member}\":"), "\"Other\":");
            assert_eq!(address(&b64(&text)), error(Blob::Address, Flaw::Missing(member)));
        }
        assert_eq!(
            address(&b64(AUTH)).to_string(),
            "address and auth are swapped: what was given as upload address is the other"
        );
    }

    #[test]
    fn shows_no_secret() {
        let auth = UploadAuth::decode(&b64(AUTH)).unwrap();
        let shown = format!("{auth:?}");
        assert!(!shown.contains("keysecret") && !shown.contains("CAIStoken"), "{shown}");
    }
}
