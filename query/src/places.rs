//! Where addresses are and whose: databases in MaxMind's format, which operators bring.
//!
//! A database is read whole and once a run. What it holds is told by what is asked of it: of
//! several each is asked in turn, and the first that knows answers.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use flow_common::addr::Addr16;
use flow_common::column::ColumnId;
use flow_common::limits::{PLACES_BYTES_MAX, PLACES_FILES_MAX};
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};

use crate::config::Config;
use crate::message::{Failure, reason};

/// The word that stands for no database.
pub(crate) const NONE: &str = "none";

/// A country by its code of two letters (ISO 3166-1), the first in the high octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Country(pub(crate) u16);

impl Country {
    /// Reads two letters, of either case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self(u16::from_be_bytes([a.to_ascii_uppercase(), b.to_ascii_uppercase()])))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_be_bytes().into_iter().try_for_each(|letter| write!(f, "{}", char::from(letter)))
    }
}

/// Who announces an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// Of the autonomous system.
    pub(crate) number: u32,
    pub(crate) organisation: Option<&'a str>,
}

/// Databases, in the order they are asked in.
pub(crate) struct Places {
    databases: Vec<Database>,
    /// Organisations by the numbers of their systems, once one was asked for.
    organisations: OnceLock<HashMap<u32, String>>,
}

struct Database {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
    /// Something in it led nowhere.
    is_damaged: AtomicBool,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.databases.iter().map(|database| &database.path)).finish()
    }
}

/// The same files are the same databases.
impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        self.databases.iter().map(|one| &one.path).eq(other.databases.iter().map(|one| &one.path))
    }
}

impl Eq for Places {}

/// The autonomous system exporters told, where that is more than 0, else what was looked up; where
/// that is nothing, a 0 that was told stays.
pub(crate) fn told_or(told: Option<i64>, looked_up: impl FnOnce() -> Option<i64>) -> Option<i64> {
    told.filter(|number| *number > 0).or_else(looked_up).or(told)
}

impl Places {
    /// Reads the databases at `paths`.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        if paths.len() > PLACES_FILES_MAX {
            return Err(Failure::usage(format!(
                "{} databases of places, more than {PLACES_FILES_MAX}",
                paths.len()
            )));
        }
        let databases = paths.iter().map(|path| Database::open(path)).collect::<Result<_, _>>()?;
        Ok(Self { databases, organisations: OnceLock::new() })
    }

    /// The country of an address, else the one it is registered in.
    pub(crate) fn country(&self, addr: Addr16) -> Option<Country> {
        let of =
            |database: &Database, place| database.text(addr, &[place, "iso_code"]).and_then(Country::parse);
        self.first(|database| of(database, "country").or_else(|| of(database, "registered_country")))
    }

    /// Continent, country and city as `EU/CH/Zurich`, and where that is, if that is known.
    pub(crate) fn location(&self, addr: Addr16) -> Option<String> {
        self.first(|database| {
            let country = database.text(addr, &["country", "iso_code"])?;
            let continent = database.text(addr, &["continent", "code"]).unwrap_or("--");
            let city = database.text(addr, &["city", "names", "en"]).unwrap_or_default();
            let place = match (database.degrees(addr, "longitude"), database.degrees(addr, "latitude")) {
                (Some(longitude), Some(latitude)) => format!(" long/lat: {longitude:.4}/{latitude:.4}"),
                _ => String::new(),
            };
            Some(format!("{continent}/{country}/{city}{place}"))
        })
    }

    /// The autonomous system of an address.
    pub(crate) fn origin(&self, addr: Addr16) -> Option<Origin<'_>> {
        self.first(|database| database.origin(addr))
    }

    /// Whose an autonomous system is. The first question reads all of the databases.
    pub(crate) fn organisation(&self, number: u32) -> Option<&str> {
        let all = self.organisations.get_or_init(|| {
            let mut all = HashMap::new();
            self.databases.iter().for_each(|database| database.organisations(&mut all));
            all
        });
        all.get(&number).map(String::as_str)
    }

    /// Databases that were found to be damaged.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = &Path> {
        let damaged = self.databases.iter().filter(|one| one.is_damaged.load(Ordering::Relaxed));
        damaged.map(|database| &*database.path)
    }

    /// Whether they know autonomous systems.
    pub(crate) fn has_origins(&self) -> bool {
        const KINDS: [&str; 3] = ["ASN", "ISP", "Enterprise"];
        let mut kinds = self.databases.iter().map(|database| &database.reader.metadata().database_type);
        kinds.any(|kind| KINDS.iter().any(|word| kind.contains(word)))
    }

    fn first<'a, T>(&'a self, of: impl Fn(&'a Database) -> Option<T>) -> Option<T> {
        self.databases.iter().find_map(of)
    }
}

