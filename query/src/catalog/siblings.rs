//! nfdump's `-M`: the same files in several directories that lie side by side.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flow_common::limits::SIBLINGS_MAX;
use flow_common::time::Timestamp;

use super::{Listing, Source, base, cant_read, ends};
use crate::message::Failure;

/// What `source` means in each of `directories`: the first with its path, the others by
/// their names beside it, parted by colons.
pub(crate) fn siblings(directories: &str, source: &Source) -> Result<Source, Failure> {
    let mut names = directories.split(':');
    let first = Path::new(names.next().unwrap_or_default());
    let beside = first.parent().unwrap_or(Path::new(""));
    let refused =
        |message: String| Err(Failure::usage_hint(message, "for example `-M /var/flows/east:west:north`"));
    let mut all = vec![first.to_owned()];
    for name in names {
        // What `..` lies in only the file system knows, and `/` lies in nothing.
        if first.file_name().is_none() {
            let message = format!("`{}` in `-M {directories}` ends in no name", first.display());
            return refused(format!("{message}, so none can be beside it"));
        }
        let is_name = Path::new(name).file_name().is_some_and(|only| only == name);
        if !is_name {
            return refused(format!("`{name}` in `-M {directories}` is no directory beside the first"));
        }
        all.push(beside.join(name));
    }
    if all.len() > SIBLINGS_MAX {
        let message = format!("`-M` names {} directories, more than {SIBLINGS_MAX}", all.len());
        return Err(Failure::usage_hint(message, "`-r` reads all that lies below a directory"));
    }
    all.into_iter()
        .map(|directory| within(&directory, source))
        .collect::<Result<_, _>>()
        .map(Source::Siblings)
}

fn within(directory: &Path, source: &Source) -> Result<Source, Failure> {
    let absolute = |option: &str, path: &Path| {
        let message = format!("`{option} {}` can't lie in the directories of `-M`", path.display());
        Failure::usage_hint(
            message,
            "a name in each of them, for example `-M flows/east:west -r date=2026-11-21`",
        )
    };
    match source {
        Source::Path(path) if path.is_absolute() => Err(absolute("-r", path)),
        Source::Path(path) => Ok(Source::Path(directory.join(path))),
        Source::Sequence(text) if Path::new(text).is_absolute() => Err(absolute("-R", Path::new(text))),
        Source::Sequence(text) => match directory.join(text).to_str() {
            Some(text) => Ok(Source::Sequence(text.to_owned())),
            None => Err(Failure::usage("the directories of `-M` are not valid UTF-8")),
        },
        Source::Default | Source::Siblings(_) => Ok(Source::Path(directory.to_owned())),
    }
}

/// The files of all sources, one after another. What is missing in some is named with the
/// answer, and what is there twice is read once.
pub(super) fn list(sources: &[Source], now: Timestamp) -> Result<Listing, Failure> {
    let mut all = Listing::default();
    let mut known = HashSet::new();
    let mut n_found = 0;
    for source in sources {
        match place(source) {
            Ok(place) if !known.insert(place) => continue,
            Ok(_) => {
                let Listing { files, errors } = super::list(source, now)?;
                all.files.extend(files);
                all.errors.extend(errors);
                n_found += 1;
            }
            Err(missing) => all.errors.push(missing),
        }
    }
    match all.errors.first() {
        Some((path, error)) if n_found == 0 => Err(cant_read(path, error)),
        _ => Ok(all),
    }
}

/// Device and inode of where a source begins, which tells it from others.
fn place(source: &Source) -> Result<(u64, u64), (PathBuf, io::Error)> {
    let of = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
        Err(error) => Err((path.to_owned(), error)),
    };
    match source {
        Source::Sequence(text) => {
            let (first, last) = ends(text);
            let place = of(first)?;
            match last.filter(|last| base(first, last).is_none()) {
                Some(last) => Err((first.with_file_name(last), io::ErrorKind::NotFound.into())),
                None => Ok(place),
            }
        }
        Source::Path(path) => of(path),
        Source::Default | Source::Siblings(_) => of(Path::new(super::DEFAULT_ROOT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(directories: &str, source: &Source, expected: Result<&[&str], &str>) {
        let found = siblings(directories, source);
        let shown = |source: &Source| match source {
            Source::Path(path) => path.display().to_string(),
            Source::Sequence(text) => text.clone(),
            other => format!("{other:?}"),
        };
        let found = match &found {
            Ok(Source::Siblings(all)) => Ok(all.iter().map(shown).collect::<Vec<_>>()),
            Ok(other) => Ok(vec![shown(other)]),
            Err(Failure::Usage { message, .. }) => Err(message.as_str()),
            Err(_) => Err("another failure"),
        };
        assert_eq!(found, expected.map(|all| all.iter().map(|&one| one.to_owned()).collect()));
    }

    #[test]
    fn a_name_is_looked_for_beside_the_first_directory() {
        check("/var/a:b:c", &Source::Default, Ok(&["/var/a", "/var/b", "/var/c"]));
        check("a:b/", &Source::Default, Err("`b/` in `-M a:b/` is no directory beside the first"));
        check("a:b", &Source::Path("x.parquet".into()), Ok(&["a/x.parquet", "b/x.parquet"]));
        check("./a/:b", &Source::Sequence("1:2".into()), Ok(&["./a/1:2", "./b/1:2"]));
        check("a:../b", &Source::Default, Err("`../b` in `-M a:../b` is no directory beside the first"));
        check("a::b", &Source::Default, Err("`` in `-M a::b` is no directory beside the first"));
        check("a", &Source::Path("/x".into()), Err("`-r /x` can't lie in the directories of `-M`"));
        check("a", &Source::Sequence("/x:y".into()), Err("`-R /x:y` can't lie in the directories of `-M`"));
    }

    #[test]
    fn nothing_is_beside_a_directory_without_a_name() {
        for first in ["/", "..", ".", "a/..", ""] {
            let directories = format!("{first}:east");
            let expected =
                format!("`{first}` in `-M {directories}` ends in no name, so none can be beside it");
            check(&directories, &Source::Default, Err(&expected));
        }
        check("/", &Source::Default, Ok(&["/"]));
        check("..", &Source::Path("x".into()), Ok(&["../x"]));
        check("../a:b", &Source::Default, Ok(&["../a", "../b"]));
    }
}
