//! What no argument, no name and no folder may do: smuggle a header, fool the terminal, get lost, or stop an upload that could go on.

#[path = "../common/mod.rs"]
mod common;

mod arguments;
mod names;
mod places;
