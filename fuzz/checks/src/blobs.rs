//! Upload address and upload auth, as people paste them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vodferry_vod::{BlobError, UploadAddress, UploadAuth};

/// The text as it is, and the bytes as the JSON inside of one: what is read is read again after it was written, and
/// what is refused is not repeated.
pub fn blobs(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        blob(text);
    }
    blob(&STANDARD.encode(data));
}

fn blob(text: &str) {
    match UploadAddress::decode(text) {
        Ok(address) => assert_eq!(UploadAddress::decode(&address.encode()), Ok(address)),
        Err(error) => one_line(error),
    }
    match UploadAuth::decode(text) {
        Ok(auth) => {
            assert_eq!(UploadAuth::decode(&auth.encode()).as_ref(), Ok(&auth));
            auth.expires_at_ms(i64::MAX);
            auth.expires_at_ms(i64::MIN);
        }
        Err(error) => one_line(error),
    }
}

fn one_line(error: BlobError) {
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 120, "{line}");
}
