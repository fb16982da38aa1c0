//! State files of the collector.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flow_collector::harness::read_state(input));
