//! Flags and settings to the client's options.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use vodferry::{Backoff, Budget, Checkpoints, OnCancel, Options, Proxy};

use crate::cli::{NetworkArgs, OnBusy, OnPartFailure, PlaceArgs, RecordArgs, TransferArgs};
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
    if sequential(flags, settings) {
        options.parallel = 1;
    }
    set(&mut options.max_buffered, flags.max_buffered.or(settings.max_buffered));
    set(&mut options.retry.budget, budget(flags, settings));
    if let Some(pause) = flags.retry_duration.or(settings.retry_duration) {
        options.retry.backoff = Backoff::Fixed { ms: millis(pause) };
    }
    if flags.on_part_failure.or(settings.on_part_failure) == Some(OnPartFailure::Finish) {
        options.on_part_failure = vodferry::OnPartFailure::FinishOthers;
    }
    options.find_orphans = flags.find_orphans || settings.find_orphans.unwrap_or(false);
    set(&mut options.progress_interval, flags.progress_interval.or(settings.progress_interval));
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

/// Whether parts go one after another.
pub(crate) fn sequential(flags: &TransferArgs, settings: &Settings) -> bool {
    // Who types how many are to be in flight does not mean what the file says.
    flags.sequential || settings.sequential.unwrap_or(false) && flags.parallel.is_none()
}

/// How much may fail. A time and a number exclude each other; what flags say of one undoes what the file says of the other.
fn budget(flags: &TransferArgs, settings: &Settings) -> Option<Budget> {
    let budget = |time: Option<Duration>, count: Option<u32>| match (time, count) {
        (Some(time), _) => Some(Budget::Time { ms: millis(time) }),
        (None, count) => count.map(Budget::Count),
    };
    budget(flags.retry_for, flags.retry_count)
        .or_else(|| budget(settings.retry_for, settings.retry_count.map(NonZeroU32::get)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
    set(&mut options.timeouts.request, flags.request_timeout.or(settings.request_timeout));
    set(&mut options.timeouts.slowest, flags.slowest.or(settings.slowest));
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
