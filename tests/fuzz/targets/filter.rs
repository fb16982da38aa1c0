//! The text of a filter, as `flowdump -Z` checks it.
#![no_main]

use std::ffi::OsString;

use flow_common::time::Timestamp;
use flow_query::{Env, Zone, run};

libfuzzer_sys::fuzz_target!(|filter: &str| {
    let args = ["flowdump", "-Z", "--", filter].map(OsString::from);
    let env = Env { now: Timestamp::from_secs(1_795_262_400), zone: Zone::Utc };
    let code = run(args, &mut Vec::new(), &mut Vec::new(), env);
    assert!(matches!(code, 0 | 2), "exit {code} for {filter:?}");
});
