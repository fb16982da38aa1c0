//! Capture files, pcap and pcapng.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flow_collector::harness::read_capture(input));
