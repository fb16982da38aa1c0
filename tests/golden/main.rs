//! Every capture of `testdata/` decodes to the records beside it, counters as stored.
//!
//! `UPDATE_GOLDEN=1` rewrites them; a diff there is a change of meaning and
//! wants a reason.

use flow_tests::daemon::decode_capture;
use flow_tests::query::flowdump;
use flow_tests::{captures, testdata};

#[test]
fn captures_decode_to_their_golden_records() {
    let captures = captures();
    assert!(captures.len() >= 20, "testdata/ has lost its captures");
    let mut differing = Vec::new();
    for name in captures {
        let finished = decode_capture(&testdata(&format!("{name}.pcap")));
        let output = flowdump(finished.directory.path(), &["-o", "ndjson", "--no-scale"]);
        assert_eq!(output.code, 0, "{name}: {}", output.stderr);
        let golden = testdata(&format!("golden/{name}.ndjson"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(testdata("golden")).unwrap();
            std::fs::write(&golden, &output.stdout).unwrap();
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != output.stdout {
            differing.push(name);
        }
    }
    assert!(differing.is_empty(), "run with UPDATE_GOLDEN=1 and look at the diff of {differing:?}");
}
