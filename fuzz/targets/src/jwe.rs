//! Feeds `jwe` what the fuzzer makes up.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| car_fuzz::jwe(input));
