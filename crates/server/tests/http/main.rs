//! The server over real sockets, one subject per file.

mod addressing;
mod app_server;
mod authority;
mod bad_input;
mod browser;
mod clocks;
mod full;
mod keys;
mod life;
mod multipart;
mod objects;
mod oss_buckets;
mod oss_changes;
mod oss_copies;
mod oss_lists;
mod oss_post;
mod oss_rules;
mod oss_tenants;
mod rpc;
mod slow;
mod start;
mod sts_assume;
mod sts_policy;
mod sts_signatures;
mod support;
mod voyage;
