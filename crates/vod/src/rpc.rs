//! Signature version 1 of the RPC-style APIs (VOD, STS): HMAC-SHA1 over all parameters.
//!
//! Every parameter of query and form body is signed, whatever it is called, except `Signature` itself:
//!
//! ```text
//! canonical query = pairs sorted by name, enc(name)=enc(value) joined by &
//! string to sign  = METHOD & enc("/") & enc(canonical query)
//! Signature       = base64(HMAC-SHA1(secret + "&", string to sign))
//! ```
//!
//! Both sides work on decoded names and values, so that it does not matter how a client encoded them.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_oss::encode::encode_component;
use vodferry_oss::sign::signature_v1;
use vodferry_oss::{Credential, Method, Secret};

use crate::text::equal;

/// The parameter that carries the signature, and that alone is not signed.
pub const SIGNATURE: &str = "Signature";

/// A call of an RPC API, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// For example `CreateUploadVideo`.
    pub action: &'a str,
    /// Of the API: `2017-03-21` for VOD, `2015-04-01` for STS.
    pub version: &'a str,
    /// Parameters of the action.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Never used twice: a random text.
    pub nonce: &'a str,
    /// The time of the call as `2026-11-20T10:00:00Z`.
    pub timestamp: &'a str,
}

/// All parameters to send, `Signature` last: the call's own and those that every call carries. Values are not
/// percent-encoded. The reply is asked for as JSON.
pub fn signed_parameters(
    method: Method,
    call: &Call<'_>,
    credential: &Credential,
) -> Vec<(String, String)> {
    let common = [
        ("Format", "JSON"),
        ("Version", call.version),
        ("AccessKeyId", &credential.access_key_id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("Timestamp", call.timestamp),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", call.nonce),
        ("Action", call.action),
    ];
    let token = credential.security_token.as_ref().map(|token| ("SecurityToken", token.expose()));
    let mut pairs: Vec<(String, String)> = common
        .into_iter()
        .chain(token)
        .chain(call.parameters.iter().copied())
        .map(|(name, value)| (String::from(name), String::from(value)))
        .collect();
    let signature = sign(method, &pairs, credential.access_key_secret.expose());
    pairs.push((String::from(SIGNATURE), signature));
    pairs
}

/// The signature of `pairs`.
pub fn sign(method: Method, pairs: &[(String, String)], secret: &str) -> String {
    let mut key = String::with_capacity(secret.len() + 1);
    key.push_str(secret);
    key.push('&');
    signature_v1(&Secret::new(key), &string_to_sign(method, pairs))
}

/// Whether `pairs` hold exactly one `Signature`, and it is the one that `secret` makes. Takes the same time for every wrong
/// signature.
pub fn verify(method: Method, pairs: &[(String, String)], secret: &str) -> bool {
    let mut given = pairs.iter().filter(|(name, _)| name == SIGNATURE);
    let (Some((_, signature)), None) = (given.next(), given.next()) else { return false };
    equal(sign(method, pairs, secret).as_bytes(), signature.as_bytes())
}

/// What is signed. Holds no secret but the security token's text, which the client sent itself: a server shows it with
/// `SignatureDoesNotMatch`.
pub fn string_to_sign(method: Method, pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> =
        pairs.iter().filter(|(name, _)| name != SIGNATURE).collect();
    sorted.sort();
    let mut query = String::new();
    for (name, value) in sorted {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&encode_component(name));
        query.push('=');
        query.push_str(&encode_component(value));
    }
    let mut out = String::from(method.as_str());
    out.push_str("&%2F&");
    out.push_str(&encode_component(&query));
    out
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use vodferry_oss::{Credential, Method, Secret};

    use super::{Call, sign, signed_parameters, string_to_sign, verify};

    const SECRET: &str = "SecretExample0123456789";

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    fn call() -> Vec<(String, String)> {
        signed_parameters(
            Method::Get,
            &Call {
                action: "CreateUploadVideo",
                version: "2017-03-21",
                parameters: &[("Title", "测试 a+b*~"), ("FileName", "a.mp4")],
                nonce: "n-1",
                timestamp: "2026-11-20T10:00:00Z",
            },
            &Credential {
                access_key_id: "AKIDEXAMPLE".to_string(),
                access_key_secret: Secret::from(SECRET),
                security_token: None,
            },
        )
    }

    #[test]
    fn the_published_vector() {
        let pairs = call();
        assert_eq!(
            string_to_sign(Method::Get, &pairs),
            "GET&%2F&AccessKeyId%3DAKIDEXAMPLE%26Action%3DCreateUploadVideo%26FileName%3Da.mp4%26Format%3DJSON\
             %26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3Dn-1%26SignatureVersion%3D1.0\
             %26Timestamp%3D2026-11-20T10%253A00%253A00Z\
             %26Title%3D%25E6%25B5%258B%25E8%25AF%2595%2520a%252Bb%252A~%26Version%3D2017-03-21"
        );
        assert_eq!(
            pairs.last().unwrap(),
            &("Signature".to_string(), "nb63RHiP+slWlmGJTjBSIoUcUko=".to_string())
        );
        assert!(verify(Method::Get, &pairs, SECRET));
    }

    #[test]
    fn anything_altered_is_refused() {
        let good = call();
        assert!(!verify(Method::Post, &good, SECRET), "method");
        assert!(!verify(Method::Get, &good, "SecretExample012345678"), "secret");
        let mut altered = good.clone();
        altered[0].1.push('x');
        assert!(!verify(Method::Get, &altered, SECRET), "value");
        let mut added = good.clone();
        added.push(("SignatureType".to_string(), String::new()));
        assert!(!verify(Method::Get, &added, SECRET), "an added empty parameter");
        let mut twice = good.clone();
        twice.push(twice.last().unwrap().clone());
        assert!(!verify(Method::Get, &twice, SECRET), "two signatures");
        let (_, without) = good.split_last().unwrap();
        assert!(!verify(Method::Get, without, SECRET), "none");
        for wrong in
            ["", "nb63RHiP+slWlmGJTjBSIoUcUko", "nb63", "*", "nb63RHiP+slWlmGJTjBSIoUcUkp="]
        {
            let mut pairs = without.to_vec();
            pairs.push(("Signature".to_string(), wrong.to_string()));
            assert!(!verify(Method::Get, &pairs, SECRET), "{wrong}");
        }
    }

    #[test]
    fn the_token_is_signed() {
        let credential = Credential {
            access_key_id: "STS.N".to_string(),
            access_key_secret: Secret::from(SECRET),
            security_token: Some(Secret::from("CAIS+/=")),
        };
        let call = Call { action: "A", version: "1", parameters: &[], nonce: "n", timestamp: "t" };
        let pairs = signed_parameters(Method::Post, &call, &credential);
        assert!(verify(Method::Post, &pairs, SECRET));
        let other: Vec<_> = pairs.into_iter().filter(|(n, _)| n != "SecurityToken").collect();
        assert!(!verify(Method::Post, &other, SECRET));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_in_any_order(
            list in proptest::collection::vec((any::<String>(), any::<String>()), 0..8),
            secret in any::<String>(),
        ) {
            let mut list: Vec<_> = list.into_iter().filter(|(n, _)| n != "Signature").collect();
            list.push(("Signature".to_string(), sign(Method::Get, &list, &secret)));
            list.reverse();
            prop_assert!(verify(Method::Get, &list, &secret));
            let longer = pairs(&[("added", "")]).into_iter().chain(list).collect::<Vec<_>>();
            prop_assert!(!verify(Method::Get, &longer, &secret));
        }
    }
}
