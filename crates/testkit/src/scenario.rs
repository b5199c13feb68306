//! What a seed decides before anything happens: the configuration, the store, the files, the weather.

use vodferry_engine::{
    Backoff, Budget, Config, MAX_PART_SIZE, MAX_PARTS, OnCancel, OnPartFailure, Retry, SMALL_FILE,
};

use crate::faults::Weather;
use crate::rng::Rng;
use crate::store::Policy;

/// A file that the application wants uploaded.
#[derive(Clone, Debug)]
pub struct FilePlan {
    /// Number of its source; two files may share one.
    pub source: usize,
    /// Bytes of the source's first version.
    pub length: u64,
    /// Its length is unknown at first: its writer announces what is final.
    pub grows: bool,
    /// Bytes per part asked for; 0 leaves it to the configuration.
    pub part_size: u64,
    /// The application gives a grant when it adds the file.
    pub given: bool,
    /// Of the files that wait, the highest starts first.
    pub priority: i32,
}

/// How one world is made.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Of all its engines.
    pub config: Config,
    /// Of its store.
    pub policy: Policy,
    /// The files at the beginning.
    pub files: Vec<FilePlan>,
    /// What befalls requests before the calm.
    pub weather: Weather,
    /// Commands at random, per thousand steps.
    pub commands: u64,
    /// Crashes and power losses, per thousand steps.
    pub deaths: u64,
    /// Local faults (sources, journals, authorizer, clock), per thousand chances.
    pub mishaps: u64,
    /// How long grants live, in milliseconds, unless a mishap shortens it.
    pub life_ms: i64,
    /// Each upload has a video with a key of its own; otherwise each file has its key.
    pub videos: bool,
    /// Grants tell when they die.
    pub dated: bool,
    /// How far the client's clock is ahead, in milliseconds.
    pub skew_ms: i64,
    /// Steps before the calm.
    pub steps: u64,
}

impl Scenario {
    /// Draws a scenario.
    pub fn draw(rng: &mut Rng) -> Scenario {
        let config = config(rng);
        let mut files: Vec<FilePlan> = Vec::new();
        for _ in 0..rng.pick(&[1, 1, 2, 3, 4]) {
            let plan = file(rng, files.len(), &config);
            files.push(plan);
        }
        // Two files of one source may come to share a place, where one would take the other's upload for an orphan.
        if rng.chance(160) && !config.find_orphans {
            let mut twin = files[0].clone();
            twin.given = false;
            files.push(twin);
        }
        // Rare, as one such file costs as much as a hundred worlds.
        let long = rng.chance(3) && rng.chance(600);
        if long {
            // What grows has longer parts from number 1,001 on.
            let grows = rng.chance(800);
            let parts = if grows { rng.between(1_000, 1_300) } else { MAX_PARTS };
            let length = SMALL_FILE * parts + rng.between(1, 1 << 20);
            files[0] = FilePlan { length, grows, part_size: SMALL_FILE, ..files[0].clone() };
            files.truncate(1);
        } else if rng.chance(3) {
            files[0].length = MAX_PART_SIZE * MAX_PARTS + rng.between(1, 1 << 40);
        }
        Scenario {
            config,
            policy: Policy {
                remembers: rng.chance(500),
                list_parts: rng.chance(800),
                head: rng.chance(600),
                list_uploads: rng.chance(700),
                page: if long { 1000 } else { rng.pick(&[1, 2, 3, 3, 1000]) },
            },
            files,
            weather: Weather::storm(rng),
            commands: rng.pick(&[0, 10, 30, 60, 150]),
            deaths: rng.pick(&[0, 0, 5, 15, 40]),
            mishaps: rng.pick(&[0, 20, 60, 150]),
            life_ms: rng.pick(&[3_000_000, 3_000_000, 900_000, 60_000, 8_000]),
            videos: rng.chance(600),
            dated: rng.chance(700),
            skew_ms: rng.pick(&[0, 0, 2_000, -60_000, 7_200_000, -7_200_000]),
            steps: rng.between(40, 400),
        }
    }
}

/// A file of a length where something may be off by one.
pub fn file(rng: &mut Rng, source: usize, config: &Config) -> FilePlan {
    let part_size = rng.pick(&[0, 0, SMALL_FILE, 150_000, 1 << 20]);
    let effective = if part_size == 0 { config.part_size } else { part_size };
    let effective = if effective == 0 { vodferry_engine::DEFAULT_PART_SIZE } else { effective };
    let many = if rng.chance(60) { 40 } else { 9 };
    let whole = effective * rng.between(1, many);
    let length = match rng.below(10) {
        0 => rng.pick(&[0, 1, SMALL_FILE - 1]),
        1 => rng.pick(&[SMALL_FILE, SMALL_FILE + 1]),
        2 => whole + 1,
        3 => (whole - 1).max(SMALL_FILE),
        4 => whole,
        _ => whole + rng.below(effective),
    };
    FilePlan {
        source,
        length,
        grows: rng.chance(200),
        part_size,
        given: rng.chance(200),
        priority: rng.pick(&[0, 0, 0, 1, -1]),
    }
}

fn config(rng: &mut Rng) -> Config {
    let budget = match rng.chance(500) {
        true => Budget::Count(rng.pick(&[1, 3, 5]) as u32),
        false => Budget::Time { ms: rng.pick(&[60_000, 600_000]) },
    };
    let backoff = match rng.chance(300) {
        true => Backoff::Fixed { ms: rng.pick(&[0, 500, 2_000]) },
        false => Backoff::FullJitter { base_ms: 200, cap_ms: 20_000 },
    };
    let adaptive = rng.chance(300);
    Config {
        part_size: rng.pick(&[0, SMALL_FILE, 200_000]),
        parallel: if adaptive && rng.chance(700) { 0 } else { rng.between(1, 5) as u32 },
        adaptive,
        max_buffered: rng.pick(&[64 << 20, 64 << 20, 4 << 20, 150_000]),
        max_in_flight: rng.pick(&[1, 3, 8, 16]),
        files_at_once: rng.between(1, 3) as u32,
        retry: Retry { budget, backoff },
        on_cancel: if rng.chance(500) { OnCancel::Keep } else { OnCancel::Abort },
        on_part_failure: match rng.chance(600) {
            true => OnPartFailure::StopAtOnce,
            false => OnPartFailure::FinishOthers,
        },
        authorizer: rng.chance(600),
        halt_on_failure: rng.chance(100),
        restart_failed: rng.chance(200),
        progress_interval_ms: rng.pick(&[0, 100, 1_000]),
        find_orphans: rng.chance(500),
    }
}
