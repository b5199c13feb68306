//! Signatures of the policy of a posted form, which says what the form may upload.

use alloc::string::String;

use super::scope::Scope;
use super::{signature_v1, signature_v4};
use crate::credential::Secret;

/// The field `Signature` of a form, from its field `policy` (base64 as it stands there).
pub fn sign_policy_v1(secret: &Secret, policy_base64: &str) -> String {
    signature_v1(secret, policy_base64)
}

/// The field `x-oss-signature` of a form, from its field `policy` (base64 as it stands there) and the scope in its
/// field `x-oss-credential`.
pub fn sign_policy_v4(secret: &Secret, scope: &Scope, policy_base64: &str) -> String {
    signature_v4(secret, scope, policy_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "{\"expiration\":\"2026-11-20T11:00:00.000Z\",\"conditions\":[{\"bucket\":\"demo-bkt\"},\
        [\"starts-with\",\"$key\",\"up/\"],[\"content-length-range\",1,1048576]]}";

    #[test]
    fn vectors() {
        let policy = crate::base64::encode(POLICY.as_bytes());
        assert_eq!(
            policy,
            "eyJleHBpcmF0aW9uIjoiMjAyNi0xMS0yMFQxMTowMDowMC4wMDBaIiwiY29uZGl0aW9ucyI6W3siYnVja2V0IjoiZGVtby1ia3QifSxb\
             InN0YXJ0cy13aXRoIiwiJGtleSIsInVwLyJdLFsiY29udGVudC1sZW5ndGgtcmFuZ2UiLDEsMTA0ODU3Nl1dfQ=="
        );
        let secret = "SecretExample0123456789".into();
        assert_eq!(sign_policy_v1(&secret, &policy), "fnxFA6IHPiOWQEhNIUHlUFm8ayU=");
        let scope = Scope { date: "20261120".into(), region: "cn-hangzhou".into() };
        assert_eq!(
            sign_policy_v4(&secret, &scope, &policy),
            "5e944b2f7f9978891354bb521efc0b9ee3792fe24bc82c2cb26cc1ef69e6c736"
        );
    }
}
