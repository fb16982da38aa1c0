//! Streams of octets, as connections and IPFIX files are, in any pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flow_collector::harness::read_stream(input));
