//! What the application adds to the list, and what it is told about it.

use std::path::{Path, PathBuf};

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncRead;
use vodferry_engine::{FileId, FileState, ObjectInfo, Target};
use vodferry_oss::Credential;

use crate::perform::Spec;
use crate::source::{Origin, Stream};
use crate::{Callback, Content, Error, Growth, Media, Place, UploadGrant};

/// A file to upload: where its bytes are, and where they go if that is known already. A path is the usual thing; memory, streams and
/// files that are still being written do as well.
///
/// ```
/// # fn main() -> Result<(), vodferry::Error> {
/// use vodferry::{Credential, File, Target};
/// // The uploader's authorizer gives the place:
/// let a = File::path("holiday.mp4").title("Holiday");
/// // A place and an access key known beforehand:
/// let target = Target { endpoint: "http://127.0.0.1:8080".into(), bucket: "films".into(), key: "a b.mp4".into() };
/// let credential = Credential { access_key_id: "id".into(), access_key_secret: "secret".into(), security_token: None };
/// let b = File::path("holiday.mp4").to(target, credential);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) origin: Origin,
    pub(crate) name: String,
    pub(crate) media: Media,
    pub(crate) place: Place,
    pub(crate) part_size: u64,
    pub(crate) priority: i32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) callback: Option<Callback>,
    /// Parts one at a time, in their order: of uploads that the service takes as one stream.
    pub(crate) sequential: bool,
    /// Where records of another SDK may be.
    pub(crate) foreign: Option<PathBuf>,
    pub(crate) grant: Option<UploadGrant>,
}

impl File {
    /// A file of this machine. It is looked at when its turn comes; what cannot be used then is told by a Failed event.
    pub fn path(path: impl Into<PathBuf>) -> File {
        let path = path.into();
        let name = name_of(&path);
        File::of(Origin::Path(path), name)
    }

