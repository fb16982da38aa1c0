//! The configuration file, TOML: what a user or a machine calls formats, and which databases
//! say where addresses are.
//!
//! ```toml
//! geo = ["/usr/share/GeoIP/GeoLite2-City.mmdb", "/usr/share/GeoIP/GeoLite2-ASN.mmdb"]
//!
//! [formats]
//! short = "fmt:%ts %sap -> %dap %byt"
//! ```

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flow_common::limits::CONFIG_BYTES_MAX;
use flow_common::usage::{excerpt, lower_first, nearest, neutral};
use toml::de::{DeTable, DeValue};

use crate::message::{Failure, reason};

/// Names the file where no option does.
const VARIABLE: &str = "FLOWDUMP_CONFIG";
/// Below a user's home.
const OF_USER: &str = ".config/flowdump.toml";
const OF_MACHINE: &str = "/etc/flowcap/flowdump.toml";
/// The name of no file, as nfdump's `-C` has it.
const NO_FILE: &str = "none";
/// The table of formats.
const FORMATS: &str = "formats";
/// One database of places, or several.
const GEO: &str = "geo";

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// Formats by their names, each as it is written behind `-o`.
    pub(crate) formats: BTreeMap<String, String>,
    /// Databases of places.
    pub(crate) geo: Vec<PathBuf>,
    /// What messages call the file.
    pub(crate) name: String,
}

impl Config {
    /// Reads `path`, else what the environment names, else the user's, else the
    /// machine's; nothing where there is none of these.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Failure> {
        if path == Some(Path::new(NO_FILE)) {
            return Ok(Self::default());
        }
        let named = path.map(Path::to_owned).or_else(from_environment);
        if let Some(path) = named {
            return Self::read(&path)?.ok_or_else(|| Failure::Failed {
                message: format!("can't read `{}`: no such file or directory", path.display()),
                hint: None,
            });
        }
        let of_user = env::var_os("HOME").map(|home| PathBuf::from(home).join(OF_USER));
        for path in of_user.into_iter().chain([PathBuf::from(OF_MACHINE)]) {
            if let Some(config) = Self::read(&path)? {
                return Ok(config);
            }
        }
        Ok(Self::default())
    }

    /// Reads one file; `None` where there is none.
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let failed = |reason: String| Failure::Failed {
            message: format!("can't read `{}`: {reason}", path.display()),
            hint: None,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(reason(&error))),
        };
        let mut text = String::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(reason(&error)))?;
        if text.len() as u64 > CONFIG_BYTES_MAX {
            return Err(failed(format!("it is longer than {CONFIG_BYTES_MAX} octets")));
        }
        Self::parse(&path.display().to_string(), &text).map(Some)
    }

    /// Reads `text`; `name` is what messages call the file.
    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let (formats, geo) = parse(text).map_err(|Fault { span, message, hint }| {
            let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
            let message = neutral(&format!("`{name}` line {line}: {message}"));
            Failure::usage_hint(format!("{message}\n{}", excerpt(text, &span)), neutral(&hint))
        })?;
        Ok(Self { formats, geo, name: name.to_owned() })
    }
}

/// The file the environment names.
fn from_environment() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether the environment names a file: one that is to be sound.
pub(crate) fn is_named_by_environment() -> bool {
    from_environment().is_some()
}

/// What is wrong, and where: octets of the text.
struct Fault {
    span: Range<usize>,
    message: String,
    hint: String,
}

/// The formats `text` names, and databases of places.
fn parse(text: &str) -> Result<(BTreeMap<String, String>, Vec<PathBuf>), Fault> {
    let example = || format!("for example `[{FORMATS}]`, and below it `short = \"fmt:%ts %sa %da %byt\"`");
    let document = DeTable::parse(text).map_err(|error| Fault {
        span: error.span().unwrap_or(0..0),
        message: lower_first(error.message()),
        hint: example(),
    })?;
    let (mut named, mut databases) = (BTreeMap::new(), Vec::new());
    for (key, value) in document.get_ref() {
        if &**key.get_ref() == GEO {
            databases = geo(value.get_ref()).ok_or_else(|| Fault {
                span: value.span(),
                message: format!("`{GEO}` is a file, or several: text in quotes"),
                hint: "for example `geo = \"/usr/share/GeoIP/GeoLite2-City.mmdb\"`".into(),
            })?;
            continue;
        }
        let (DeValue::Table(formats), FORMATS) = (value.get_ref(), &**key.get_ref()) else {
            let hint = match nearest(key.get_ref(), [FORMATS, GEO]) {
                Some(GEO) => format!("did you mean `{GEO}`?"),
                Some(meant) => format!("did you mean `[{meant}]`?"),
                None => example(),
            };
            return Err(Fault { span: key.span(), message: format!("no table `{}`", key.get_ref()), hint });
        };
        for (name, format) in formats {
            let DeValue::String(format) = format.get_ref() else {
                let message = format!("`{}` is a format: text in quotes", name.get_ref());
                return Err(Fault { span: name.span(), message, hint: example() });
            };
            named.insert(name.get_ref().to_string(), format.to_string());
        }
    }
    Ok((named, databases))
}

/// A text, or a list of texts; `None` where it is neither.
fn geo(value: &DeValue<'_>) -> Option<Vec<PathBuf>> {
    let path = |value: &DeValue<'_>| match value {
        DeValue::String(path) => Some(PathBuf::from(&**path)),
        _ => None,
    };
    match value {
        DeValue::Array(all) => all.iter().map(|one| path(one.get_ref())).collect(),
        one => path(one).map(|path| vec![path]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let found = match Config::parse("x.toml", text) {
            Ok(config) => Ok(config.formats.into_iter().collect::<Vec<_>>()),
            Err(Failure::Usage { message, hint }) => Err(format!("{message}\n{}", hint.unwrap_or_default())),
            Err(other) => Err(format!("{other:?}")),
        };
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(name, format)| (name.to_owned(), format.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(found, expected.map(owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn formats_have_names() {
        check("", Ok(&[]));
        check(
            "[formats]\nb = \"csv:%sa\"\n\"a b\" = 'fmt:%ts'\n",
            Ok(&[("a b", "fmt:%ts"), ("b", "csv:%sa")]),
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let example = "for example `[formats]`, and below it `short = \"fmt:%ts %sa %da %byt\"`";
        let check = |text, message: &str, hint: &str| {
            let Err(Failure::Usage { message: said, hint: hinted }) = Config::parse("x.toml", text) else {
                panic!("{text} is taken");
            };
            assert_eq!((said.lines().next(), hinted.as_deref()), (Some(message), Some(hint)), "{text}");
        };
        check("\n[format]\n", "`x.toml` line 2: no table `format`", "did you mean `[formats]`?");
        check("[formats]\na = 1\n", "`x.toml` line 2: `a` is a format: text in quotes", example);
        check("formats = 1\n", "`x.toml` line 1: no table `formats`", "did you mean `[formats]`?");
        check("[formats\n", "`x.toml` line 1: unclosed table, expected `]`", example);
    }
}
