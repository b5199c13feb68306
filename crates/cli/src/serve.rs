//! `vodferry serve`: one line on stdout once requests are served, everything else on stderr, all in the format of the log.

use std::error::Error;
use std::io::IsTerminal as _;
use std::time::Duration;

use vodferry_server::{Config, FirstStart, LogFormat, Running, ServeError, TlsFiles};

use crate::cli::ServeArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::{SERVER_SETTINGS, Settings};
use crate::{output, shell, signals};

/// Serves until Ctrl-C or SIGTERM, then lets requests under way finish.
pub(crate) async fn run(args: &ServeArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let interrupted = signals::interrupted(false);
    let config = config(args, settings);
    // On a terminal, and with nothing to reload, it ends with the terminal, as any program does. A service is told to reload whatever it has.
    let on_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    let reloads = config.access_log.is_some() || config.tls.is_some() || !on_terminal;
    let reloads = reloads.then(signals::hangups);
    let format = config.log_format;
    let running = vodferry_server::serve(config).await.map_err(explain)?;
    if let Some(first) = running.first_start() {
        introduce(first, format);
    }
    output::data(&format!("listening on {}", running.url()));
    if let Some(addr) = running.metrics_addr() {
        tell(format, &format!("metrics on http://{addr}/metrics"));
    }
    tokio::select! {
        _ = interrupted => {}
        () = reload_when_told(&running, reloads) => {}
    }
    tell(format, "stopping; a second signal stops at once");
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
    config.log_format = log_format(args, settings);
    config
}

/// What the flag or the file says.
pub(crate) fn log_format(args: &ServeArgs, settings: &Settings) -> LogFormat {
    match args.log_json {
        true => LogFormat::Json,
        false => settings.serve.as_ref().map_or(LogFormat::Text, |serve| serve.log_format),
    }
}

/// Says something on stderr; where programs read that, as a line of the log.
fn tell(format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => output::say(text),
        LogFormat::Json => tracing::info!("{text}"),
    }
}

fn introduce(first: &FirstStart, format: LogFormat) {
    let FirstStart { endpoint, bucket, access_key_id, keys_file, commands } = first;
    let keys_file = shell::quote(keys_file.as_os_str());
    let mut lines = vec![format!(
        "a new server:\n  endpoint       {endpoint}\n  bucket         {bucket}\n  access key id  {access_key_id}\n  \
         secrets        {keys_file} (keep it to yourself)\nto try it:"
    )];
    lines.extend(commands.iter().map(|command| format!("  {command}")));
    lines
        .push(format!("  vodferry url {bucket}/KEY --endpoint {endpoint} --keys-file {keys_file}"));
    tell(format, &lines.join("\n"));
}

fn explain(error: ServeError) -> Failure {
    let message = chain(&error);
    match error {
        ServeError::AddressInUse { setting, .. } => {
            let flag = flag(setting);
            Failure::new(ExitCode::Other, message)
                .hint(format!("choose another address with {flag}; port 0 takes a free one"))
        }
        ServeError::Config(_) => Failure::usage(message).hint(SERVER_SETTINGS),
        ServeError::Listen { setting, .. } => {
            let flag = flag(setting);
            Failure::new(ExitCode::Other, message).hint(format!(
                "{flag} takes an address of this machine, for example 127.0.0.1:9000"
            ))
        }
        _ => Failure::new(ExitCode::File, message),
    }
}

/// The flag of a setting.
fn flag(setting: &str) -> String {
    format!("--{}", setting.replace('_', "-"))
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