    /// Bytes in memory.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> File {
        File::content(name, bytes.into())
    }

    /// Bytes that can be read anywhere and again, wherever they are.
    pub fn content(name: impl Into<String>, content: impl Content) -> File {
        let name = name.into();
        File::of(Origin::content(&name, content), name)
    }

    /// Bytes that come once, their number unknown: standard input, a program's output. Parts are sent while it is read; no more
    /// than [`Options::max_buffered`](crate::Options::max_buffered) bytes of it are in memory (or one part, where that is more),
    /// so its writer waits for a slow network. It may be about 311 GiB at the defaults.
    ///
    /// After a crash the same stream is read again from its beginning: `name` finds the checkpoint, each part is compared with what
    /// the server holds, and only what differs is sent. Can be added once.
    pub fn reader(name: impl Into<String>, reader: impl AsyncRead + Send + 'static) -> File {
        let name = name.into();
        File::of(Origin::Stream(Arc::new(Stream::new(&name, reader))), name)
    }

    /// A file that is still being written, and the hand with which its writer announces what is final. It need not exist yet.
    /// Parts are sent as soon as all their bytes are final, whatever their order. Its path finds the checkpoint after a crash. Can
    /// be added once.
    ///
    /// ```
    /// let (file, growth) = vodferry::File::growing("export.mp4");
    /// // uploader.add(file)?; then, while it is written:
    /// growth.ready(48..1_000_000);
    /// growth.ready(0..48);
    /// growth.finish(1_000_000);
    /// ```
    pub fn growing(path: impl Into<PathBuf>) -> (File, Growth) {
        let path = path.into();
        let (origin, growth) = Origin::growing(&path);
        (File::of(origin, name_of(&path)), growth)
    }

    fn of(origin: Origin, name: String) -> File {
        File {
            origin,
            name,
            media: Media::default(),
            place: Place::default(),
            part_size: 0,
            priority: 0,
            headers: Vec::new(),
            callback: None,
            sequential: false,
            foreign: None,
            grant: None,
        }
    }

    /// What the authorizer is told as the file's name, instead of the last part of the path, control characters in it replaced by `_`.
    pub fn name(mut self, name: impl Into<String>) -> File {
        self.name = name.into();
        self
    }

    /// What the authorizer is told as the video's title, instead of the first 128 bytes of the name without its extension.
    pub fn title(mut self, title: impl Into<String>) -> File {
        self.media.title = Some(title.into());
        self
    }

    /// Of the files that wait, the one of the highest priority starts next, equals in the order added. Default 0. Nothing under way is
    /// interrupted; [`Uploader::set_priority`](crate::Uploader::set_priority) changes it later.
    pub fn priority(mut self, priority: i32) -> File {
        self.priority = priority;
        self
    }

    /// Bytes per part for this file; 0 takes [`Options::part_size`](crate::Options::part_size).
    pub fn part_size(mut self, bytes: u64) -> File {
        self.part_size = bytes;
        self
    }

    /// Its parts go in their order only, so that the service can give the whole object a Content-MD5. Needs
    /// [`Options::parallel`](crate::Options::parallel) of 1; its checkpoint is one of its own.
    /// [`ResumableUpload::sequential`](crate::ResumableUpload::sequential) sets both.
    pub fn sequential(mut self) -> File {
        self.sequential = true;
        self
    }

    /// The object's Content-Type. Default: by the name's extension.
    pub fn content_type(self, value: impl Into<String>) -> File {
        self.header("content-type", value)
    }

    /// A header of the object, for example `cache-control` or `x-oss-meta-author`. Replaces one of the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> File {
        let name = name.into().to_ascii_lowercase();
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Has the service tell the application that the object was made; see [`Callback`].
    pub fn callback(mut self, callback: Callback) -> File {
        self.callback = Some(callback);
        self
    }

    /// Goes on with what the OSS SDK for Android left unfinished: `dir` is the record folder that the application gave it
    /// (`recordDirectory`). Where there is no checkpoint of ours, the record of this content, place and part size is looked for, and the
    /// upload that it names is gone on with as far as the server has it; without one the upload begins anew. The records are read and
    /// never written or removed.
    ///
    /// Counts where the place is known beforehand: [`ResumableUpload`](crate::ResumableUpload), [`File::to`], [`File::grant`]. The whole
    /// file is read before the upload begins, where the folder has records at all; nothing else of this list begins or is recorded
    /// meanwhile. Where no part size is set, records of 256 KiB and 1 MiB are looked for, the defaults of the SDKs.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when there is no such folder.
    pub fn foreign_records(mut self, dir: impl Into<PathBuf>) -> Result<File, Error> {
        let dir = dir.into();
        if !dir.is_dir() {
            let text = format!("the folder of foreign records {} is not a folder", dir.display());
            return Err(Error::misuse(text));
        }
        self.foreign = Some(dir);
        Ok(self)
    }

    /// Fixes where the object goes, and who signs. For other than plain access keys see [`File::grant`].
    pub fn to(self, target: Target, credential: Credential) -> File {
        self.grant(UploadGrant::new(target, credential))
    }

    /// Fixes where the object goes by an upload address and upload auth, as the application server hands them out.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`, saying which of the two is not what it should be.
    pub fn upload_auth(self, address: &str, auth: &str) -> Result<File, Error> {
        Ok(self.grant(UploadGrant::from_upload_auth(address, auth)?))
    }

    /// Fixes where the object goes, and who signs. The authorizer is asked only when this grant runs out.
    pub fn grant(mut self, grant: UploadGrant) -> File {
        self.grant = Some(grant);
        self
    }

    /// What is wrong with it whatever the disk holds.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let path = self.origin.path();
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(Error::misuse("the file has an empty path"));
        }
        if self.name.is_empty() {
            return Err(Error::misuse(match path {
                Some(path) => {
                    let path = path.display();
                    format!("no file name in {path}: it is a directory, or was given none")
                }
                None => "the source has an empty name".to_owned(),
            }));
        }
        for (name, value) in &self.headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                return Err(Error::misuse("a header has a name that HTTP does not allow"));
            }
            if value.bytes().any(|b| !(0x20..0x7f).contains(&b) && b != b'\t') {
                return Err(Error::misuse(format!(
                    "the value of header {name} holds a character that HTTP does not allow"
                )));
            }
        }
        self.place.check()?;
        self.callback.as_ref().map_or(Ok(()), Callback::check)?;
        self.grant.as_ref().map_or(Ok(()), UploadGrant::check)
    }

    pub(crate) fn title_or_stem(&self) -> String {
        self.media.title.clone().unwrap_or_else(|| {
            let stem = Path::new(&self.name).file_stem();
            stem.map(|stem| cut(&stem.to_string_lossy())).unwrap_or_default()
        })
    }

    /// What requests say of the object.
    pub(crate) fn spec(&self) -> Spec {
        Spec {
            headers: self.object_headers(),
            callback: self.callback.as_ref().map(Callback::headers).unwrap_or_default(),
            sequential: self.sequential,
        }
    }

    /// The Content-Type that was given.
    pub(crate) fn given_content_type(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
    }

    /// The headers of the object, Content-Type guessed where none was given, and what the service is told of its content.
    pub(crate) fn object_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|_| !headers.iter().any(|(n, _)| n == name)) {
                headers.push((name.to_owned(), value));
            }
        };
        add("content-type", content_type(&self.name).map(str::to_owned));
        add("x-oss-notification", self.media.notification());
        headers
    }
}

