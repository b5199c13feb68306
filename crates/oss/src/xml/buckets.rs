//! Buckets: their list, what is known of one, and what creates one. Replies are written only.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Document, XmlError, XmlWriter};
use crate::time::{format_iso_ms, whole_seconds};

/// Whose a bucket or an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Number of the account.
    pub id: String,
    /// For people; often the same.
    pub display_name: String,
}

impl Owner {
    pub(super) fn encode(&self, xml: &mut XmlWriter) {
        xml.open("Owner");
        xml.text("ID", &self.id);
        xml.text("DisplayName", &self.display_name);
        xml.close("Owner");
    }
}

/// What lists and descriptions tell of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedBucket {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since 1970, written in whole seconds.
    pub created_ms: i64,
    /// Host (and port) for everybody.
    pub extranet_endpoint: String,
    /// Host (and port) within the same network.
    pub intranet_endpoint: String,
    /// `oss-` and the region.
    pub location: String,
    /// The region alone.
    pub region: String,
    /// Class of what says none itself.
    pub storage_class: String,
}

impl ListedBucket {
    fn encode(&self, xml: &mut XmlWriter) {
        xml.text("CreationDate", &format_iso_ms(whole_seconds(self.created_ms)));
        xml.text("ExtranetEndpoint", &self.extranet_endpoint);
        xml.text("IntranetEndpoint", &self.intranet_endpoint);
        xml.text("Location", &self.location);
        xml.text("Name", &self.name);
        xml.text("Region", &self.region);
        xml.text("StorageClass", &self.storage_class);
    }
}

/// The reply to GetService: one page of buckets, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAllMyBucketsResult {
    /// Who asks.
    pub owner: Owner,
    /// Only names that begin so.
    pub prefix: String,
    /// The page begins after this name; empty for the first.
    pub marker: String,
    /// Most buckets of the page.
    pub max_keys: u32,
    /// Whether more pages follow.
    pub is_truncated: bool,
    /// Marker of the next page; empty when there is none.
    pub next_marker: String,
    /// The buckets.
    pub buckets: Vec<ListedBucket>,
}

impl ListAllMyBucketsResult {
    /// Writes it.
    pub fn encode(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("ListAllMyBucketsResult");
        self.owner.encode(&mut xml);
        xml.text("Prefix", &self.prefix);
        xml.text("Marker", &self.marker);
        xml.number("MaxKeys", self.max_keys.into());
        xml.flag("IsTruncated", self.is_truncated);
        if !self.next_marker.is_empty() {
            xml.text("NextMarker", &self.next_marker);
        }
        xml.open("Buckets");
        for bucket in &self.buckets {
            xml.open("Bucket");
            bucket.encode(&mut xml);
            xml.close("Bucket");
        }
        xml.close("Buckets");
        xml.close("ListAllMyBucketsResult");
        xml.finish()
    }
}

/// The reply to GetBucketInfo. It says of what this project has not that it is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketInfo {
    /// What lists tell of it, too.
    pub bucket: ListedBucket,
    /// Whose it is.
    pub owner: Owner,
    /// `private`, `public-read` or `public-read-write`.
    pub acl: String,
}

impl BucketInfo {
    /// Writes it.
    pub fn encode(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("BucketInfo");
        xml.open("Bucket");
        self.bucket.encode(&mut xml);
        xml.text("DataRedundancyType", "LRS");
        self.owner.encode(&mut xml);
        xml.open("AccessControlList");
        xml.text("Grant", &self.acl);
        xml.close("AccessControlList");
        for name in ["AccessMonitor", "CrossRegionReplication", "TransferAcceleration"] {
            xml.text(name, "Disabled");
        }
        xml.flag("BlockPublicAccess", false);
        xml.open("ServerSideEncryptionRule");
        xml.text("SSEAlgorithm", "None");
        xml.close("ServerSideEncryptionRule");
        xml.open("BucketPolicy");
        xml.text("LogBucket", "");
        xml.text("LogPrefix", "");
        xml.close("BucketPolicy");
        xml.close("Bucket");
        xml.close("BucketInfo");
        xml.finish()
    }
}

/// The reply to GetBucketStat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketStat {
    /// Bytes of all objects.
    pub storage: u64,
    /// Objects.
    pub object_count: u64,
    /// Unfinished uploads.
    pub multipart_upload_count: u64,
    /// When this was counted, in seconds since 1970.
    pub last_modified_s: u64,
}

impl BucketStat {
    /// Writes it.
    pub fn encode(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("BucketStat");
        xml.number("Storage", self.storage);
        xml.number("ObjectCount", self.object_count);
        xml.number("MultipartUploadCount", self.multipart_upload_count);
        xml.number("LastModifiedTime", self.last_modified_s);
        xml.close("BucketStat");
        xml.finish()
    }
}

/// The reply to GetBucketLocation; `location` is `oss-` and the region.
pub fn location_constraint(location: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.text("LocationConstraint", location);
    xml.finish()
}

/// The reply to ListLiveChannel where there is none.
pub fn no_live_channels(prefix: &str, marker: &str, max_keys: u32) -> String {
    let mut xml = XmlWriter::new();
    xml.open("ListLiveChannelResult");
    xml.text("Prefix", prefix);
    xml.text("Marker", marker);
    xml.number("MaxKeys", max_keys.into());
    xml.flag("IsTruncated", false);
    xml.close("ListLiveChannelResult");
    xml.finish()
}

/// The reply to GetBucketAcl and GetObjectAcl.
pub fn access_control_policy(owner: &Owner, grant: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.open("AccessControlPolicy");
    owner.encode(&mut xml);
    xml.open("AccessControlList");
    xml.text("Grant", grant);
    xml.close("AccessControlList");
    xml.close("AccessControlPolicy");
    xml.finish()
}

/// The request of PutBucket, which may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateBucketConfiguration {
    /// Empty for `Standard`.
    pub storage_class: String,
    /// `oss-` and a region, as some clients send it; empty for none.
    pub location: String,
}

impl CreateBucketConfiguration {
    /// Reads it.
    ///
    /// # Errors
    /// Malformed, or another document.
    pub fn decode(body: &[u8]) -> Result<CreateBucketConfiguration, XmlError> {
        let document = Document::parse(body, "CreateBucketConfiguration")?;
        let root = &document.root;
        let configuration = CreateBucketConfiguration {
            storage_class: root.text("StorageClass").trim_ascii().into(),
            location: root.text("LocationConstraint").trim_ascii().into(),
        };
        document.finish(configuration)
    }
}
