//! How a failure reaches the person at the terminal: `error: …`, then `hint: …`, then the exit code.

use std::fmt;
use std::path::Path;

use crate::exit_code::ExitCode;
use crate::output::tame_line;

/// A failure of the command: one line that says what, at best one that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the process ends with.
    pub(crate) exit: ExitCode,
    /// One line, no full stop, no secret.
    pub(crate) message: String,
    /// What the user can do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(exit: ExitCode, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None }
    }

    /// A wrong call.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(ExitCode::Usage, message)
    }

    /// A local file that cannot be used; `doing` is a verb ("read", "create").
    pub(crate) fn file(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
        Failure::new(ExitCode::File, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The same failure with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Writes both lines to stderr.
    pub(crate) fn print(&self) {
        crate::output::say(&self.to_string());
    }
}

impl From<vodferry::Error> for Failure {
    fn from(error: vodferry::Error) -> Failure {
        let failure = Failure::new(ExitCode::of(error.kind()), error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name or a server's word with a line end in it must not look like a line of ours.
        write!(f, "error: {}", tame_line(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", tame_line(hint))?;
        }
        Ok(())
    }
}
