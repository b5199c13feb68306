//! Real voyages: this client, the real server, a loopback socket in between.

mod files;
mod harbour;
mod sources;
mod streams;
mod video_api;
