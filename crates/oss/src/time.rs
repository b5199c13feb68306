//! Times on the wire: RFC 1123 in headers, ISO 8601 in XML and in V4 signatures.
//!
//! A time is milliseconds since 1970 in UTC. Writing clamps to the years 1 to 9999; reading accepts those years only.

use alloc::string::String;

use crate::text::parse_u64;

/// `Fri, 20 Nov 2026 10:00:00 GMT`; milliseconds are cut.
pub fn format_http(ms: i64) -> String {
    let t = Civil::from_ms(ms);
    let mut out = String::with_capacity(29);
    out.push_str(WEEKDAYS[t.weekday]);
    out.push_str(", ");
    push_digits(&mut out, t.day, 2);
    out.push(' ');
    out.push_str(MONTHS[t.month as usize - 1]);
    out.push(' ');
    push_digits(&mut out, t.year, 4);
    out.push(' ');
    push_clock(&mut out, &t, ":");
    out.push_str(" GMT");
    out
}

/// `2026-11-20T10:00:00.000Z`, as XML bodies have it. Objects' times carry whole seconds there: some clients parse
/// nothing but a literal `.000Z`, see [`whole_seconds`].
pub fn format_iso_ms(ms: i64) -> String {
    let t = Civil::from_ms(ms);
    let mut out = String::with_capacity(24);
    push_date(&mut out, &t, "-");
    out.push('T');
    push_clock(&mut out, &t, ":");
    out.push('.');
    push_digits(&mut out, t.ms, 3);
    out.push('Z');
    out
}

/// `2026-11-20T10:00:00Z`; milliseconds are cut.
pub fn format_iso(ms: i64) -> String {
    let t = Civil::from_ms(ms);
    let mut out = String::with_capacity(20);
    push_date(&mut out, &t, "-");
    out.push('T');
    push_clock(&mut out, &t, ":");
    out.push('Z');
    out
}

/// `20261120T100000Z`; milliseconds are cut.
pub fn format_iso_basic(ms: i64) -> String {
    let t = Civil::from_ms(ms);
    let mut out = String::with_capacity(16);
    push_date(&mut out, &t, "");
    out.push('T');
    push_clock(&mut out, &t, "");
    out.push('Z');
    out
}

/// Cuts the milliseconds.
pub fn whole_seconds(ms: i64) -> i64 {
    ms - ms.rem_euclid(1000)
}

/// Reads RFC 1123, `Fri, 20 Nov 2026 10:00:00 GMT`. The weekday is not compared with the date.
pub fn parse_http(text: &str) -> Option<i64> {
    let (weekday, rest) = text.trim_ascii().split_once(',')?;
    if !WEEKDAYS.contains(&weekday) {
        return None;
    }
    let mut words = rest.split_ascii_whitespace();
    let day = number(words.next()?, 1..=2)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as u32 + 1;
    let year = number(words.next()?, 4..=4)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 2..=2)?;
    let minute = number(clock.next()?, 2..=2)?;
    let second = number(clock.next()?, 2..=2)?;
    let zone = words.next()?;
    if clock.next().is_some() || words.next().is_some() || !matches!(zone, "GMT" | "UTC") {
        return None;
    }
    to_ms(year, month, day, hour, minute, second, 0)
}

/// Reads ISO 8601 in UTC: extended or basic, with or without a fraction (cut to milliseconds).
pub fn parse_iso(text: &str) -> Option<i64> {
    let mut rest = text.trim_ascii();
    let year = take(&mut rest, 4)?;
    let extended = skip(&mut rest, "-");
    let month = take(&mut rest, 2)?;
    if extended && !skip(&mut rest, "-") {
        return None;
    }
    let day = take(&mut rest, 2)?;
    if !skip(&mut rest, "T") {
        return None;
    }
    let hour = take(&mut rest, 2)?;
    if extended && !skip(&mut rest, ":") {
        return None;
    }
    let minute = take(&mut rest, 2)?;
    if extended && !skip(&mut rest, ":") {
        return None;
    }
    let second = take(&mut rest, 2)?;
    let mut ms = 0;
    if skip(&mut rest, ".") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, tail) = rest.split_at_checked(digits)?;
        if fraction.is_empty() {
            return None;
        }
        let kept = fraction.bytes().chain([b'0'; 2]).take(3);
        ms = kept.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        rest = tail;
    }
    if rest != "Z" {
        return None;
    }
    to_ms(year, month, day, hour, minute, second, ms)
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS: i64 = 86_400_000;
const YEAR_1_MS: i64 = -62_135_596_800_000;
const YEAR_9999_END_MS: i64 = 253_402_300_799_999;

struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    ms: u32,
    weekday: usize,
}

impl Civil {
    fn from_ms(ms: i64) -> Civil {
        let ms = ms.clamp(YEAR_1_MS, YEAR_9999_END_MS);
        let days = ms.div_euclid(DAY_MS);
        let rest = ms.rem_euclid(DAY_MS) as u32;
        // Counted in years that begin in March, so that the leap day is the last one; 146,097 days are 400 years.
        let shifted = days + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = shifted.div_euclid(146_097) * 400 + year_of_era + i64::from(month <= 2);
        Civil {
            year: year as u32,
            month: month as u32,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1_000 % 60,
            ms: rest % 1_000,
            weekday: (days + 4).rem_euclid(7) as usize,
        }
    }
}

