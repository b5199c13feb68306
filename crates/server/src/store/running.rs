//! The MD5 of bytes that come in several requests.

use md5::digest::common::hazmat::{SerializableState, SerializedState};
use md5::{Digest, Md5};

/// An MD5 that has not come to its end, and can be kept until more bytes come.
#[derive(Clone, Debug, Default)]
pub struct RunningMd5(Md5);

impl RunningMd5 {
    /// One that was kept; `None` when these bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<RunningMd5> {
        let state = SerializedState::<Md5>::try_from(bytes).ok()?;
        Md5::deserialize(&state).ok().map(RunningMd5)
    }

    /// To be kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MD5 of all bytes.
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was_kept() {
        for cut in [0, 1, 63, 64, 65, 200] {
            let bytes: Vec<u8> = (0..200).collect();
            let mut first = RunningMd5::default();
            first.update(&bytes[..cut]);
            let mut second = RunningMd5::from_bytes(&first.to_bytes()).unwrap();
            second.update(&bytes[cut..]);
            assert_eq!(second.finish(), <[u8; 16]>::from(Md5::digest(&bytes)));
        }
        assert!(
            RunningMd5::from_bytes(b"").is_none() && RunningMd5::from_bytes(&[0; 500]).is_none()
        );
    }
}
