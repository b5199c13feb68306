#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vodferry_fuzz_checks::forms(data));
