//! Signatures of requests: who asks, and that nobody changed what is asked.
//!
//! A client signs with [`sign_v1`] or [`sign_v4`] (headers), or with [`presign_v1`] or [`presign_v4`] (a URL for
//! somebody else). A server reads what is claimed with [`Presented::of`], looks the key up, checks the time with
//! [`Presented::check_time`] and the region with [`Presented::check_region`], and then the MAC with
//! [`Presented::verify`], once for each (bucket, key) the request may mean. A form that posts an object carries a
//! signed policy in place of a signed request: [`sign_policy_v1`], [`sign_policy_v4`].

mod canonical;
mod policy;
mod presented;
mod read;
mod scope;
mod subresource;
mod v1;
mod v4;

use alloc::string::String;

use sha1::Digest;
use zeroize::Zeroizing;

pub use canonical::canonical_request_v4;
pub use policy::{sign_policy_v1, sign_policy_v4};
pub use presented::{ClaimV4, Form, Presented};
pub use read::PresentedError;
pub use scope::{Region, Scope, ScopeFlaw};
pub use subresource::is_signed;
pub use v1::{presign_v1, sign_v1, sign_v1_among, signature_v1, string_to_sign_v1};
pub use v4::{OptionsV4, presign_v4, sign_v4, signature_v4, string_to_sign_v4};

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// Brings a key to the hash's block length as HMAC defines it, so that there is no length to refuse.
fn key_block<D: Digest>(key: &[u8]) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0; 64]);
    let mut pad = |bytes: &[u8]| block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    if key.len() > 64 {
        pad(&D::digest(key));
    } else {
        pad(key);
    }
    block
}
