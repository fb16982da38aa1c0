//! Trees of files: which exporter's rows go to which (`-n`, `-M`).
//!
//! [`Trees`] is what the configuration says, [`Routes`] what it means for one
//! exporter after the other. Nothing is created here.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flow_common::limits;
use ipnet::IpNet;

use crate::hash::HashMap;

/// A directory with files, and the name written into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Root of the tree.
    pub root: PathBuf,
    /// Name written into its files.
    pub ident: String,
}

/// Exporters with a tree of their own (`-n`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSource {
    /// Where they send from.
    pub prefixes: Vec<IpNet>,
    /// Where their rows go.
    pub tree: Tree,
}

/// What becomes of the exporters that no [`NamedSource`] names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Others {
    /// All go to the collector's own tree.
    #[default]
    Home,
    /// Each has a directory of its own below the collector's root (`-M`).
    Apart,
    /// They are rejected.
    Rejected,
}

/// Whose rows go where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trees {
    /// The first that matches is taken.
    pub sources: Vec<NamedSource>,
    /// All others.
    pub others: Others,
}

/// One tree among those of a [`Routes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeId(u16);

impl TreeId {
    /// No tree yet: that of an exporter before anything of it made sense.
    pub(crate) const NONE: Self = Self(u16::MAX);
}

/// Name of the directory of what came from more exporters than may have their own.
const OVERFLOW_NAME: &str = "other";

/// Finds the tree of an exporter.
#[derive(Debug)]
pub struct Routes {
    trees: Vec<Tree>,
    /// The prefixes of each source and its tree, in order.
    rules: Vec<(Vec<IpNet>, TreeId)>,
    others: Others,
    home: Tree,
    /// Each directory is one tree.
    places: HashMap<PathBuf, TreeId>,
    /// Exporters with a directory of their own.
    apart: HashMap<IpAddr, TreeId>,
    /// The tree of what came from more of them than may be.
    overflow: Option<TreeId>,
    /// Exporters asked for before.
    known: HashMap<IpAddr, Option<TreeId>>,
}

impl Routes {
    /// The routes of `trees`, where `home` is the collector's own tree and
    /// `directories` are the names of those that lie in its root: exporters seen in an
    /// earlier run keep theirs.
    pub fn new<'a>(home: Tree, trees: &Trees, directories: impl IntoIterator<Item = &'a str>) -> Self {
        let mut routes = Self {
            trees: Vec::new(),
            rules: Vec::new(),
            others: trees.others,
            home,
            places: HashMap::default(),
            apart: HashMap::default(),
            overflow: None,
            known: HashMap::default(),
        };
        if routes.others == Others::Home {
            routes.tree_id(routes.home.clone());
        }
        for source in &trees.sources {
            let id = routes.tree_id(source.tree.clone());
            routes.rules.push((source.prefixes.clone(), id));
        }
        if routes.others == Others::Apart {
            for exporter in directories.into_iter().filter_map(exporter_of) {
                routes.apart(exporter);
            }
        }
        routes
    }

    /// Whether an exporter is about to get a directory of its own.
    pub fn is_new(&self, exporter: IpAddr) -> bool {
        let exporter = exporter.to_canonical();
        self.others == Others::Apart
            && !self.known.contains_key(&exporter)
            && !self.apart.contains_key(&exporter)
            && self.apart.len() < limits::TREES_APART_MAX
            && !self
                .rules
                .iter()
                .any(|(prefixes, _)| prefixes.iter().any(|prefix| prefix.contains(&exporter)))
    }

    /// Where the rows of an exporter go; `None` rejects it. Ask for exporters whose
    /// datagrams made sense only: with [`Others::Apart`] each new one gets a directory.
    pub fn tree_of(&mut self, exporter: IpAddr) -> Option<TreeId> {
        let exporter = exporter.to_canonical();
        if let Some(&known) = self.known.get(&exporter) {
            return known;
        }
        let is_in = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&exporter));
        let named = self.rules.iter().find(|(prefixes, _)| is_in(prefixes)).map(|&(_, id)| id);
        let found = named.or_else(|| match self.others {
            Others::Home => Some(TreeId(0)),
            Others::Apart => Some(self.apart(exporter)),
            Others::Rejected => None,
        });
        if self.known.len() >= limits::ROUTES_KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(exporter, found);
        found
    }

    /// The tree an id stands for.
    pub fn tree(&self, id: TreeId) -> &Tree {
        &self.trees[usize::from(id.0)]
    }

    /// All trees there are so far; their number only grows.
    pub fn iter(&self) -> impl Iterator<Item = (TreeId, &Tree)> {
        self.trees.iter().enumerate().map(|(index, tree)| (TreeId(index as u16), tree))
    }

    /// The tree of an exporter without a source; beyond the bound all share one.
    fn apart(&mut self, exporter: IpAddr) -> TreeId {
        if let Some(&id) = self.apart.get(&exporter) {
            return id;
        }
        if self.apart.len() >= limits::TREES_APART_MAX {
            let id = self.overflow.unwrap_or_else(|| self.tree_id(self.below_home(OVERFLOW_NAME.to_owned())));
            self.overflow = Some(id);
            return id;
        }
        let id = self.tree_id(self.below_home(directory_of(exporter)));
        self.apart.insert(exporter, id);
        id
    }

    fn below_home(&self, name: String) -> Tree {
        Tree { root: self.home.root.join(&name), ident: name }
    }

    /// The tree at this place; a new one where there is none.
    fn tree_id(&mut self, tree: Tree) -> TreeId {
        let next = TreeId(self.trees.len() as u16);
        let id = *self.places.entry(place(&tree.root)).or_insert(next);
        if id == next {
            self.trees.push(tree);
        }
        id
    }
}