fn to_ms(y: u32, m: u32, d: u32, hour: u32, minute: u32, second: u32, ms: u32) -> Option<i64> {
    let leap = y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let month_days = match m {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    let valid = (1..=9999).contains(&y) && (1..=month_days).contains(&d);
    if !valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A leap second is taken for the last second of its minute.
    let second = second.min(59);
    let year = i64::from(y) - i64::from(m <= 2);
    let march_month = i64::from((m + 9) % 12);
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + (153 * march_month + 2) / 5
        + i64::from(d)
        - 1;
    let days = year.div_euclid(400) * 146_097 + day_of_era - 719_468;
    let seconds = i64::from(hour * 3_600 + minute * 60 + second);
    Some(days * DAY_MS + seconds * 1_000 + i64::from(ms))
}

fn push_date(out: &mut String, t: &Civil, separator: &str) {
    push_digits(out, t.year, 4);
    out.push_str(separator);
    push_digits(out, t.month, 2);
    out.push_str(separator);
    push_digits(out, t.day, 2);
}

fn push_clock(out: &mut String, t: &Civil, separator: &str) {
    push_digits(out, t.hour, 2);
    out.push_str(separator);
    push_digits(out, t.minute, 2);
    out.push_str(separator);
    push_digits(out, t.second, 2);
}

fn push_digits(out: &mut String, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + (value / 10u32.pow(place) % 10) as u8));
    }
}

fn number(text: &str, length: core::ops::RangeInclusive<usize>) -> Option<u32> {
    parse_u64(text).filter(|_| length.contains(&text.len())).map(|number| number as u32)
}

fn take(rest: &mut &str, digits: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(digits)?;
    *rest = tail;
    number(head, digits..=digits)
}

fn skip(rest: &mut &str, token: &str) -> bool {
    match rest.strip_prefix(token) {
        Some(tail) => {
            *rest = tail;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: i64 = 1_795_168_800_000;

    #[test]
    fn known_times() {
        assert_eq!(format_http(T), "Fri, 20 Nov 2026 10:00:00 GMT");
        assert_eq!(format_iso_ms(T + 7), "2026-11-20T10:00:00.007Z");
        assert_eq!(format_iso(T + 7), "2026-11-20T10:00:00Z");
        assert_eq!(format_iso_basic(T), "20261120T100000Z");
        assert_eq!(format_http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format_iso_ms(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_iso(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(whole_seconds(T + 999), T);
        assert_eq!(whole_seconds(-1), -1000);
    }

    #[test]
    fn extremes_are_clamped() {
        assert_eq!(format_iso(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(format_iso(i64::MIN), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn reads_what_clients_write() {
        assert_eq!(parse_http("Fri, 20 Nov 2026 10:00:00 GMT"), Some(T));
        assert_eq!(parse_http("Fri, 20 Nov 2026 10:00:00 UTC"), Some(T));
        assert_eq!(parse_http("Sun, 6 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        for text in ["2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z", "20261120T100000Z"] {
            assert_eq!(parse_iso(text), Some(T), "{text}");
        }
        assert_eq!(parse_iso("2026-11-20T10:00:00.1Z"), Some(T + 100));
        assert_eq!(parse_iso("2026-11-20T10:00:00.123456789Z"), Some(T + 123));
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "Fri, 20 Nov 2026 10:00:00",
            "Fri, 20 Nov 2026 10:00:00 CET",
            "Fri, 31 Nov 2026 10:00:00 GMT",
            "Fri, 20 Nov 2026 24:00:00 GMT",
            "Fri, 20 Nov 2026 10:00 GMT",
            "Fri, 20 Nov 2026 10:00:00:00 GMT",
            "Fri, 20 Nov +026 10:00:00 GMT",
            "Xxx, 20 Nov 2026 10:00:00 GMT",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
        for text in [
            "",
            "2026-11-20",
            "2026-11-20T10:00:00",
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-11-20T10:00:00.Z",
            "2026-1120T10:00:00Z",
            "2026-11-20T100000Z",
            "测026-11-20T10:00:00Z",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_form_survives(ms in YEAR_1_MS..=YEAR_9999_END_MS) {
            let seconds = whole_seconds(ms);
            prop_assert_eq!(parse_http(&format_http(ms)), Some(seconds));
            prop_assert_eq!(parse_iso(&format_iso_ms(ms)), Some(ms));
            prop_assert_eq!(parse_iso(&format_iso(ms)), Some(seconds));
            prop_assert_eq!(parse_iso(&format_iso_basic(ms)), Some(seconds));
        }

        #[test]
        fn reading_never_panics(text in any::<String>()) {
            let _ = parse_http(&text);
            let _ = parse_iso(&text);
        }
    }
}
