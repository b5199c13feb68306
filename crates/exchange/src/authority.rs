//! What stands behind a grant: where to, and with which credential.

use vodferry_oss::address::Style;
use vodferry_oss::{Credential, Target};
use vodferry_vod::{BlobError, UploadAddress, UploadAuth};

/// What the shell keeps behind a grant id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Signs the requests.
    pub credential: Credential,
    /// Where the object goes.
    pub target: Target,
    /// How the bucket is named in a request. [`Style::Auto`] suits the service's own domains, IP addresses and `localhost`.
    pub style: Style,
}

impl Authority {
    /// Of an upload address and an upload auth, both base64, received at `now_ms`. The second value says when the credential
    /// dies. Both times are milliseconds since 1970.
    ///
    /// # Errors
    /// One of the two is not what it should be; the error says which, and holds nothing of either.
    pub fn from_upload(
        address: &str,
        auth: &str,
        now_ms: i64,
    ) -> Result<(Authority, Option<i64>), BlobError> {
        let address = UploadAddress::decode(address)?;
        let auth = UploadAuth::decode(auth)?;
        let expires_at = auth.expires_at_ms(now_ms);
        let authority = Authority {
            credential: auth.into_credential(),
            target: address.into_target(),
            style: Style::Auto,
        };
        Ok((authority, expires_at))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use vodferry_oss::Secret;
    use vodferry_oss::address::Style;
    use vodferry_vod::{Flaw, UploadAddress, UploadAuth};

    use super::Authority;

    #[test]
    fn both_halves_become_one() {
        let address = UploadAddress {
            endpoint: "http://127.0.0.1:9000".to_string(),
            bucket: "vod-media".to_string(),
            file_name: "sv/测 试.mp4".to_string(),
        }
        .encode();
        let auth = UploadAuth {
            access_key_id: "STS.N".to_string(),
            access_key_secret: Secret::from("s"),
            security_token: Secret::from("t"),
            expire_utc_time: None,
            expiration_secs: Some(3000),
            region: None,
        }
        .encode();
        let (authority, expires_at) = Authority::from_upload(&address, &auth, 1_000).unwrap();
        assert_eq!(authority.target.key, "sv/测 试.mp4");
        assert_eq!(authority.credential.security_token, Some(Secret::from("t")));
        assert_eq!(authority.style, Style::Auto);
        assert_eq!(expires_at, Some(3_001_000));

        let swapped = Authority::from_upload(&auth, &address, 1_000).unwrap_err();
        assert_eq!(swapped.flaw, Flaw::Swapped);
    }
}
