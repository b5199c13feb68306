//! `vodferry doctor`: what an upload will meet, checked one thing after another, each with what to do about it.
//!
//! Nothing stays behind: no object is made (a multipart upload is begun and given up), the record directory is left as it was. What one
//! check needs of another that failed is not tried; what was told already is not told twice.

mod disk;
mod network;
mod report;
mod rights;

use std::time::{Duration, SystemTime};

use vodferry::{
    AppServer, Authorizer, Bucket, Error, ErrorKind, GrantRequest, Http, Options, Target,
    UploadGrant, VodApi,
};

use crate::cli::DoctorArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::place::Place;
use crate::renewal::VIDEO_GONE;
use crate::settings::Settings;
use crate::{calendar, signals, transfer};
use network::Line;
use report::Report;

/// For how long the speed is measured unless a flag says otherwise, and at most.
const MEASURE: Duration = Duration::from_secs(3);
const MEASURE_MOST: Duration = Duration::from_secs(60);
/// A video that no server knows.
const NO_VIDEO: &str = "vodferry-doctor-asks-for-no-video";
/// The origin of a page that is being written.
const ORIGIN: &str = "http://localhost";

/// Checks, and gives the exit code of the worst finding.
pub(crate) async fn run(args: &DoctorArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let place = Place::resolve(&args.place, settings)?;
    check_flags(args, &place)?;
    let mut options = transfer::plain(&args.network, settings);
    options.region = transfer::region(&args.place.region, settings);
    let interrupted = signals::interrupted(false);
    let mut report = Report::new(args.json);
    disk::check(transfer::record_dir(&args.records, settings).as_deref(), &mut report);
    let http = vodferry::http_client(&options)?;
    let mut doctor = Doctor { args, options, http, report: &mut report };
    tokio::select! {
        biased;
        // What the upload that was tried left is told to the server all the same: see `rights`.
        _ = interrupted => return Ok(ExitCode::Interrupted),
        checked = doctor.check(&place) => checked?,
    }
    Ok(report.worst())
}

fn check_flags(args: &DoctorArgs, place: &Place) -> Result<(), Failure> {
    if args.make_video && !matches!(place, Place::Server { .. } | Place::Vod { .. }) {
        return Err(Failure::usage("--make-video goes with --server and --vod alone"));
    }
    if args.key.is_some() && !matches!(place, Place::Store { .. }) {
        return Err(Failure::usage("--key goes with --endpoint alone"));
    }
    if args.measure.is_some_and(|time| time > MEASURE_MOST) {
        return Err(Failure::usage("--measure takes at most 60s"));
    }
    Ok(())
}

struct Doctor<'a> {
    args: &'a DoctorArgs,
    options: Options,
    http: std::sync::Arc<dyn Http>,
    report: &'a mut Report,
}

