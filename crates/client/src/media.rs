//! What a file is to the service, and what the application decides about its place.
//!
//! [`Media`] is said to the service twice: by the authorizer, in its own words, when it asks for a place; and as header
//! `x-oss-notification` of the requests that open the upload or make the object, where it was set at all.

use vodferry_engine::Target;
use vodferry_vod::{Media, MediaKind};

use crate::file::content_type;
use crate::{Error, File, UploadGrant};

/// Where an object goes, as far as the application says it itself. What is `None` the authorizer decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// With or without scheme, for example `https://oss-cn-shanghai.aliyuncs.com`.
    pub endpoint: Option<String>,
    /// Bucket name.
    pub bucket: Option<String>,
    /// The object's key.
    pub key: Option<String>,
}

impl From<Target> for Place {
    fn from(target: Target) -> Place {
        let Target { endpoint, bucket, key } = target;
        Place { endpoint: Some(endpoint), bucket: Some(bucket), key: Some(key) }
    }
}

impl Place {
    /// What is wrong with it whatever the rest of the place is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Place { endpoint, bucket, key } = self;
        for (part, name) in [(endpoint, "endpoint"), (bucket, "bucket"), (key, "key")] {
            if part.as_deref() == Some("") {
                return Err(Error::misuse(format!("the target of the file has an empty {name}")));
            }
        }
        Ok(())
    }

    /// Puts what is said here in the place of what the authorizer said.
    fn put(&self, target: &mut Target) {
        let Place { endpoint, bucket, key } = self;
        let Target { endpoint: e, bucket: b, key: k } = target;
        for (said, into) in [(endpoint, e), (bucket, b), (key, k)] {
            if let Some(said) = said {
                into.clone_from(said);
            }
        }
    }

    /// The place, where all of it is said.
    fn whole(&self) -> Option<Target> {
        let Place { endpoint, bucket, key } = self.clone();
        Some(Target { endpoint: endpoint?, bucket: bucket?, key: key? })
    }
}

impl File {
    /// What the service is told about it: the Vod object of `paramData` in the browser, `VodInfo` on phones. A title given before stays
    /// where this has none.
    ///
    /// ```
    /// use vodferry::{File, Media};
    /// let media = Media { tags: vec!["sea".into()], category_id: Some(12), ..Media::default() };
    /// let file = File::path("holiday.mp4").title("Holiday").media(media);
    /// ```
    pub fn media(mut self, media: Media) -> File {
        let title = self.media.title.take();
        self.media = media;
        self.media.title = self.media.title.take().or(title);
        self
    }

    /// Says where the object goes, or a part of it: what is said here wins over what authorizer, upload address or grant say, as the
    /// endpoint, bucket and object of the SDKs' `addFile`. It must be a place to which the credential gives the right.
    ///
    /// A whole place is known before the file is looked at, and checkpoints are kept by it.
    pub fn target(mut self, place: impl Into<Place>) -> File {
        self.place = place.into();
        self
    }

    /// Video or image.
    pub(crate) fn media_kind(&self) -> MediaKind {
        kind_of(&self.media, &self.name, self.given_content_type())
    }

    /// Where it goes, where that is known before anybody is asked.
    pub(crate) fn known_target(&self) -> Option<Target> {
        self.grant.as_ref().map(|grant| grant.target.clone()).or_else(|| self.place.whole())
    }

    /// The grant with what the file itself says about its place.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it holds what no request can.
    pub(crate) fn placed(&self, mut grant: UploadGrant) -> Result<UploadGrant, Error> {
        self.place.put(&mut grant.target);
        grant.check()?;
        Ok(grant)
    }
}

/// What a file is: as `media` says, by the content type that was given, by the name's extension.
pub(crate) fn kind_of(media: &Media, name: &str, given: Option<&str>) -> MediaKind {
    let by_type = || given.or_else(|| content_type(name)).map(MediaKind::of_content_type);
    media.kind.or_else(by_type).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(endpoint: &str, bucket: &str, key: &str) -> Target {
        Target { endpoint: endpoint.into(), bucket: bucket.into(), key: key.into() }
    }

    #[test]
    fn what_a_file_is_follows_what_was_said_then_its_type_then_its_name() {
        let kind = |file: File| file.media_kind();
        assert_eq!(kind(File::path("a.PNG")), MediaKind::Image);
        // The original tells images by a part of the name.
        assert_eq!(kind(File::path("myjpgfile.mp4")), MediaKind::Video);
        assert_eq!(kind(File::path("a")), MediaKind::Video);
        assert_eq!(kind(File::path("a").content_type("image/avif")), MediaKind::Image);
        let said = Media { kind: Some(MediaKind::Video), ..Media::default() };
        assert_eq!(kind(File::path("a.gif").media(said)), MediaKind::Video);
    }

    #[test]
    fn what_the_file_says_about_its_place_wins() {
        let credential = vodferry_oss::Credential {
            access_key_id: "a".into(),
            access_key_secret: "s".into(),
            security_token: None,
        };
        let grant = UploadGrant::new(target("http://e", "b", "k"), credential);
        let file = File::path("a.mp4").target(Place { key: Some("x".into()), ..Place::default() });
        assert_eq!(file.placed(grant.clone()).unwrap().target, target("http://e", "b", "x"));
        assert_eq!(file.known_target(), None);
        let file = File::path("a.mp4").target(target("http://o", "c", "y"));
        assert_eq!(file.known_target(), Some(target("http://o", "c", "y")));
        assert_eq!(file.placed(grant).unwrap().target, target("http://o", "c", "y"));
    }

    #[test]
    fn an_empty_part_of_a_place_is_refused() {
        for place in [target("", "b", "k"), target("e", "", "k"), target("e", "b", "")] {
            assert!(File::path("a.mp4").target(place.clone()).check().is_err(), "{place:?}");
        }
        assert!(File::path("a.mp4").target(Place::default()).check().is_ok());
    }

    #[test]
    fn a_title_given_before_stays() {
        let media = || Media { description: Some("d".into()), ..Media::default() };
        assert_eq!(File::path("a").title("T").media(media()).title_or_stem(), "T");
        let other = Media { title: Some("U".into()), ..media() };
        assert_eq!(File::path("a").title("T").media(other).title_or_stem(), "U");
        assert_eq!(File::path("a.mp4").media(media()).title_or_stem(), "a");
    }

    #[test]
    fn media_travels_with_the_object_too() {
        let headers = File::path("a.mp4").title("T").object_headers();
        let (name, value) = headers.last().unwrap();
        assert_eq!(name, "x-oss-notification");
        let json = vodferry_oss::base64::decode(value).unwrap();
        assert_eq!(json, br#"{"Vod":{"Title":"T"}}"#);
        let own = File::path("a.mp4").title("T").header("X-OSS-Notification", "e30=");
        assert!(own.object_headers().iter().any(|(_, value)| value == "e30="));
        assert_eq!(File::path("a").object_headers(), []);
    }
}
