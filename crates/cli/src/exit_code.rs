//! What the process tells its caller when it ends; the table stands in `docs/reference/cli.md`.

use vodferry::ErrorKind;

/// The exit codes. The numbers are part of the interface and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExitCode {
    /// Everything asked for was done.
    Success = 0,
    /// Any failure that has no code of its own.
    Other = 1,
    /// A wrong call: flags, values or combinations that make no sense. Nothing was sent.
    Usage = 2,
    /// A credential is missing, wrong, expired, or does not permit it.
    Auth = 3,
    /// The network was given up.
    Network = 4,
    /// Bytes arrived other than they were sent.
    Integrity = 5,
    /// A file changed while it was uploaded.
    SourceChanged = 6,
    /// Another process uploads this file.
    Busy = 7,
    /// A local file or folder cannot be read or written.
    File = 8,
    /// The service answered with an error, or with something that is not its protocol.
    Service = 9,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl ExitCode {
    /// The code of an error of the client.
    pub(crate) fn of(kind: ErrorKind) -> ExitCode {
        match kind {
            ErrorKind::Auth => ExitCode::Auth,
            ErrorKind::Busy => ExitCode::Busy,
            ErrorKind::Canceled => ExitCode::Interrupted,
            ErrorKind::Integrity => ExitCode::Integrity,
            ErrorKind::Io | ErrorKind::Storage => ExitCode::File,
            ErrorKind::Misuse => ExitCode::Usage,
            ErrorKind::Network => ExitCode::Network,
            ErrorKind::Protocol | ErrorKind::Service => ExitCode::Service,
            ErrorKind::SourceChanged => ExitCode::SourceChanged,
            _ => ExitCode::Other,
        }
    }

    /// The worse of two: what a script should hear of when several files failed. What trying again cannot mend is worse than
    /// what it can.
    pub(crate) fn worse(self, other: ExitCode) -> ExitCode {
        if other.severity() > self.severity() { other } else { self }
    }

    fn severity(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::Network => 1,
            ExitCode::Busy => 2,
            ExitCode::Other => 3,
            ExitCode::Service => 4,
            ExitCode::File => 5,
            ExitCode::Auth => 6,
            ExitCode::SourceChanged => 7,
            ExitCode::Integrity => 8,
            ExitCode::Usage => 9,
            ExitCode::Interrupted => 10,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_failure_wins() {
        let all = [ExitCode::Network, ExitCode::Success, ExitCode::Integrity, ExitCode::Busy];
        assert_eq!(all.into_iter().fold(ExitCode::Success, ExitCode::worse), ExitCode::Integrity);
        assert_eq!(ExitCode::Success.worse(ExitCode::Success), ExitCode::Success);
        assert_eq!(ExitCode::Interrupted.worse(ExitCode::Integrity), ExitCode::Interrupted);
    }

    #[test]
    fn each_kind_has_its_code() {
        assert_eq!(ExitCode::of(ErrorKind::Auth), ExitCode::Auth);
        assert_eq!(ExitCode::of(ErrorKind::Io), ExitCode::File);
        assert_eq!(ExitCode::of(ErrorKind::Misuse), ExitCode::Usage);
        assert_eq!(ExitCode::of(ErrorKind::Protocol), ExitCode::Service);
    }
}
