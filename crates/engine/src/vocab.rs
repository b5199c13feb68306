//! The words that the engine and a shell exchange. No behaviour lives here.
//!
//! A shell gives the engine commands and [`Input`]s, each with the time as [`Now`]; it takes [`Output`]s from
//! [`Engine::poll`](crate::Engine::poll): [`Effect`]s to perform and [`Event`]s to tell the application, in order.

use alloc::string::String;

mod effects;
mod errors;
mod events;

pub use effects::*;
pub use errors::*;
pub use events::*;

/// The time of a call, on two clocks, in milliseconds.
///
/// Back-off and progress intervals live on the monotonic clock. Expiry lives on the wall clock, corrected by the
/// offset that the engine learns from the server's `Date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since an arbitrary moment; never goes backwards.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z as this machine believes; may jump either way.
    pub wall_ms: i64,
}

/// One entry of the file list. Never used twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Couples an [`Effect`] with the [`Input`] that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

/// Names a grant. The shell chooses the number and keeps the credential under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u64);

/// Where an object goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// With or without scheme, for example `https://oss-cn-shanghai.aliyuncs.com`.
    pub endpoint: String,
    /// Bucket name.
    pub bucket: String,
    /// Object key, not percent-encoded.
    pub key: String,
}

/// The right to upload one file, as the engine sees it: the secret stays in the shell, under `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The shell's name for the credential behind this grant.
    pub id: GrantId,
    /// When the credential dies, in the server's time (milliseconds since 1970); `None` when unknown.
    pub expires_at: Option<i64>,
    /// Where the object goes.
    pub target: Target,
    /// The VOD video (or media) this upload belongs to; `None` for plain OSS uploads.
    pub video_id: Option<String>,
}

/// What the shell found out about a source when it looked for its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Length in bytes; `None` while it is being written, or comes from a pipe: what is final is told by [`Input::Grown`], the
    /// length by [`Input::Finished`].
    pub length: Option<u64>,
    /// Last modification, milliseconds since 1970; 0 when the source has none.
    pub modified_ms: i64,
    /// Hex digest of sampled content: two sources with equal length, time and fingerprint are the same content. Where the length is
    /// unknown, a name that the application gave; the content is then compared part by part.
    pub fingerprint: String,
}

impl Source {
    /// Whether it is still being written, as far as is known.
    pub(crate) fn grows(&self) -> bool {
        self.length.is_none()
    }
}

/// What the application adds to the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSpec {
    /// The grant to use from the beginning (plain credentials, or an address and auth known beforehand).
    /// Without one the engine asks the authorizer, or waits for [`Engine::authorize`](crate::Engine::authorize).
    pub grant: Option<Grant>,
    /// Bytes per part for this file; 0 takes [`Config::part_size`](crate::Config::part_size).
    pub part_size: u64,
    /// Of the files that wait, those with the highest number start first, equals in the order added. Default 0. See
    /// [`Engine::set_priority`](crate::Engine::set_priority).
    pub priority: i32,
}

/// One part as the Complete request names it, with what is known of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// 1 to 10,000.
    pub number: u32,
    /// Bytes.
    pub length: u64,
    /// As the server gave it, without quotes.
    pub etag: String,
    /// CRC-64/XZ of the part's bytes where known.
    pub crc64: Option<u64>,
}

/// A wrong call: the engine's state is as before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The rule that was broken; one line.
    pub rule: &'static str,
}

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileState {
    /// Its turn will come.
    Waiting,
    /// Under way.
    Active,
    /// Paused alone.
    Paused,
    /// Its credential died and TokenExpired was told: waits for `authorize`. (A file that waits for its first credential is
    /// Active.)
    Expired,
    /// In storage.
    Succeeded,
    /// Given up; `restore` queues it again.
    Failed,
    /// Skipped; `restore` queues it again.
    Canceled,
}

/// One entry of the list, as [`Engine::files`](crate::Engine::files) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Which file.
    pub id: FileId,
    /// Where it stands.
    pub state: FileState,
    /// Bytes the server holds, as last told in a Progress event.
    pub acknowledged: u64,
    /// The file's length in bytes; `None` before the source was looked at.
    pub total: Option<u64>,
    /// Its video, once known.
    pub video_id: Option<String>,
    /// Its place, once known.
    pub target: Option<Target>,
}
