//! A bucket by its simple requests and its resumable upload: against the real server, and against a scripted one for faults.

#[path = "../voyage/harbour.rs"]
#[allow(dead_code, reason = "shared with the voyages, which use more of it")]
mod harbour;
#[path = "../stepwise/script.rs"]
#[allow(dead_code, reason = "shared with the stepwise tests, which use more of it")]
mod script;

mod callbacks;
mod checkpoints;
mod credentials;
mod expiry;
mod faults;
mod foreign;
mod large;
mod listing;
mod many;
mod objects;
mod resumable;
mod sequential;
mod waiting;

use std::sync::Arc;

use vodferry::{Bucket, Http, Options};

use harbour::Harbour;

/// The bucket that every server of ours has.
const NAME: &str = "vod-media";

fn of(harbour: &Harbour) -> Bucket {
    with_options(harbour, harbour.options())
}

fn with_options(harbour: &Harbour, options: Options) -> Bucket {
    let bucket = Bucket::builder(harbour.server.endpoint(), NAME, harbour.operator.clone());
    bucket.options(options).build().expect("a bucket")
}

/// A bucket whose server is the test.
fn scripted(http: Arc<dyn Http>) -> Bucket {
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", script::credential());
    bucket.http(http).build().expect("a bucket")
}
