//! Whether the process lives and whether it can do its work, for whoever watches over it.

use axum::body::Body;
use http::Response;

use super::App;
use super::call::Call;
use super::reply::{JSON, reply};
use crate::store::DATABASE_FILE;

/// Every health path begins so.
pub(crate) const PREFIX: &str = "/health/";

/// Answers `/health/live` and `/health/ready`; ready means that the data folder is there, and
/// that the database answers and has the bucket of videos.
pub(crate) async fn handle(app: &App, call: &Call) -> Response<Body> {
    let (status, text) = match call.path.strip_prefix(PREFIX) {
        Some("live") => (200, "live"),
        // An open database answers on after its folder was removed or its disk unmounted.
        Some("ready") if !there(app).await => (503, "the data folder is gone"),
        Some("ready") => match app.meta.bucket_exists(&app.config.bucket).await {
            Ok(true) => (200, "ready"),
            Ok(false) => (503, "the bucket of videos is missing"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
                (503, "the database does not answer")
            }
        },
        _ => (404, "there is only /health/live and /health/ready"),
    };
    reply(status, JSON, serde_json::json!({ "Status": text }).to_string())
}

async fn there(app: &App) -> bool {
    tokio::fs::metadata(app.config.data.join(DATABASE_FILE)).await.is_ok()
}
