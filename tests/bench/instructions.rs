//! Instructions a record, counted by valgrind: no other program disturbs them.
//!
//! The program runs itself under callgrind twice for each case, with a different
//! number of rounds; the difference is what decoding takes.

use std::process::Command;

use flow_bench::{cases, decode_all, prepared};

const ROUNDS: [usize; 2] = [2, 12];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [case, n_rounds] = arguments.as_slice() {
        return decode(case, n_rounds.parse().expect("a number of rounds"));
    }
    for case in cases() {
        let [few, many] = ROUNDS.map(|n_rounds| count(case.name, n_rounds));
        let per_record = (many - few) / ((ROUNDS[1] - ROUNDS[0]) * case.n_records) as u64;
        println!("{:10} {per_record:6} instructions a record", case.name);
    }
}

fn decode(case: &str, n_rounds: usize) {
    let case = cases().into_iter().find(|known| known.name == case).expect("a case");
    let mut decoding = prepared(&case);
    for _ in 0..n_rounds {
        assert_eq!(decode_all(&mut decoding, &case), case.n_records);
        decoding.clear();
    }
}

/// Instructions of a whole run.
fn count(case: &str, n_rounds: usize) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([case, &n_rounds.to_string()])
        .output()
        .expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, n)| n.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {text}"))
}