/// What a file is called, as far as it is.
fn name_of(path: &Path) -> String {
    path.file_name().map(|name| tame(&name.to_string_lossy())).unwrap_or_default()
}

/// A name that services take. One that was given is sent as it is.
fn tame(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

/// As much of a name as the service takes for a title. A title that was given is never cut: the service refuses it.
fn cut(name: &str) -> String {
    const MOST: usize = 128;
    name.char_indices().take_while(|(at, c)| at + c.len_utf8() <= MOST).map(|(_, c)| c).collect()
}

impl<P: Into<PathBuf>> From<P> for File {
    fn from(path: P) -> File {
        File::path(path)
    }
}

/// One entry of the list, as [`Uploader::files`](crate::Uploader::files) shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileStatus {
    /// Names it in events and verbs.
    pub id: FileId,
    /// As the authorizer is told.
    pub name: String,
    /// Where its bytes are; `None` where they are in no file.
    pub path: Option<PathBuf>,
    /// Where it stands.
    pub state: FileState,
    /// Bytes the server holds, as last told in a Progress event.
    pub acknowledged: u64,
    /// Bytes handed to the network that the server did not acknowledge yet, as last told in a Progress event; 0 while nothing moves.
    pub in_flight: u64,
    /// The file's length in bytes; `None` before it was looked at.
    pub total: Option<u64>,
    /// Its video, once known.
    pub video_id: Option<String>,
    /// Its place, once known.
    pub target: Option<Target>,
    /// Where the image will be seen, once known; `None` for what is no image.
    pub image_url: Option<String>,
    /// The object, once it is in storage.
    pub object: Option<ObjectInfo>,
    /// Why it was given up, while its state is `Failed`.
    pub error: Option<vodferry_engine::ErrorInfo>,
}

/// A file that is in storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// Where it went.
    pub target: Target,
    /// Its video or image; `None` for uploads straight into a bucket.
    pub video_id: Option<String>,
    /// ETag, CRC64, whether the object was verified, and of an image where it will be seen.
    pub object: ObjectInfo,
}

/// Content types of what people upload, so that a browser plays the object.
pub(crate) fn content_type(name: &str) -> Option<&'static str> {
    let extension = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "avi" => "video/x-msvideo",
        "flv" => "video/x-flv",
        "ts" | "m2ts" => "video/mp2t",
        "mpg" | "mpeg" => "video/mpeg",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "wav" => "audio/wav",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "webp" => "image/webp",
        "heic" => "image/heic",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_title_come_from_the_path() {
        let file = File::path("/films/Summer holiday.MP4");
        assert_eq!(file.name, "Summer holiday.MP4");
        assert_eq!(file.title_or_stem(), "Summer holiday");
        assert_eq!(file.object_headers(), [("content-type".into(), "video/mp4".into())]);
        assert_eq!(file.title("T").title_or_stem(), "T");
    }

    #[test]
    fn control_characters_stay_out_of_a_name_that_nobody_gave() {
        let file = File::path("/films/a\r\nb\u{1b}[2J ä.mp4");
        assert_eq!((file.name.as_str(), &*file.title_or_stem()), ("a__b_[2J ä.mp4", "a__b_[2J ä"));
        assert_eq!(file.name("x\ny").name, "x\ny");
    }

    #[test]
    fn only_a_title_that_nobody_gave_is_cut() {
        let long = "影".repeat(60);
        let file = File::path(format!("/films/a{long}.mp4"));
        let title = file.title_or_stem();
        assert_eq!((title.len(), title.as_str()), (127, &*format!("a{}", "影".repeat(42))));
        assert_eq!(file.title(&long).title_or_stem(), long);
        assert_eq!(File::path("x".repeat(128)).title_or_stem().len(), 128);
    }

    #[test]
    fn a_given_content_type_wins() {
        let file = File::path("a.mp4").header("Content-Type", "x/y").content_type("a/b");
        assert_eq!(file.object_headers(), [("content-type".into(), "a/b".into())]);
    }

    #[test]
    fn empty_names_and_bad_headers_are_refused() {
        assert!(File::path("").check().is_err());
        assert!(File::path("..").check().is_err());
        assert!(File::path("a").name("").check().is_err());
        assert!(File::path("a").header("x y", "1").check().is_err());
        assert!(File::path("a").header("x", "1\r\nevil: 2").check().is_err());
        assert!(File::path("a").header("x-oss-meta-a", "1").check().is_ok());
    }
}
