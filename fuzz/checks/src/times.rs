//! Times in headers and documents.

use vodferry_oss::Response;
use vodferry_oss::time::{
    format_http, format_iso, format_iso_basic, format_iso_ms, parse_http, parse_iso, whole_seconds,
};

const YEAR_1_MS: i64 = -62_135_596_800_000;
const YEAR_9999_END_MS: i64 = 253_402_300_799_999;

/// The text as a time, and the first eight bytes as its number.
pub fn times(data: &[u8]) {
    if let Some(number) = data.first_chunk() {
        written(i64::from_le_bytes(*number));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for ms in [parse_http(text), parse_iso(text)].into_iter().flatten() {
        assert!((YEAR_1_MS..=YEAR_9999_END_MS).contains(&ms), "{text:?} is {ms}");
        written(ms);
    }
    let (retry_after, date) = text.split_once('\n').unwrap_or((text, text));
    let headers = vec![
        ("retry-after".to_owned(), retry_after.to_owned()),
        ("date".to_owned(), date.to_owned()),
    ];
    let response = Response { status: 503, headers, body: Vec::new() };
    assert_eq!(response.date_ms(), parse_http(date));
    response.retry_after_ms();
}

fn written(ms: i64) {
    let ms = ms.clamp(YEAR_1_MS, YEAR_9999_END_MS);
    assert_eq!(parse_iso(&format_iso_ms(ms)), Some(ms));
    for read in
        [parse_http(&format_http(ms)), parse_iso(&format_iso(ms)), parse_iso(&format_iso_basic(ms))]
    {
        assert_eq!(read, Some(whole_seconds(ms)));
    }
}
