//! Resumable video upload: a file added arrives in storage whole, whatever is killed on the way.
//!
//! # One file
//!
//! ```no_run
//! # #[tokio::main] async fn main() -> Result<(), vodferry::Error> {
//! use vodferry::AppServer;
//! let done = vodferry::upload("holiday.mp4", AppServer::new("http://127.0.0.1:8080")?).await?;
//! println!("video {}", done.video_id.unwrap_or_default());
//! # Ok(()) }
//! ```
//!
//! Kill it, run it again: it goes on where it stopped.
//!
//! # A list
//!
//! ```no_run
//! # #[tokio::main] async fn main() -> Result<(), vodferry::Error> {
//! use vodferry::{AppServer, Event, File, Uploader};
//! let app = AppServer::new("http://127.0.0.1:8080")?;
//! let uploader = Uploader::builder().authorizer(app).parallel(5).build()?;
//! let mut events = uploader.events();
//! uploader.add("a.mp4")?;
//! uploader.add(File::path("b.mp4").title("The second one"))?;
//! uploader.start();
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Failed { error, .. } => eprintln!("{}", error.message),
//!         Event::Ended { .. } => break,
//!         other => println!("{other:?}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What is where
//!
//! What to do next is decided by `vodferry-engine`, a machine without I/O; how it looks on the wire by `vodferry-exchange`. This crate
//! performs: it reads files, sends requests, keeps checkpoints, asks the [`Authorizer`]. An [`Uploader`] needs a tokio runtime with
//! I/O and time enabled.

mod app_server;
mod ask;
mod authorizer;
pub mod blocking;
mod body;
mod bucket;
mod buffers;
mod builder;
mod callback;
mod checkpoints;
mod clock;
mod direct;
mod download;
mod error;
mod events;
mod exported;
mod faces;
mod file;
mod foreign;
mod hint;
mod holds;
mod http;
mod journal;
mod limit;
mod listener;
mod media;
mod net;
mod options;
mod part;
mod perform;
mod report;
mod route;
mod shell;
mod snapshots;
mod source;
mod state;
mod store;
mod sts;
mod uploader;
mod vod_api;
mod watch;
mod windows;

pub use app_server::AppServer;
pub use authorizer::{Authorizer, BoxFuture, GrantRequest, News, UploadGrant};
pub use body::{Body, BodyError, ReplyWatch};
pub use bucket::{
    AppendResult, Bucket, BucketBuilder, Initiate, ListObjects, Listed, ListedObject, ListedUpload,
    Listing, ObjectHead, Progress, PutOptions, ResumableUpload, UploadTask,
};
pub use builder::UploaderBuilder;
pub use callback::{Callback, CallbackBody};
pub use checkpoints::{CheckpointInfo, Checkpoints, checkpoint_of};
pub use clock::Clock;
pub use direct::DirectOss;
pub use download::{Download, presigned_url, presigned_url_v4};
pub use error::Error;
pub use events::Events;
pub use file::{File, FileStatus, Uploaded};
pub use holds::Holds;
pub use http::{Http, TransportError, TransportErrorKind, http_client};
pub use listener::Listener;
pub use media::Place;
pub use options::{Duplicates, OnBusy, Options, Proxy, Timeouts};
pub use report::{Report, Reported, Reporter};
pub use snapshots::{Snapshot, Snapshots};
pub use source::{Content, Growth};
pub use sts::StsToken;
pub use uploader::Uploader;
pub use vod_api::VodApi;
pub use vodferry_engine::{
    Backoff, Budget, ErrorInfo, ErrorKind, Event, FaultKind, FileId, FileState, ObjectInfo,
    OnCancel, OnPartFailure, PartInfo, Retry, Target,
};
pub use vodferry_oss::address::Style as AddressStyle;
pub use vodferry_oss::time;
pub use vodferry_oss::{Credential, Method, Request, Response, Secret};
pub use vodferry_vod::api::ApiSignature;
pub use vodferry_vod::{ImageType, Media, MediaKind};

/// Uploads one file with the default [`Options`] and waits for it. What an earlier call left unfinished is resumed.
///
/// # Errors
///
/// Why the file was given up; see [`ErrorKind`].
pub async fn upload(file: impl Into<File>, authorizer: impl Authorizer) -> Result<Uploaded, Error> {
    uploader::upload_one(file.into(), authorizer).await
}
