//! Credentials and targets: who signs, and where an object goes.

use alloc::string::String;
use core::fmt;

use zeroize::Zeroizing;

/// Text that is wiped when dropped and prints as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself: for signing and for headers, never for messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

/// An access key, with a token when it is temporary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Names the key; not a secret.
    pub access_key_id: String,
    /// Signs.
    pub access_key_secret: Secret,
    /// Of a temporary (STS) credential.
    pub security_token: Option<Secret>,
}

/// Where an object goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// With or without scheme; `https` when none is given.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// Object key, not percent-encoded.
    pub key: String,
}
