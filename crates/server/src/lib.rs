//! An upload server that official OSS and VOD SDKs accept unchanged.
//!
//! One process on one folder: objects and multipart uploads by the OSS API, videos by the VOD API,
//! upload address and credential by a small JSON interface (the application server). [`serve`]
//! starts it, as a library in tests and for the command line alike.
//!
//! What a reader of the code wants to know first: [`store`] keeps bytes and names and says what a
//! 2xx promises; [`keys`], [`token`] and [`policy`] say who may do what; `http` is everything on
//! the wire.

mod callback;
pub mod config;
mod http;
pub mod keys;
pub mod policy;
pub mod store;
pub mod token;

pub use config::{CallbackRules, Config, ConfigError, Limits, LogFormat, TlsFiles};
pub use http::{Environment, FirstStart, Running, ServeError, TlsError, serve, serve_in};
