//! What uploaders report about their uploads, as the database knows it.

/// A report to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewReport {
    /// The video it is about, or empty.
    pub video_id: String,
    /// The attempt it is about, or empty.
    pub attempt: String,
    /// JSON text of what was reported.
    pub document: String,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Counts up.
    pub number: u64,
    /// When it came.
    pub received_ms: u64,
    /// As it was written down.
    pub report: NewReport,
}

/// Which reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportQuery {
    /// About this video; `None` for any.
    pub video_id: Option<String>,
    /// About this attempt; `None` for any.
    pub attempt: Option<String>,
    /// Older than this one; `None` for the newest.
    pub before: Option<u64>,
    /// No more than so many.
    pub limit: usize,
}
