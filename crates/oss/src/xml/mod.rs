//! The XML bodies: of multipart uploads in both directions, of the rest as a server needs them.
//!
//! Every document is a plain struct with decoded values; whether texts travel percent-encoded (`encoding-type=url`) is
//! an argument of encoding and noticed when decoding. Documents are written without a namespace, because several
//! clients find nothing under one, and read whatever their namespaces and unknown elements are. A malformed document
//! is an [`XmlError`]; nothing is expanded but the five predefined entities and character references. The caller
//! bounds the size of what is read.

mod buckets;
mod change;
mod complete;
mod element;
mod initiate;
mod objects;
mod parts;
mod reader;
mod rewrite;
mod rules;
mod uploads;
mod writer;

pub use buckets::{
    BucketInfo, BucketStat, CreateBucketConfiguration, ListAllMyBucketsResult, ListedBucket, Owner,
    access_control_policy, location_constraint, no_live_channels,
};
pub use change::{
    Delete, DeletedObject, Tagging, copy_object_result, copy_part_result, delete_result,
    post_response,
};
pub use complete::{CompleteMultipartUpload, CompleteMultipartUploadResult, CompletePart};
pub(crate) use element::Document;
pub use element::XmlError;
pub use initiate::InitiateMultipartUploadResult;
pub use objects::{ListBucketResult, ListedObject, Paging};
pub use parts::{ListPartsResult, ListedPart};
pub use rewrite::{normalised, with_abort_term};
pub use rules::{
    CorsConfiguration, CorsRule, LifecycleConfiguration, LifecycleRule, RulesError, Term,
};
pub use uploads::{ListMultipartUploadsResult, ListedUpload};
pub(crate) use writer::XmlWriter;
