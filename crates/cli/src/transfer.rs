//! Flags and settings to the client's options.

use std::path::PathBuf;

use vodferry::{Budget, Options};

use crate::cli::{OnBusy, PlaceArgs, TransferArgs};
use crate::settings::Settings;

/// The options of an uploader: flags (which the environment fills in), then the configuration file, then the client's defaults.
pub(crate) fn options(place: &PlaceArgs, flags: &TransferArgs, settings: &Settings) -> Options {
    let mut options = Options::default();
    set(&mut options.adaptive, flags.adaptive.or(settings.adaptive));
    set(&mut options.part_size, flags.part_size.or(settings.part_size));
    set(&mut options.parallel, flags.parallel.or(settings.parallel));
    set(&mut options.limit, flags.limit.or(settings.limit));
    options.max_in_flight = options.max_in_flight.max(options.parallel);
    if let Some(time) = flags.retry_for.or(settings.retry_for) {
        options.retry.budget =
            Budget::Time { ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) };
    }
    options.on_busy = match flags.on_busy.or(settings.on_busy) {
        Some(OnBusy::Wait) => vodferry::OnBusy::Wait,
        Some(OnBusy::Fail) | None => vodferry::OnBusy::Fail,
    };
    set(&mut options.timeouts.connect, flags.connect_timeout.or(settings.connect_timeout));
    set(&mut options.timeouts.idle, flags.idle_timeout.or(settings.idle_timeout));
    options.region = region(&place.region, settings);
    options.content_md5 = !flags.no_md5 && settings.md5.unwrap_or(true);
    if let Some(folder) = record_dir(flags, settings) {
        options.record_dir = Some(folder);
    }
    if flags.no_record {
        options.record_dir = None;
    }
    options
}

/// The region to sign for. An empty one is none: it undoes that of the file.
pub(crate) fn region(flag: &Option<String>, settings: &Settings) -> Option<String> {
    flag.clone().or_else(|| settings.region.clone()).filter(|region| !region.is_empty())
}

fn record_dir(flags: &TransferArgs, settings: &Settings) -> Option<PathBuf> {
    flags.record_dir.clone().or_else(|| settings.record_dir.clone())
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
