//! The server over real sockets, one subject per file.

mod addressing;
mod app_server;
mod authority;
mod bad_input;
mod browser;
mod keys;
mod life;
mod multipart;
mod objects;
mod rpc;
mod support;
mod voyage;
