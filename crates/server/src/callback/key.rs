//! The key pair that callbacks are signed with.
//!
//! PKCS #1 v1.5 over MD5 is what the applications check, so that is what they get: it tells them that
//! this server asks, and nothing else hangs on it.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use getrandom::SysRng;
use md5::{Digest, Md5};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::UnwrapErr;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use vodferry_oss::base64;

use crate::keys::{KeysError, create_private, read_private};

/// The private key, beside `keys.toml` and readable by its owner only.
pub(crate) const KEY_FILE: &str = "callback-key.pem";
const BITS: usize = 2048;

/// A key pair.
pub(super) struct Key {
    private: Arc<RsaPrivateKey>,
    /// As PEM.
    pub(super) public: String,
}

impl Key {
    /// Reads the key of a data folder, or makes one. Takes a moment and blocks.
    ///
    /// # Errors
    /// What is wrong with the file, without the key.
    pub(super) fn open(folder: &Path) -> Result<Key, Box<dyn Error + Send + Sync>> {
        let path = folder.join(KEY_FILE);
        let pem = match read_private(&path) {
            Err(KeysError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let private = RsaPrivateKey::new(&mut UnwrapErr(SysRng), BITS)?;
                create_private(&path, &private.to_pkcs8_pem(LineEnding::LF)?)?;
                // Another server may have been quicker.
                read_private(&path)?
            }
            found => found?,
        };
        let private = RsaPrivateKey::from_pkcs8_pem(&pem)
            .map_err(|error| format!("{} holds no RSA key: {error}", path.display()))?;
        let public = private.to_public_key().to_public_key_pem(LineEnding::LF)?;
        Ok(Key { private: Arc::new(private), public })
    }

    /// The signature of a text, in base64; none when there is no randomness to be had.
    pub(super) async fn sign(&self, text: &str) -> Option<String> {
        let hash = Md5::digest(text.as_bytes());
        let private = self.private.clone();
        // Milliseconds of arithmetic. It is blinded, so that its time says nothing about the key.
        let signed = tokio::task::spawn_blocking(move || {
            private.sign_with_rng(&mut UnwrapErr(SysRng), Pkcs1v15Sign::new::<Md5>(), &hash)
        });
        Some(base64::encode(&signed.await.ok()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn a_key_is_made_once_kept_from_others_and_signs_what_it_should() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(KEY_FILE);
        let key = Key::open(folder.path()).unwrap();
        assert_eq!(Key::open(folder.path()).unwrap().public, key.public);
        let signature = base64::decode(&key.sign("/c b\nbucket=b").await.unwrap()).unwrap();
        assert_eq!(signature.len(), BITS / 8);
        let public = key.private.to_public_key();
        let verify = |text: &str| {
            public.verify(Pkcs1v15Sign::new::<Md5>(), &Md5::digest(text.as_bytes()), &signature)
        };
        verify("/c b\nbucket=b").unwrap();
        verify("/c b\nbucket=c").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let error = Key::open(folder.path()).err().unwrap().to_string();
            assert!(error.contains("chmod 600"), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, "no key").unwrap();
        let error = Key::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains(KEY_FILE) && !error.contains("no key"), "{error}");
    }
}
