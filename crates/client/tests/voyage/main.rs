//! Real voyages: this client, the real server, a loopback socket in between.

mod files;
mod harbour;
mod sources;
mod video_api;