impl Database {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |reason: String| Failure::Failed {
            message: format!("can't read the database of places `{}`: {reason}", path.display()),
            hint: None,
        };
        let file = File::open(path).map_err(|error| failed(reason(&error)))?;
        let mut octets = Vec::new();
        let read = file.take(PLACES_BYTES_MAX + 1).read_to_end(&mut octets);
        read.map_err(|error| failed(reason(&error)))?;
        if octets.len() as u64 > PLACES_BYTES_MAX {
            return Err(failed(format!("it is longer than {PLACES_BYTES_MAX} octets")));
        }
        Self::of(path, octets)
    }

    fn of(path: &Path, octets: Vec<u8>) -> Result<Self, Failure> {
        let reader = Reader::from_source(octets).map_err(|_| Failure::Failed {
            message: format!("`{}` is no database of places", path.display()),
            hint: Some("`-G` takes files in MaxMind's format, `.mmdb`".into()),
        })?;
        Ok(Self { path: path.to_owned(), reader, is_damaged: AtomicBool::new(false) })
    }

    /// What it has of an address; nothing where it is damaged there, or knows only IPv4.
    fn found(&self, addr: Addr16) -> Option<LookupResult<'_, Vec<u8>>> {
        self.sound(self.reader.lookup(addr.to_ip()))
    }

    fn text(&self, addr: Addr16, path: &[&str]) -> Option<&str> {
        self.sound(self.found(addr)?.decode_path(&keys(path)))?
    }

    fn degrees(&self, addr: Addr16, name: &str) -> Option<f64> {
        self.sound(self.found(addr)?.decode_path(&keys(&["location", name])))?
    }

    fn origin(&self, addr: Addr16) -> Option<Origin<'_>> {
        let found = self.found(addr)?;
        let number = self.sound(found.decode_path::<u32>(&keys(&[NUMBER])))??;
        let organisation = self.sound(found.decode_path::<&str>(&keys(&[ORGANISATION]))).flatten();
        Some(Origin { number, organisation }).filter(|origin| origin.number > 0)
    }

    /// A result that is one. What has another form than is asked for is no damage.
    fn sound<T>(&self, result: Result<T, MaxMindDbError>) -> Option<T> {
        if let Err(MaxMindDbError::InvalidDatabase { .. } | MaxMindDbError::ResourceLimit { .. }) = result {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        result.ok()
    }

    /// Adds the organisations it names.
    fn organisations(&self, all: &mut HashMap<u32, String>) {
        let Ok(networks) = self.reader.networks(WithinOptions::default().include_networks_without_data())
        else {
            return;
        };
        // A sound tree has one network more than nodes; one that leads back has no end.
        let networks_max = self.reader.metadata().node_count as usize + 1;
        for network in networks.map_while(Result::ok).take(networks_max) {
            let Ok(Some(number)) = network.decode_path::<u32>(&keys(&[NUMBER])) else { continue };
            if all.contains_key(&number) {
                continue;
            }
            if let Ok(Some(name)) = network.decode_path::<&str>(&keys(&[ORGANISATION])) {
                all.insert(number, name.to_owned());
            }
        }
    }
}

/// What databases call an autonomous system, and whose it is.
const NUMBER: &str = "autonomous_system_number";
const ORGANISATION: &str = "autonomous_system_organization";

fn keys<'a>(path: &[&'a str]) -> Vec<PathElement<'a>> {
    path.iter().map(|key| PathElement::Key(key)).collect()
}

/// Columns of an autonomous system, and the address whose system it is.
pub(crate) const ORIGINS: [(ColumnId, ColumnId); 2] =
    [(ColumnId::SrcAs, ColumnId::SrcAddr), (ColumnId::DstAs, ColumnId::DstAddr)];

/// Which databases a question may use. They are read when they are first wanted.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// What `-G` says.
    named: Vec<PathBuf>,
    /// What `--config` says, whose file names databases where `-G` does not.
    config: Option<PathBuf>,
    opened: OnceLock<Option<Arc<Places>>>,
}

impl Chosen {
    pub(crate) fn new(named: &[PathBuf], config: Option<&Path>) -> Self {
        Self { named: named.to_vec(), config: config.map(Path::to_owned), opened: OnceLock::new() }
    }

    /// Whether `-G` names some.
    pub(crate) fn is_named(&self) -> bool {
        !self.named.is_empty() && !self.is_none()
    }

    fn is_none(&self) -> bool {
        matches!(&self.named[..], [only] if only.as_os_str() == NONE)
    }

    /// The databases, if they were wanted.
    pub(crate) fn opened(&self) -> Option<Arc<Places>> {
        self.opened.get().cloned().flatten()
    }

