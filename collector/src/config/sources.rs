//! Flags and tables about sources → whose rows go to which tree.

use std::collections::HashMap;
use std::path::PathBuf;

use flow_common::limits;
use ipnet::IpNet;

use super::{UsageError, prefix};
use crate::trees::{NamedSource, Others, Tree, Trees, place};

const HINT: &str = "a source has a name, addresses and a directory: `-n edge1,192.0.2.1,/var/flows/edge1`";

/// nfcapd's `-n IDENT,ADDR[;ADDR…],DIR`.
pub(super) fn source(text: &str) -> Result<NamedSource, UsageError> {
    let mut parts = text.splitn(3, ',').map(str::trim);
    let (Some(ident), Some(addresses), Some(directory)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(UsageError::new(format!("`{text}` is not `IDENT,ADDR,DIR`"), HINT));
    };
    let prefixes = addresses.split(';').map(source_prefix).collect::<Result<_, _>>()?;
    named(ident, prefixes, directory)
}

/// An address of a source, or a prefix of them.
pub(super) fn source_prefix(text: &str) -> Result<IpNet, UsageError> {
    prefix(text.trim()).map_err(|error| {
        let hint = "`192.0.2.1` and `2001:db8::/32` are; names are not looked up";
        UsageError { hint: hint.to_owned(), ..error }
    })
}

/// A source, its parts checked.
pub(super) fn named(ident: &str, prefixes: Vec<IpNet>, directory: &str) -> Result<NamedSource, UsageError> {
    for (part, is_empty) in
        [("ident", ident.is_empty()), ("address", prefixes.is_empty()), ("directory", directory.is_empty())]
    {
        if is_empty {
            return Err(UsageError::new(format!("the source has no {part}"), HINT));
        }
    }
    let tree = Tree { root: PathBuf::from(directory), ident: ident.to_owned() };
    Ok(NamedSource { prefixes, tree })
}

/// The collector's own tree, and those of sources. Without `-w` and `-M` whoever is
/// no source is rejected, and the journal lies in the directory of the first.
pub(super) fn trees(
    write_dir: Option<PathBuf>,
    sources_dir: Option<PathBuf>,
    ident: String,
    sources: Vec<NamedSource>,
    default: &Tree,
) -> Result<(Tree, Trees), UsageError> {
    if sources.len() > limits::SOURCES_MAX {
        let message = format!("more than {} sources", limits::SOURCES_MAX);
        return Err(UsageError::new(message, "`-M DIR` gives each exporter a directory of its own"));
    }
    let (root, others) = match (write_dir, sources_dir, sources.first()) {
        (Some(_), Some(_), _) => {
            return Err(UsageError::new(
                "`-M` gives every exporter a directory of its own, so nothing is left for `-w`",
                "leave out `-w`; `-n` may stand beside `-M`",
            ));
        }
        (Some(root), None, _) => (root, Others::Home),
        (None, Some(root), _) => (root, Others::Apart),
        (None, None, Some(first)) => (first.tree.root.clone(), Others::Rejected),
        (None, None, None) => (default.root.clone(), Others::Home),
    };
    let home = Tree { root, ident };
    let mut known = HashMap::new();
    if others == Others::Home {
        known.insert(place(&home.root), &home.ident);
    }
    for Tree { root, ident } in sources.iter().map(|source| &source.tree) {
        let before = *known.entry(place(root)).or_insert(ident);
        if before != ident {
            return Err(UsageError::new(
                format!("`{}` would be the directory of `{before}` and of `{ident}`", root.display()),
                "every name has a directory of its own; one name may have several addresses",
            ));
        }
    }
    Ok((home, Trees { sources, others }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::cli;
    use crate::config::Config;

    /// Home, what becomes of others, and the sources; or what is wrong.
    #[track_caller]
    fn check(args: &[&str], expected: Result<&str, &str>) {
        let (args, _) = cli::parse(["flowcapd"].iter().chain(args)).unwrap();
        let found = Config::try_from(args).map(|config| {
            let sources = config.trees.sources.iter().map(|source| {
                let prefixes = source.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>();
                format!("; {} {} {}", source.tree.ident, prefixes.join(" "), source.tree.root.display())
            });
            let sources: String = sources.collect();
            format!("{} {} {:?}{sources}", config.root.display(), config.ident, config.trees.others)
        });
        assert_eq!(found.as_deref().map_err(ToString::to_string), expected.map_err(ToOwned::to_owned));
    }

    #[test]
    fn sources_have_trees_of_their_own() {
        check(&[], Ok("flows none Home"));
        check(&["-M", "m", "-I", "x"], Ok("m x Apart"));
        check(&["-n", "a,192.0.2.1,d/a"], Ok("d/a none Rejected; a 192.0.2.1/32 d/a"));
        check(
            &["-n", "a,192.0.2.1;2001:db8::/32,d,e"],
            Ok("d,e none Rejected; a 192.0.2.1/32 2001:db8::/32 d,e"),
        );
        check(
            &["-n", "a,192.0.2.1,d", "-n", "b, 192.0.2.0/24, e", "-w", "f"],
            Ok("f none Home; a 192.0.2.1/32 d; b 192.0.2.0/24 e"),
        );
        check(
            &["-n", "a,::1,d", "-n", "a,::2,./d/", "-M", "m"],
            Ok("m none Apart; a ::1/128 d; a ::2/128 ./d/"),
        );
        check(&["-n", "a,::1"], Err("`a,::1` is not `IDENT,ADDR,DIR`"));
        check(&["-n", ",::1,d"], Err("the source has no ident"));
        check(&["-n", "a,::1,"], Err("the source has no directory"));
        check(&["-n", "a,router1,d"], Err("`router1` is neither an address nor a prefix"));
        check(&["-n", "a,::1,d", "-n", "b,::2,./d"], Err("`./d` would be the directory of `a` and of `b`"));
        check(&["-n", "a,::1,d", "-w", "d"], Err("`d` would be the directory of `none` and of `a`"));
        check(
            &["-w", "d", "-M", "m"],
            Err("`-M` gives every exporter a directory of its own, so nothing is left for `-w`"),
        );
    }

    #[test]
    fn a_file_names_sources_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            "sources-dir = 'm'\n[[source]]\nident = 'a'\nprefix = ['::1', '192.0.2.0/24']\ndirectory = 'd'";
        fs::write(&file, text).unwrap();
        let path = file.path().to_str().unwrap();
        check(&["-c", path], Ok("m none Apart; a ::1/128 192.0.2.0/24 d"));
        check(&["-c", path, "-n", "b,::2,e", "-M", "n"], Ok("n none Apart; b ::2/128 e"));
    }
}