/// A directory as far as its text tells: `./a`, `a/` and `a` are one.
pub(crate) fn place(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// nfcapd's name for the directory of an exporter.
fn directory_of(exporter: IpAddr) -> String {
    exporter.to_string().replace(['.', ':'], "-")
}

/// The exporter whose directory is called so.
fn exporter_of(directory: &str) -> Option<IpAddr> {
    let read = |separator| directory.replace('-', separator).parse::<IpAddr>().ok();
    let exporter = read(".").or_else(|| read(":"))?;
    (directory_of(exporter) == directory).then_some(exporter)
}

const _: () = assert!(
    limits::SOURCES_MAX + limits::TREES_APART_MAX + 2 <= u16::MAX as usize,
    "every tree has an id: home, sources, those apart, the one for the rest"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &str, ident: &str) -> Tree {
        Tree { root: root.into(), ident: ident.to_owned() }
    }

    fn source(ident: &str, prefixes: &[&str], root: &str) -> NamedSource {
        let prefixes = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        NamedSource { prefixes, tree: tree(root, ident) }
    }

    #[track_caller]
    fn check(routes: &mut Routes, exporter: &str, expected: &str) {
        let found = routes.tree_of(exporter.parse().unwrap());
        // Asked again it is the same.
        assert_eq!(routes.tree_of(exporter.parse().unwrap()), found);
        let text = found.map(|id| {
            let Tree { root, ident } = routes.tree(id);
            format!("{} {ident}", root.display())
        });
        assert_eq!(text.as_deref().unwrap_or("rejected"), expected, "{exporter}");
    }

    fn sources() -> Vec<NamedSource> {
        vec![
            source("core", &["192.0.2.1/32", "2001:db8:1::/48"], "flows/core"),
            source("lab", &["192.0.2.0/24"], "/lab"),
            source("core", &["198.51.100.7/32"], "./flows/core"),
        ]
    }

    #[test]
    fn the_first_source_that_matches_is_taken() {
        for (others, expected) in [
            (Others::Home, "flows none"),
            (Others::Apart, "flows/203-0-113-9 203-0-113-9"),
            (Others::Rejected, "rejected"),
        ] {
            let trees = Trees { sources: sources(), others };
            let mut routes = Routes::new(tree("flows", "none"), &trees, []);
            check(&mut routes, "192.0.2.1", "flows/core core");
            check(&mut routes, "::ffff:192.0.2.1", "flows/core core");
            check(&mut routes, "2001:db8:1::9", "flows/core core");
            check(&mut routes, "192.0.2.2", "/lab lab");
            check(&mut routes, "198.51.100.7", "flows/core core");
            check(&mut routes, "203.0.113.9", expected);
            let n_trees = if others == Others::Rejected { 2 } else { 3 };
            assert_eq!(routes.iter().count(), n_trees, "one directory is one tree");
        }
    }

    #[test]
    fn directories_apart_are_named_as_by_nfcapd() {
        let trees = Trees { others: Others::Apart, ..Trees::default() };
        let mut routes = Routes::new(tree("m", "x"), &trees, []);
        for (exporter, name) in [
            ("127.0.0.2", "127-0-0-2"),
            ("2001:db8::1", "2001-db8--1"),
            ("::1", "--1"),
            ("::ffff:127.0.0.2", "127-0-0-2"),
        ] {
            check(&mut routes, exporter, &format!("m/{name} {name}"));
            assert_eq!(exporter_of(name), Some(exporter.parse::<IpAddr>().unwrap().to_canonical()));
        }
        for name in ["other", "127-0-0", "127.0.0.2", "127-0-0-02", "2001-DB8--1", "date=2026-11-21", ""] {
            assert_eq!(exporter_of(name), None, "{name}");
        }
    }

    #[test]
    fn beyond_the_bound_exporters_share_a_directory_and_those_known_keep_theirs() {
        let exporter = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let n_max = limits::TREES_APART_MAX as u32;
        let trees = Trees { others: Others::Apart, ..Trees::default() };
        let mut routes = Routes::new(tree("m", "x"), &trees, ["10-0-255-255", "other", "lost+found"]);
        for n in 0..n_max - 1 {
            let name = directory_of(exporter(n));
            check(&mut routes, &exporter(n).to_string(), &format!("m/{name} {name}"));
        }
        let n_forged = limits::ROUTES_KNOWN_MAX as u32;
        for n in n_max..n_max + n_forged {
            check(&mut routes, &exporter(n + 0x0010_0000).to_string(), "m/other other");
        }
        check(&mut routes, "10.0.255.255", "m/10-0-255-255 10-0-255-255");
        check(&mut routes, "10.0.0.0", "m/10-0-0-0 10-0-0-0");
        assert_eq!(routes.iter().count() as u32, n_max + 1);
        assert!(routes.known.len() <= limits::ROUTES_KNOWN_MAX);
    }
}
