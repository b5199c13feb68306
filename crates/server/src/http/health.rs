//! Whether the process lives and whether it can do its work, for whoever watches over it.

use std::time::Duration;

use axum::body::Body;
use http::Response;
use tokio::time::timeout;

use super::App;
use super::reply::{JSON, reply};
use crate::store::DATABASE_FILE;

/// Every health path begins so.
pub(crate) const PREFIX: &str = "/health/";

/// Answers `/health/live` and `/health/ready`; ready means that the data folder is there with enough
/// free space, and that the database answers, has the bucket of videos and can be written.
pub(crate) async fn handle(app: &App, path: &str) -> Response<Body> {
    let (status, text) = match path.strip_prefix(PREFIX) {
        Some("live") => (200, "live"),
        Some("ready") => match timeout(PATIENCE, check(app)).await {
            Ok(Ok(())) => (200, "ready"),
            Ok(Err(reason)) => (503, reason),
            Err(_) => (503, "the database does not answer in time"),
        },
        _ => (404, "there is only /health/live and /health/ready"),
    };
    reply(status, JSON, serde_json::json!({ "Status": text }).to_string())
}

/// Less than those who ask usually wait; a database that takes longer is no good to uploads either.
const PATIENCE: Duration = Duration::from_secs(3);

async fn check(app: &App) -> Result<(), &'static str> {
    // An open database answers on after its folder was removed or its disk unmounted.
    if tokio::fs::metadata(app.config.data.join(DATABASE_FILE)).await.is_err() {
        return Err("the data folder is gone");
    }
    match app.meta.bucket_exists(&app.config.bucket).await {
        Ok(true) => {}
        Ok(false) => return Err("the bucket of videos is missing"),
        Err(error) => return Err(failed("the database does not answer", &error)),
    }
    if app.config.free_space > 0 {
        let data = app.config.data.clone();
        match tokio::task::spawn_blocking(move || fs4::available_space(data)).await {
            Ok(Ok(free)) if free >= app.config.free_space => {}
            Ok(Ok(_)) => return Err("the disk has too little free space"),
            Ok(Err(error)) => return Err(failed("the disk does not tell its free space", &error)),
            Err(error) => return Err(failed("the disk does not tell its free space", &error)),
        }
    }
    app.meta
        .check_writable()
        .await
        .map_err(|error| failed("the database cannot be written", &error))
}

fn failed(reason: &'static str, cause: &(dyn std::error::Error + 'static)) -> &'static str {
    tracing::warn!(error = cause, "not ready: {reason}");
    reason
}
