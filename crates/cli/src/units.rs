//! Sizes, rates and durations as people write them, both directions.

use std::time::Duration;

/// Reads a size in bytes: `1048576`, `8MiB`, `1.5GiB`, `200kB`. Units are B, KiB, MiB, GiB, TiB (powers of 1,024; K, M, G and T
/// alone mean the same) and kB, MB, GB, TB (powers of 1,000).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text.trim());
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => {
            return Err(format!(
                "no unit of size: {unit:?} (use for example 1048576, 8MiB or 8MB)"
            ));
        }
    };
    scale(number, factor)
        .ok_or_else(|| format!("no size: {text:?} (use for example 1048576, 8MiB or 8MB)"))
}

/// Reads a rate in bytes per second: a size, `/s` or not. Zero is refused: nothing would ever move.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let size = text.strip_suffix("/s").unwrap_or(text);
    match parse_size(size) {
        Ok(0) => Err("a rate of nothing would never end (leave it out for no limit)".into()),
        Ok(rate) => Ok(rate),
        Err(_) => Err(format!("no rate: {text:?} (use for example 500KiB/s or 2MiB)")),
    }
}

/// Reads a duration: `90` (seconds), `500ms`, `30s`, `10m`, `2h`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_number(text.trim());
    let milliseconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("no unit of time: {unit:?} (use for example 30s, 10m or 2h)")),
    };
    scale(number, milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("no duration: {text:?} (use for example 30s, 10m or 2h)"))
}

/// Reads how long a presigned URL works: whole seconds, as many as the service takes.
pub(crate) fn parse_life(text: &str) -> Result<Duration, String> {
    let life = parse_duration(text)?;
    match (1..=604_800).contains(&life.as_secs()) && life.subsec_nanos() == 0 {
        true => Ok(life),
        false => Err("a URL works for 1s to 7d, in whole seconds".into()),
    }
}

/// Reads how long to wait for something: a duration that is not zero.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => {
            Err("no time at all would give everything up (use for example 30s)".into())
        }
        time => Ok(time),
    }
}

/// Writes a size for people: `512 B`, `8.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// Writes for people how long ago something was, by its largest unit: `40s`, `5m`, `3h`, `12d`.
pub(crate) fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` times `factor`, exact for whole numbers; `None` when it is no number or too large.
fn scale(number: &str, factor: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    // Beyond 2^53 a fraction means nothing any more, and the cast below would no longer be exact.
    (value.is_finite() && (0.0..=9_007_199_254_740_992.0).contains(&value)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("8m", 8 << 20),
            ("1.5GiB", 3 << 29),
            ("200kB", 200_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MiB", "-1", "8 parsec", "1.2.3", "18446744073709551616", "99999999999GiB", "NaN"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_rate("2MiB/s"), Ok(2 << 20));
        assert_eq!(parse_rate("2MiB"), Ok(2 << 20));
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("2MiB/h").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert!(parse_duration("soon").is_err());
        assert_eq!(parse_duration("5d"), Ok(Duration::from_secs(432_000)));
        assert!(parse_duration("5w").is_err());
        assert_eq!(parse_life("7d"), Ok(Duration::from_secs(604_800)));
        for text in ["0", "500ms", "1.5s", "8d"] {
            assert!(parse_life(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(8 << 20), "8.0 MiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn ages_for_people() {
        let of = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([of(0), of(59), of(60), of(7_200), of(90_000)], ["0s", "59s", "1m", "2h", "1d"]);
    }
}
