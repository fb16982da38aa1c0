//! A configuration as a file: what holds (`flowcapd config dump`), and every key
//! with its default (`flowcapd config example`).

use super::keys::{Key, Shown, TABLES};
use super::{Config, Origins};
use crate::cli::Args;

/// Column of comments behind values.
const COMMENT_COLUMN: usize = 48;
/// Width of comments.
const COMMENT_CHARS: usize = 96;

/// A file that says what `config` does, each value with its origin.
pub(crate) fn dump(config: &Config, origins: &Origins) -> String {
    let mut text = format!(
        "# What flowcapd {} goes by, and where it comes from. This is a configuration file.\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut lists = String::new();
    for (table, keys) in TABLES {
        if !table.is_empty() {
            text += &format!("\n[{table}]\n");
        }
        for key in keys {
            let Key { name, .. } = key;
            match (key.show)(config) {
                Shown::Value(value) => {
                    text += &commented(&format!("{name} = {value}"), &origins.of(table, name, 0))
                }
                Shown::Unset => {
                    text += &commented(&format!("# {name} is not set"), &origins.of(table, name, 0))
                }
                Shown::Tables(tables) => {
                    let full_name =
                        if table.is_empty() { name.to_string() } else { format!("{table}.{name}") };
                    for (n, entries) in tables.iter().enumerate() {
                        let list = commented(&format!("[[{full_name}]]"), &origins.of(table, name, n));
                        let entries: String =
                            entries.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
                        lists += &format!("\n{list}{entries}");
                    }
                }
            }
        }
    }
    text + &lists
}

/// A line with a comment behind it.
fn commented(line: &str, comment: &str) -> String {
    format!("{line:COMMENT_COLUMN$}  # {comment}\n")
}

/// Every key with what it means and its default, all of it commented out.
pub(crate) fn example() -> String {
    let default = Config::try_from(Args::default()).unwrap_or_default();
    let mut text = "\
# Configuration of flowcapd. Every key may be left out; what stands behind `#` holds
# then, or is an example where it says so. Flags win over this file.
#
#   flowcapd check -c FILE          says what is wrong with it, and what it comes to
#   flowcapd config dump -c FILE    shows what holds, and where it comes from
#
# A running flowcapd takes over what changed at SIGHUP; keys marked (restart) it names
# and leaves until it is started again.
"
    .to_owned();
    let mut lists = String::new();
    for (table, keys) in TABLES {
        if !table.is_empty() {
            text += &format!("\n[{table}]\n");
        }
        for key in keys {
            let shown = (key.show)(&default);
            let meaning = key.meaning();
            // A value that is shown needs no words for it.
            let (what, of_default) = meaning.split_once(" [default").unwrap_or((&meaning, ""));
            let restart = if key.is_live { "" } else { " (restart)" };
            let mut comment = wrapped(&format!("{}{restart}", what.trim_end_matches('.')));
            if !matches!(shown, Shown::Value(_)) {
                let of_default = of_default.strip_prefix(": ").map(|text| text.trim_end_matches(']'));
                let without = of_default.map(|text| format!(": {text}")).unwrap_or_default();
                comment += &wrapped(&format!("Not set{without}; for example"));
            }
            let (out, line) = match shown {
                Shown::Value(value) => (&mut text, format!("#{} = {value}\n", key.name)),
                Shown::Unset => (&mut text, format!("#{} = {}\n", key.name, key.example)),
                Shown::Tables(_) => (&mut lists, tables_example(table, key)),
            };
            *out += &format!("\n{comment}{line}");
        }
    }
    text + &lists
}

/// `[[key]]` and its lines, from the example of the key.
fn tables_example(table: &str, key: &Key) -> String {
    let full_name = if table.is_empty() { key.name.to_owned() } else { format!("{table}.{}", key.name) };
    let entries = key.example.trim_matches(['[', ']', '{', '}', ' ']).split(", ");
    let entries: String = entries.map(|entry| format!("#{entry}\n")).collect();
    format!("#[[{full_name}]]\n{entries}")
}

/// A comment in lines of a width to read.
fn wrapped(comment: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in comment.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < COMMENT_CHARS => {
                *line += &format!(" {word}");
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::cli;
    use crate::config::file;

    /// A configuration with something in every key.
    pub(in crate::config) const FULL: &str = r#"
port = [0, 0, 7]
bind = ["192.0.2.1", "::1", "0.0.0.0"]
join = ["239.0.0.9%eth0", "224.0.0.7"]
buffer = 65536
repeat = ["192.0.2.2", "::1/2055", "c.example/7"]
write-dir = "/var/\"flows\"\\x\tü"
slot = 60
hierarchy = 0
compression = "zstd:3"
ident = "edge"
sampling = -1000
allow = ["192.0.2.0/24", "2001:db8::1"]
template-lifetime = 3600
session-idle = 7200
tcp = [4739, "[::1]:6"]
tls = 4740
tls-cert = "a"
tls-key = "b"
tls-ca = "c"
tls-peer = "r1.example"
max-connections = 3
max-connections-per-address = 2
max-handshakes = 1
exec = "gzip -k '%d/%f' %%"
max-commands = 2
user = "root"
group = "0"
pidfile = "/p"
http = 8080
verbose = 2
[limits]
templates = 1000
templates-bytes = "1MiB"
waiting-bytes = 0
waiting-secs = 60
domains = 7
facts-bytes = 70_000
facts-per-exporter = 70
queue-bytes = "100MB"
journal-bytes = "200MB"
handshake-secs = 5
message-secs = 6
connection-idle-secs = 7
silent-listener-secs = 8
[retention]
max-age = "30d"
max-size = "1.5TB"
min-free = "10%"
[[retention.tree]]
path = "/a"
max-age = "none"
min-free = "20GB"
[[retention.tree]]
path = "/b"
[compaction]
enabled = true
after = "2h"
[[source]]
ident = "x"
prefix = ["192.0.2.1", "::/0"]
directory = "d"
[[element]]
pen = 35632
id = 180
name = "http_url"
type = "string"
[[element]]
id = 82
name = "interface_name"
"#;

    pub(in crate::config) fn load(flags: &str, text: &str) -> (Config, Origins, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let typed = ["flowcapd", "-c", &path].into_iter().chain(flags.split_whitespace());
        let (config, origins) = Config::load(cli::parse(typed).unwrap().0).unwrap();
        (config, origins, directory)
    }

    #[test]
    fn a_dump_is_a_file_that_says_the_same() {
        let check = |flags: &str, text: &str| {
            let (config, origins, _directory) = load(flags, text);
            let dumped = dump(&config, &origins);
            let (again, ..) = load("", &dumped);
            assert_eq!(again, config, "{dumped}");
        };
        check("", "");
        check("", FULL);
        check("-p 1 -b 0.0.0.0 -w x -t 7 -s 5 -v --allow ::1", FULL);
        check("-M m -n a,::1,d --tls --tls-cert a --tls-key b --tls-no-client-auth", "");
        check("-n a,::1,d", "");
    }

    #[test]
    fn what_a_fuzzer_found_is_read_and_shown() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/config");
        let inputs: Vec<_> = fs::read_dir(corpus).unwrap().flatten().collect();
        assert!(inputs.len() > 30, "the corpus is not where it was");
        inputs
            .iter()
            .for_each(|input| crate::harness::read_config(&fs::read_to_string(input.path()).unwrap()));
    }

    #[test]
    fn a_full_file_leaves_nothing_at_its_default() {
        let (config, ..) = load("", FULL);
        let (default, ..) = load("", "");
        for (table, keys) in TABLES {
            // One excludes the other.
            for key in keys.iter().filter(|key| !["sources-dir", "tls-no-client-auth"].contains(&key.name)) {
                assert_ne!((key.show)(&config), (key.show)(&default), "{table} {}", key.name);
            }
        }
    }

    #[test]
    fn origins_are_said_for_each_value() {
        let (config, origins, directory) = load("-p 9 --allow ::1", FULL);
        let dumped = dump(&config, &origins).replace(directory.path().to_str().unwrap(), "");
        let check = |line: &str, origin: &str| {
            let expected = commented(line, origin);
            assert!(dumped.contains(&expected), "no {expected} in {dumped}");
        };
        let check_line = |line: &str, in_file: &str| {
            let lines = FULL.lines().enumerate().filter(|(_, text)| *text == in_file);
            lines.for_each(|(index, _)| check(line, &format!("/f line {}", index + 1)));
        };
        check("port = [9]", "flag -p");
        check("allow = [\"::1/128\"]", "flag --allow");
        check("tls-no-client-auth = false", "default");
        check("# sources-dir is not set", "default");
        check_line("slot = 60", "slot = 60");
        check_line("templates = 1000", "templates = 1000");
        check_line("max-size = \"1500GB\"", "max-size = \"1.5TB\"");
        check_line("[[retention.tree]]", "[[retention.tree]]");
        check_line("[[element]]", "[[element]]");
    }

    fn packaged() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/flowcap.toml")
    }

    #[test]
    fn the_example_that_is_packaged_has_every_key() {
        let example = example();
        let packaged = fs::read_to_string(packaged()).unwrap_or_default();
        assert!(packaged == example, "`flowcapd config example` writes collector/packaging/flowcap.toml");
        assert_eq!(load("", &example).0, load("", "").0, "all of it is commented out");
        // Lines of keys have no space behind the `#`, lines of text have one.
        let is_text = |line: &&str| !(line.starts_with("# ") || *line == "#");
        let lines = example.lines().filter(is_text).map(|line| line.trim_start_matches('#'));
        let all = lines.collect::<Vec<_>>().join("\n");
        let file = file::parse("example", &all).unwrap();
        for (table, key) in TABLES.iter().flat_map(|(table, keys)| keys.iter().map(move |key| (*table, key)))
        {
            assert!(file.lines.contains_key(&(table, key.name)), "{table} {}", key.name);
            assert!(!key.meaning().is_empty(), "{table} {} has no words", key.name);
        }
    }
}
