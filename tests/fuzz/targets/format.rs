//! What stands behind `-o`: names of formats, and text or lists of tags.
#![no_main]

use std::ffi::OsString;

use flow_common::time::Timestamp;
use flow_query::{Env, Zone, run};

libfuzzer_sys::fuzz_target!(|format: &str| {
    let output = format!("--output={format}");
    let args = ["flowdump", "-Z", "--config=/dev/null", &output].map(OsString::from);
    let env = Env { now: Timestamp::from_secs(1_795_262_400), zone: Zone::Utc };
    let code = run(args, &mut Vec::new(), &mut Vec::new(), env);
    assert!(matches!(code, 0 | 2), "exit {code} for {format:?}");
});
