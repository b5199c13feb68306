//! Why a callback failed.

/// What went wrong, in words for the uploader. They say nothing of the network that the server is in:
/// a name that is not known and one that may not be called look alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// More callbacks are under way than may be.
    #[error("Too many callbacks are under way.")]
    Busy,
    /// The key file cannot be read or made; the log says why.
    #[error("The server cannot sign the callback.")]
    Unsigned,
    /// Nothing is known under the name of the host.
    #[error("The host of the callback is not known, or not allowed by this server.")]
    Unknown,
    /// None of its addresses may be called.
    #[error("The host of the callback is not known, or not allowed by this server.")]
    Forbidden,
    /// Nobody listens there.
    #[error("The application cannot be reached.")]
    Unreachable,
    /// Its certificate is no good, or it does not speak TLS.
    #[error("TLS with the application failed: {0}.")]
    Tls(String),
    /// It took too long.
    #[error("The application did not answer in time.")]
    Late,
    /// What it says is not HTTP.
    #[error("The application did not answer in HTTP.")]
    Garbled,
    /// It answered with another status than 200.
    #[error("Error status : {0}.")]
    Status(u16),
    /// Its answer ended before its end.
    #[error("The response body was cut.")]
    Cut,
    /// Its answer is too long.
    #[error("Response body is longer than 1 MiB.")]
    Long,
    /// Its answer is not JSON.
    #[error("Response body is not valid json format.")]
    NoJson,
}

impl Failure {
    /// One word for metrics and logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Failure::Busy => "busy",
            Failure::Unsigned => "unsigned",
            Failure::Unknown => "unknown_host",
            Failure::Forbidden => "forbidden",
            Failure::Unreachable => "unreachable",
            Failure::Tls(_) => "tls",
            Failure::Late => "late",
            Failure::Status(_) => "status",
            Failure::Garbled | Failure::Cut | Failure::Long | Failure::NoJson => "bad_answer",
        }
    }
}
