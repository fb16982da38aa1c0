//! The text of a filter, as `flowdump -Z` checks it.
#![no_main]

use std::ffi::OsString;

use flow_common::time::Timestamp;
use flow_query::{Env, Zone, run};

libfuzzer_sys::fuzz_target!(|filter: &str| {
    // Files of this machine are none of the input's.
    let filter = filter.replace("@include", "include");
    let args = ["flowdump", "-Z", "--", &filter].map(OsString::from);
    let env = Env { now: Timestamp::from_secs(1_795_262_400), zone: Zone::Utc };
    let mut stderr = Vec::new();
    let code = run(args, &mut Vec::new(), &mut stderr, env);
    let said = String::from_utf8(stderr).expect("what is said is text");
    match code {
        0 => assert!(said.lines().all(|line| line.starts_with("note: ")), "{said} for {filter:?}"),
        2 => assert!(said.starts_with("error: "), "{said} for {filter:?}"),
        _ => panic!("exit {code} for {filter:?}"),
    }
});
