//! Configuration files of the collector.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| flow_collector::harness::read_config(input));
