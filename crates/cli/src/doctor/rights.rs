//! What the credential is good for, and how fast the network is: by a multipart upload that is begun, measured and given up again.

use std::time::{Duration, Instant};

use vodferry::{Bucket, Error, ErrorKind, GrantRequest, Initiate, Media};

use super::report::Report;
use crate::exit_code::ExitCode;
use crate::{output, units};

/// The first part: the least that a part in the middle may have.
const FIRST: usize = 102_400;
/// Parts grow up to this while the speed is measured.
const LARGEST: usize = 4 << 20;
/// What is sent at most, however fast the network is.
const MOST: u64 = 256 << 20;
/// What is given up at the end takes this long at most.
const FAREWELL: Duration = Duration::from_secs(30);

/// What an application server is asked for to try an upload.
pub(crate) fn new_video() -> GrantRequest {
    GrantRequest::create("vodferry-doctor.mp4", "vodferry doctor", FIRST as u64, Media::default())
}

/// Tries what an upload does, in its order. Whatever becomes of it, and also when nobody waits for the answer any more, the upload is
/// given up.
pub(crate) async fn check(bucket: &Bucket, key: &str, measure: Duration, report: &mut Report) {
    let upload_id = match bucket.initiate_multipart_upload(key, Initiate::default()).await {
        Ok(upload_id) => upload_id,
        Err(error) => return refused("begin an upload", &error, report),
    };
    let mut upload =
        Upload { bucket: bucket.clone(), key: key.to_owned(), upload_id: Some(upload_id) };
    if upload.check_parts(measure, report).await {
        upload.check_looking(report).await;
    }
    upload.give_up(report).await;
}

/// The upload that is tried.
struct Upload {
    bucket: Bucket,
    key: String,
    /// Taken when it is given up.
    upload_id: Option<String>,
}

impl Upload {
    /// Sends parts; `false` when that is not permitted.
    async fn check_parts(&self, measure: Duration, report: &mut Report) -> bool {
        let id = self.upload_id.as_deref().unwrap_or_default();
        let sent = self.bucket.upload_part(&self.key, id, 1, vec![0; FIRST]).await;
        if let Err(error) = sent {
            refused("send a part", &error, report);
            return false;
        }
        report.ok("right to upload", "an upload can be begun, and takes parts");
        if !measure.is_zero() {
            self.measure(id, measure, report).await;
        }
        true
    }

    /// One part after another, each twice as large until one takes a second.
    async fn measure(&self, id: &str, measure: Duration, report: &mut Report) {
        const CHECK: &str = "speed";
        let began = Instant::now();
        let (mut sent, mut size, mut number) = (0u64, FIRST, 2);
        while began.elapsed() < measure && sent < MOST && number <= 10_000 {
            let left = measure.saturating_sub(began.elapsed()).max(Duration::from_secs(1)) * 2;
            let one = Instant::now();
            let part = self.bucket.upload_part(&self.key, id, number, vec![0; size]);
            match tokio::time::timeout(left, part).await {
                Ok(Ok(_)) => sent += size as u64,
                Ok(Err(error)) => return report.warn(CHECK, &error.to_string(), error.hint()),
                // Too slow for a part of this size: what arrived before tells enough.
                Err(_) => break,
            }
            if one.elapsed() < Duration::from_secs(1) {
                size = (size * 2).min(LARGEST);
            }
            number += 1;
        }
        let seconds = began.elapsed().as_secs_f64().max(0.001);
        match sent {
            0 => {
                let text =
                    format!("less than {} arrived in {seconds:.1} s", units::size(FIRST as u64));
                report.warn(
                    CHECK,
                    &text,
                    Some("a slow line: --parallel 1 --part-size 100KiB gets most through it"),
                );
            }
            _ => {
                let rate = units::size((sent as f64 / seconds) as u64);
                let text = format!("{rate}/s over one connection; uploads use several");
                report.ok(CHECK, &text);
            }
        }
    }

    /// What makes resuming cheaper and success certain; uploads work without.
    async fn check_looking(&self, report: &mut Report) {
        let id = self.upload_id.as_deref().unwrap_or_default();
        let parts = self.bucket.list_parts(&self.key, id).all().await.map(|parts| parts.len());
        match parts {
            Ok(1..) => {
                report.ok("right to resume", "the parts that the server holds can be listed")
            }
            Ok(0) => {
                report.warn("right to resume", "the server lists no part of those it took", None)
            }
            Err(error) => lacking(
                "right to resume",
                "the parts that the server holds cannot be listed: resuming relies on the checkpoint",
                "permit oss:ListParts",
                &error,
                report,
            ),
        }
        match self.bucket.head_object(&self.key).await {
            Ok(_) => {
                report.ok("right to verify", "an object can be looked at where a reply was lost")
            }
            Err(error) => lacking(
                "right to verify",
                "an object cannot be looked at: where a reply is lost, success is told as not verified",
                "permit oss:GetObject where that matters",
                &error,
                report,
            ),
        }
        match self.bucket.list_uploads(&self.key).all().await {
            Ok(_) => report.ok("right to clean up", "unfinished uploads can be listed"),
            Err(error) => lacking(
                "right to clean up",
                "unfinished uploads cannot be listed: `vodferry abort` needs another key",
                "a lifecycle rule of the bucket removes what nobody finishes",
                &error,
                report,
            ),
        }
    }

    async fn give_up(&mut self, report: &mut Report) {
        const CHECK: &str = "right to give up";
        let Some(id) = self.upload_id.clone() else { return };
        match self.bucket.abort_multipart_upload(&self.key, &id).await {
            Ok(()) => report.ok(CHECK, "the upload that was tried is gone again"),
            Err(error) => {
                let shown = output::tame_line(&format!("{}/{}", self.bucket.name(), self.key));
                let text = format!("the upload {id} of {shown} stays: {error}");
                report.warn(
                    CHECK,
                    &text,
                    Some("permit oss:AbortMultipartUpload, or give it up with `vodferry abort`"),
                );
            }
        }
        self.upload_id = None;
    }
}

impl Drop for Upload {
    /// Somebody pressed Ctrl-C: the process waits a moment for this, see `main`.
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) =
            (self.upload_id.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (bucket, key) = (self.bucket.clone(), std::mem::take(&mut self.key));
        let given_up = async move { bucket.abort_multipart_upload(&key, &id).await };
        let done = tokio::task::block_in_place(|| {
            runtime.block_on(tokio::time::timeout(FAREWELL, given_up))
        });
        if !matches!(done, Ok(Ok(()))) {
            output::say("the upload that was tried stays: `vodferry ls --uploads` shows it");
        }
    }
}

fn refused(what: &str, error: &Error, report: &mut Report) {
    let fix = match error.kind() {
        ErrorKind::Auth => "permit oss:PutObject for this key, and check whose access key it is",
        _ if error.code() == "NoSuchBucket" => "make the bucket, or name another with --bucket",
        _ => error.hint().unwrap_or("see what the service says about this code"),
    };
    let text = format!("cannot {what}: {error}");
    report.fail("right to upload", &text, ExitCode::of(error.kind()), Some(fix));
}

/// A right that an uploader need not have; anything but its lack is told as what it is.
fn lacking(check: &str, text: &str, fix: &str, error: &Error, report: &mut Report) {
    match error.kind() {
        ErrorKind::Auth => report.warn(check, text, Some(fix)),
        _ => report.warn(check, &error.to_string(), error.hint()),
    }
}