    /// The databases, if there are any.
    pub(crate) fn open(&self) -> Result<Option<Arc<Places>>, Failure> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened.clone());
        }
        let of_config = || Config::load(self.config.as_deref()).map(|config| config.geo);
        let paths = match (self.is_none(), &self.named[..]) {
            (true, _) => Vec::new(),
            (false, []) => of_config()?,
            (false, named) => named.to_vec(),
        };
        let places = if paths.is_empty() { None } else { Some(Arc::new(Places::open(&paths)?)) };
        Ok(self.opened.get_or_init(|| places).clone())
    }

    /// The databases that `what` needs.
    pub(crate) fn needed(&self, what: &str) -> Result<Arc<Places>, Failure> {
        self.open()?.ok_or_else(|| Failure::usage_hint(format!("{what} needs a database of places"), HINT))
    }
}

/// How a database is named.
const HINT: &str =
    "`-G FILE` names one in MaxMind's format, `geo = \"FILE\"` in flowdump.toml one for every question";

#[cfg(test)]
pub(crate) mod maker;

#[cfg(test)]
pub(crate) mod tests {
    use super::maker::{Item, database, place, system};
    use super::*;

    /// Cities and systems.
    pub(crate) fn some() -> Places {
        let registered =
            Item::Map(vec![("registered_country", Item::Map(vec![("iso_code", Item::Text("AT"))]))]);
        Places::of(vec![
            database(
                "Test-City",
                &[
                    ("192.0.2.0/25", place("EU", "CH", "Zurich")),
                    ("192.0.2.128/25", place("NA", "us", "")),
                    ("198.51.100.0/24", registered),
                    ("2001:db8:1::/48", place("EU", "DE", "")),
                ],
            ),
            database(
                "Test-ASN",
                &[
                    ("192.0.2.0/24", system(64_500, "Example, Inc.")),
                    ("2001:db8::/32", system(64_501, "Other")),
                ],
            ),
        ])
    }

    impl Places {
        fn of(all: Vec<Vec<u8>>) -> Self {
            let database = |octets| Database::of(Path::new("x.mmdb"), octets).unwrap();
            Self { databases: all.into_iter().map(database).collect(), organisations: OnceLock::new() }
        }
    }

    #[test]
    fn addresses_have_what_the_first_database_says_that_knows() {
        let places = some();
        assert!(places.has_origins());
        let check = |addr: &str, country: &str, location: &str, origin: &str| {
            let addr = Addr16::from(addr.parse::<std::net::IpAddr>().unwrap());
            let found = places.country(addr).map(|country| country.to_string()).unwrap_or_default();
            assert_eq!(found, country, "{addr}");
            assert_eq!(places.location(addr).unwrap_or_default(), location, "{addr}");
            let found =
                places.origin(addr).map(|one| format!("{} {}", one.number, one.organisation.unwrap()));
            assert_eq!(found.unwrap_or_default(), origin, "{addr}");
        };
        check("192.0.2.1", "CH", "EU/CH/Zurich long/lat: 8.5500/47.3667", "64500 Example, Inc.");
        check("192.0.2.129", "US", "NA/us/", "64500 Example, Inc.");
        check("198.51.100.7", "AT", "", "");
        check("2001:db8:1::7", "DE", "EU/DE/", "64501 Other");
        check("203.0.113.1", "", "", "");
        check("::1", "", "", "");
        assert_eq!(places.organisation(64_501), Some("Other"));
        assert_eq!(places.organisation(64_502), None);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.mmdb");
        let open = || match Places::open(std::slice::from_ref(&path)) {
            Err(failure) => failure.told().0.replace(&*directory.path().to_string_lossy(), "D"),
            Ok(places) => format!("{places:?}"),
        };
        assert_eq!(open(), "can't read the database of places `D/x.mmdb`: no such file or directory");
        for octets in [&b""[..], b"x", b"\xab\xcd\xefMaxMind.com", &[0; 4096]] {
            std::fs::write(&path, octets).unwrap();
            assert_eq!(open(), "`D/x.mmdb` is no database of places");
        }
    }

    /// Wherever an octet is another one, there is an answer or none.
    #[test]
    fn damage_ends_nothing() {
        let whole = database("Test-City", &[("192.0.2.0/24", place("EU", "CH", "Zurich"))]);
        for at in 0..whole.len() {
            for octet in [0, 0x7f, 0xff, whole[at] ^ 0x20] {
                let mut damaged = whole.clone();
                damaged[at] = octet;
                let Ok(database) = Database::of(Path::new("x.mmdb"), damaged) else { continue };
                let places = Places { databases: vec![database], organisations: OnceLock::new() };
                for addr in [[192, 0, 2, 1], [10, 0, 0, 1]].map(Addr16::from_v4) {
                    let _ = (places.country(addr), places.location(addr), places.origin(addr));
                }
                let _ = places.organisation(1);
            }
        }
    }
}
