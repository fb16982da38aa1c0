//! Sequences of datagrams over several sessions, in every version.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flow_collector::harness::decode_sequence(input));
