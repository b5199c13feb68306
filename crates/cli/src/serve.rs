//! `vodferry serve`: one line on stdout once requests are served, everything else on stderr.

use std::error::Error;
use std::time::Duration;

use vodferry_server::{Config, FirstStart, Running, ServeError, TlsFiles};

use crate::cli::ServeArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::Settings;
use crate::{output, shell, signals};

/// Serves until Ctrl-C or SIGTERM, then lets requests under way finish.
pub(crate) async fn run(args: &ServeArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let interrupted = signals::interrupted(false);
    let config = config(args, settings);
    // One that has nothing to reload ends with its terminal, as any program does.
    let reloads = (config.access_log.is_some() || config.tls.is_some()).then(signals::hangups);
    let running = vodferry_server::serve(config).await.map_err(explain)?;
    if let Some(first) = running.first_start() {
        introduce(first);
    }
    output::data(&format!("listening on {}", running.url()));
    if let Some(addr) = running.metrics_addr() {
        output::say(&format!("metrics on http://{addr}/metrics"));
    }
    tokio::select! {
        _ = interrupted => {}
        () = reload_when_told(&running, reloads) => {}
    }
    output::say("stopping; a second signal stops at once");
    running.shutdown().await;
    Ok(ExitCode::Success)
}

/// Never ends.
async fn reload_when_told(running: &Running, reloads: Option<signals::Hangups>) {
    let Some(mut reloads) = reloads else { return std::future::pending().await };
    loop {
        reloads.next().await;
        running.reload();
    }
}

/// Flags (which the environment fills in) over the table `[serve]` of the configuration file.
fn config(args: &ServeArgs, settings: &Settings) -> Config {
    let mut config = settings.serve.clone().unwrap_or_default();
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(seconds) = args.credential_life {
        config.credential_life = Duration::from_secs(seconds.into());
    }
    if let Some(endpoint) = &args.public_endpoint {
        config.public_endpoint = Some(endpoint.trim_end_matches('/').to_owned());
    }
    if let Some(bucket) = &args.bucket {
        config.bucket.clone_from(bucket);
    }
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        config.tls = Some(TlsFiles { cert: cert.clone(), key: key.clone() });
    }
    if let Some(addr) = args.metrics_listen {
        config.metrics_listen = Some(addr);
    }
    if let Some(path) = &args.access_log {
        config.access_log = Some(path.clone());
    }
    config
}

fn introduce(first: &FirstStart) {
    let FirstStart { endpoint, bucket, access_key_id, keys_file, commands } = first;
    let keys_file = shell::quote(keys_file.as_os_str());
    output::say(&format!(
        "a new server:\n  endpoint       {endpoint}\n  bucket         {bucket}\n  access key id  {access_key_id}\n  \
         secrets        {keys_file} (keep it to yourself)\nto try it:"
    ));
    for command in commands {
        output::say(&format!("  {command}"));
    }
    output::say(&format!(
        "  vodferry url {bucket}/KEY --endpoint {endpoint} --keys-file {keys_file}"
    ));
}

fn explain(error: ServeError) -> Failure {
    let message = chain(&error);
    match error {
        ServeError::AddressInUse { .. } => Failure::new(ExitCode::Other, message)
            .hint("choose another address with --listen; port 0 takes a free one"),
        ServeError::Config(_) => Failure::usage(message),
        ServeError::Listen { .. } => Failure::new(ExitCode::Other, message)
            .hint("--listen takes an address of this machine, for example 127.0.0.1:9000"),
        _ => Failure::new(ExitCode::File, message),
    }
}

/// An error and its causes in one line; a cause that the text before it tells already is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        let text = link.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = link.source();
    }
    message
}
