//! The client against a scripted server, request by request: one behaviour per module.

mod bad_replies;
mod bad_sources;
mod direct;
mod faces;
mod grants;
mod handles;
mod processes;
mod reports;
mod resume;
mod script;
mod two_at_once;
mod vod_api;
mod whole_upload;
