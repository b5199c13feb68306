//! Flags of the verbs that are about the command line itself.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

/// `vodferry completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell; what is printed goes where it looks for completions, see the manual of the shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `vodferry man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write the pages of vodferry and all its verbs into this folder, which is made where it is not there [default: print the page of
    /// vodferry]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}
