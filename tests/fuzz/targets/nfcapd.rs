//! Files of nfcapd, as `flowdump import` reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flow_query::harness::read_nfcapd(input));
