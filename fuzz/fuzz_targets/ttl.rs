//! See `fuzz::ttl`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::ttl::check(data));
