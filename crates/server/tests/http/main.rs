//! The server over real sockets, one subject per file.

mod addressing;
mod admin_api;
mod admin_keys;
mod app_server;
mod authority;
mod backup;
mod bad_input;
mod browser;
mod callback;
mod callback_guard;
mod callback_uploads;
mod clocks;
mod early;
mod framing;
mod full;
mod health;
mod keys;
mod life;
mod multipart;
mod objects;
mod observe;
mod oss_buckets;
mod oss_changes;
mod oss_copies;
mod oss_lists;
mod oss_post;
mod oss_rules;
mod oss_tenants;
mod power;
#[path = "../store/power_fs.rs"]
mod power_fs;
mod proxies;
mod quotas;
#[path = "../store/random.rs"]
mod random;
mod reports;
mod rpc;
mod slow;
mod start;
mod sts_assume;
mod sts_policy;
mod sts_signatures;
mod support;
mod tls;
mod v4;
mod voyage;
