//! Pages of a Parquet file: the octets are a file of their own, or stand in for the
//! pages of one that is sound otherwise.
#![no_main]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use flow_collector::{Compression, Config, Source, SystemClock, start};
use flow_common::time::Timestamp;
use flow_query::{Env, Zone, run};

/// A file of a few rows as the collector writes it, not compressed: head, pages, footer.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/v9-softflowd.pcap");
    let root = directory().join("sound");
    // An earlier run's.
    let _ = std::fs::remove_dir_all(&root);
    let source = Source::Capture(capture);
    let config = Config { source, root: root.clone(), compression: Compression::None, ..Config::default() };
    start(&config, Arc::new(SystemClock), None).expect("a collector").wait();
    let file = parquet_below(&root).expect("a file of the capture");
    std::fs::read(file).expect("a file of the capture")
});

/// Where files of this process lie.
fn directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("flowcap-pages-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    directory
}

fn parquet_below(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find_map(|path| match path.extension() {
        Some(extension) if extension == "parquet" => Some(path),
        _ => parquet_below(&path),
    })
}

/// Asks for all rows of a file and for groups of them.
fn ask(file: &[u8]) {
    let path = directory().join("a.parquet");
    std::fs::write(&path, file).expect("a temporary file");
    let env = Env { now: Timestamp::from_secs(1_795_262_400), zone: Zone::Utc };
    for args in [&["-o", "ndjson"][..], &["-s", "record/bytes", "-s", "srcip:p", "-n", "0"]] {
        let head = [OsString::from("flowdump"), "-q".into(), "-r".into(), path.clone().into()];
        let args = head.into_iter().chain(args.iter().map(OsString::from));
        let code = run(args, &mut Vec::new(), &mut Vec::new(), env);
        assert!(matches!(code, 0 | 3), "exit {code}");
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ask(input);
    // A fuzzer does not guess a footer: its octets lie where the pages are.
    let sound = &SOUND[..];
    let length =
        sound.last_chunk::<8>().map_or(0, |tail| u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let pages = sound.len().saturating_sub(8 + length as usize);
    let mut file = sound.to_vec();
    let end = (4 + input.len()).min(pages);
    file[4..end].copy_from_slice(&input[..end - 4]);
    ask(&file);
});
