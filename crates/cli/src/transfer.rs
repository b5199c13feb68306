//! Flags and settings to the client's options.

use std::path::PathBuf;

use vodferry::{Budget, Checkpoints, OnCancel, Options, Proxy};

use crate::cli::{NetworkArgs, OnBusy, PlaceArgs, RecordArgs, TransferArgs};
use crate::settings::Settings;

/// The options of an uploader: flags (which the environment fills in), then the configuration file, then the client's defaults.
pub(crate) fn options(place: &PlaceArgs, flags: &TransferArgs, settings: &Settings) -> Options {
    let mut options = Options::default();
    set(&mut options.adaptive, flags.adaptive.or(settings.adaptive));
    set(&mut options.part_size, flags.part_size.or(settings.part_size));
    set(&mut options.parallel, flags.parallel.or(settings.parallel));
    set(&mut options.limit, flags.limit.or(settings.limit));
    set(&mut options.files_at_once, flags.files_at_once.or(settings.files_at_once));
    // Each file under way has a part at least.
    options.max_in_flight = options.max_in_flight.max(options.parallel).max(options.files_at_once);
    if let Some(time) = flags.retry_for.or(settings.retry_for) {
        options.retry.budget =
            Budget::Time { ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) };
    }
    options.on_busy = match flags.on_busy.or(settings.on_busy) {
        Some(OnBusy::Wait) => vodferry::OnBusy::Wait,
        Some(OnBusy::Fail) | None => vodferry::OnBusy::Fail,
    };
    options.halt_on_failure = flags.halt_on_failure;
    // Whoever knows about the network says so by a signal.
    options.pause_on_metered = true;
    if flags.delete_on_cancel {
        options.on_cancel = OnCancel::Abort;
    }
    network(&mut options, &flags.network, settings);
    options.region = region(&place.region, settings);
    options.content_md5 = !flags.no_md5 && settings.md5.unwrap_or(true);
    options.record_dir = record_dir(&flags.records, settings);
    if flags.no_record {
        options.record_dir = None;
    }
    options
}

/// The region to sign for. An empty one is none: it undoes that of the file.
pub(crate) fn region(flag: &Option<String>, settings: &Settings) -> Option<String> {
    flag.clone().or_else(|| settings.region.clone()).filter(|region| !region.is_empty())
}

/// Where checkpoints are; `None` when there is no home.
pub(crate) fn record_dir(flags: &RecordArgs, settings: &Settings) -> Option<PathBuf> {
    let named = flags.record_dir.clone().or_else(|| settings.record_dir.clone());
    named.or_else(Checkpoints::default_dir)
}

/// The options of a verb that uploads nothing.
pub(crate) fn plain(flags: &NetworkArgs, settings: &Settings) -> Options {
    let mut options = Options::default();
    network(&mut options, flags, settings);
    options
}

fn network(options: &mut Options, flags: &NetworkArgs, settings: &Settings) {
    set(&mut options.timeouts.connect, flags.connect_timeout.or(settings.connect_timeout));
    set(&mut options.timeouts.idle, flags.idle_timeout.or(settings.idle_timeout));
    options.ca_file = flags.ca_file.clone().or_else(|| settings.ca_file.clone());
    options.proxy = match flags.proxy.as_ref().or(settings.proxy.as_ref()).map(String::as_str) {
        None => Proxy::System,
        Some("none") => Proxy::Direct,
        Some(url) => Proxy::Url(url.to_owned()),
    };
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
