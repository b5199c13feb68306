//! The numbers of the service: sizes in bytes, counts, times in milliseconds.

/// Lowest part number.
pub const MIN_PART_NUMBER: u32 = 1;
/// Highest part number, thus the most parts of one upload.
pub const MAX_PART_NUMBER: u32 = 10_000;
/// Smallest part but for the last of an upload, in bytes; checked at Complete only.
pub const MIN_PART_SIZE: u64 = 102_400;
/// Largest part and largest object of one PutObject, in bytes (5 GiB).
pub const MAX_PART_SIZE: u64 = 5 << 30;
/// Most parts or uploads of one listing page; also the default.
pub const MAX_PAGE: u32 = 1_000;
/// Shortest bucket name, in bytes.
pub const MIN_BUCKET_LENGTH: usize = 3;
/// Longest bucket name, in bytes.
pub const MAX_BUCKET_LENGTH: usize = 63;
/// Longest object key, in bytes of UTF-8.
pub const MAX_KEY_LENGTH: usize = 1_023;
/// Most user metadata (`x-oss-meta-*`) of one object, names and values together, in bytes.
pub const MAX_USER_METADATA: usize = 8 << 10;
/// Largest distance between a request's date and the server's clock, in milliseconds.
pub const MAX_SKEW_MS: i64 = 900_000;
/// Longest life of a presigned V4 URL, in seconds (7 days).
pub const MAX_PRESIGNED_S: i64 = 604_800;