impl Doctor<'_> {
    async fn check(&mut self, place: &Place) -> Result<(), Failure> {
        match place {
            Place::Server { url, token, .. } => {
                let mut server = AppServer::new(url)?.http(self.http.clone());
                if let Some(token) = token {
                    server = server.bearer(token.clone());
                }
                if self.line("application server", url).await {
                    self.authority(&server).await;
                }
                Ok(())
            }
            Place::Vod { api, key, signature } => {
                let asked = VodApi::new(api, key.token.clone())?;
                let asked = asked.signature(*signature).http(self.http.clone());
                let url = match api.contains("://") {
                    true => api.clone(),
                    false => format!("https://vod.{api}.aliyuncs.com"),
                };
                if self.line("VOD API", &url).await {
                    self.authority(&asked).await;
                }
                Ok(())
            }
            Place::Fixed { address, auth } => {
                let grant = UploadGrant::from_upload_auth(address.expose(), auth.expose())?;
                self.life(&grant);
                self.object(&grant).await
            }
            Place::Store { store, bucket } => {
                let bucket = bucket
                    .as_deref()
                    .ok_or_else(|| Failure::usage("no bucket named").hint("add --bucket NAME"))?;
                let key = self.args.key.clone().unwrap_or_else(|| {
                    format!("vodferry-doctor-{}-{}", calendar::now_ms(), std::process::id())
                });
                let target =
                    Target { endpoint: store.endpoint.clone(), bucket: bucket.to_owned(), key };
                self.object(&UploadGrant::new(target, store.key.credential().clone())).await
            }
        }
    }

    /// The way to a host; `false` when nothing answers there.
    async fn line(&mut self, what: &'static str, url: &str) -> bool {
        match Line::of(url) {
            Ok(line) => line.check(what, &self.options, &self.http, self.report).await,
            Err(failure) => {
                self.report.fail(what, &failure.message, failure.exit, failure.hint.as_deref());
                false
            }
        }
    }

    /// Who makes videos, and what may be done with them.
    async fn authority(&mut self, authorizer: &dyn Authorizer) {
        if self.ask(authorizer).await {
            self.with_video(authorizer).await;
        }
    }

    /// Whether we are taken for who we are, found out by a question that changes nothing.
    async fn ask(&mut self, authorizer: &dyn Authorizer) -> bool {
        let request = GrantRequest::refresh(Some(NO_VIDEO.to_owned()), None);
        match authorizer.authorize(request).await {
            Err(error) if error.code() == VIDEO_GONE => {
                self.report.ok("authority", "the token or key is taken");
                true
            }
            Ok(_) => {
                let text = "a credential is given out for a video that does not exist";
                self.report.warn("authority", text, None);
                true
            }
            Err(error) => {
                self.refused("authority", &error);
                false
            }
        }
    }

    async fn with_video(&mut self, authorizer: &dyn Authorizer) {
        if !self.args.make_video {
            let text =
                "not tried, nor speed and web pages, as the server would have to make a video";
            return self.report.skip("rights", text, "--make-video tries it");
        }
        match authorizer.authorize(rights::new_video()).await {
            Err(error) => self.refused("new video", &error),
            Ok(grant) => {
                let video = grant.video_id.clone().unwrap_or_default();
                self.report
                    .ok("new video", &format!("{video}, which stays in the list of the server"));
                self.life(&grant);
                if let Err(failure) = self.object(&grant).await {
                    self.report.fail(
                        "rights",
                        &failure.message,
                        failure.exit,
                        failure.hint.as_deref(),
                    );
                }
            }
        }
    }

    /// How long the credential lives.
    fn life(&mut self, grant: &UploadGrant) {
        let Some(at) = grant.expires_at_ms else { return };
        let left = at.saturating_sub(calendar::now_ms()) / 1000;
        match left {
            ..=0 => self.report.fail(
                "credential",
                &format!("it expired {} s ago", -left),
                ExitCode::Auth,
                Some("get a fresh address and auth, or correct the clock of this machine"),
            ),
            1..=300 => self.report.warn(
                "credential",
                &format!("it expires in {left} s"),
                Some("an upload that takes longer needs a fresh one; an application server gives it by itself"),
            ),
            _ => self.report.ok("credential", &format!("it expires in {left} s")),
        }
    }

    /// The way to the bucket, what it lets browsers do, and what the credential is good for.
    async fn object(&mut self, grant: &UploadGrant) -> Result<(), Failure> {
        let target = &grant.target;
        // Where requests for an object go, the bucket in the host's name included.
        let life = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let url = vodferry::presigned_url(target, &grant.credential, life.as_secs() + 60)?;
        let url = url.split('?').next().unwrap_or_default();
        if !self.line("endpoint", url).await {
            return Ok(());
        }
        if let Ok(line) = Line::of(url) {
            let origin = self.args.origin.as_deref().unwrap_or(ORIGIN);
            line.check_cors(origin, &self.http, self.report).await;
        }
        let mut options = self.options.clone();
        if let Some(region) = &grant.region {
            options.region = Some(region.clone());
        }
        let Target { endpoint, bucket, key } = target;
        let bucket = Bucket::builder(endpoint, bucket, grant.credential.clone())
            .style(grant.style)
            .options(options)
            .http(self.http.clone())
            .build()?;
        let measure = self.args.measure.unwrap_or(MEASURE);
        rights::check(&bucket, key, measure, self.report).await;
        Ok(())
    }

    fn refused(&mut self, check: &'static str, error: &Error) {
        let hint = match error.kind() {
            ErrorKind::Auth => Some(
                "check the application server's token (VODFERRY_TOKEN), or the access key and its rights",
            ),
            _ => error.hint().or(Some("check the address: who answers there says this")),
        };
        self.report.fail(check, &error.to_string(), ExitCode::of(error.kind()), hint);
    }
}
