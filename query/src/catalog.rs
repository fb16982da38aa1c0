//! Which files a question is about. Names alone: nothing is opened here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flow_common::layout::EXTENSION;

use crate::message::{Failure, reason};

/// Directories below the one asked for. Hierarchies have five levels at most; a
/// loop of symbolic links ends here.
const DEPTH_MAX: usize = 32;

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `./flows`, because nothing was said.
    Default,
    /// One file, or all below a directory.
    Path(PathBuf),
    /// `first:last`, `first` alone (to the end), or a directory.
    Sequence(String),
}

/// Root of the tree without `-r` and `-R`.
pub(crate) const DEFAULT_ROOT: &str = "flows";

/// The files of `source`, sorted by path: with our layout, by time.
pub(crate) fn list(source: &Source) -> Result<Vec<PathBuf>, Failure> {
    match source {
        Source::Default => {
            let root = Path::new(DEFAULT_ROOT);
            if !root.exists() {
                return Err(Failure::Failed {
                    message: format!("no directory `./{DEFAULT_ROOT}` to read"),
                    hint: Some("start `flowcapd` here to fill it, or name files with `-r FILE|DIR`".into()),
                });
            }
            all_below(root)
        }
        Source::Path(path) => one_or_all(path),
        Source::Sequence(text) => sequence(text),
    }
}

fn one_or_all(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let metadata = fs::metadata(path).map_err(|error| cant_read(path, &error))?;
    if metadata.is_dir() { all_below(path) } else { Ok(vec![path.to_owned()]) }
}

/// nfdump's `-R`: both ends included, in the order of paths.
fn sequence(text: &str) -> Result<Vec<PathBuf>, Failure> {
    let (first, last) = match text.split_once(':') {
        Some((first, last)) if !Path::new(text).exists() => (Path::new(first), Some(Path::new(last))),
        _ => (Path::new(text), None),
    };
    let metadata = fs::metadata(first).map_err(|error| cant_read(first, &error))?;
    let Some(last) = last else {
        if metadata.is_dir() {
            return all_below(first);
        }
        let files = all_below(root_of(first))?;
        return Ok(files.into_iter().filter(|path| plain(path) >= plain(first)).collect());
    };
    let base = first.ancestors().skip(1).find(|base| base.join(last).exists());
    let Some(base) = base else {
        return Err(cant_read(last, &io::ErrorKind::NotFound.into()));
    };
    let last = base.join(last);
    let files = all_below(if base.as_os_str().is_empty() { Path::new(".") } else { base })?;
    let (low, high) = (plain(first), plain(&last));
    let is_inside = |path: &Path| {
        let path = plain(path);
        low <= path && (path <= high || path.starts_with(high))
    };
    Ok(files.into_iter().filter(|path| is_inside(path)).collect())
}

/// `path` without a leading `.`, so that two spellings compare equal.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// The root of the tree a file lies in: its directory, or above `date=…/hour=…`.
fn root_of(file: &Path) -> &Path {
    let is_level = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hour=") || name.starts_with("date=")
    };
    let above = file.ancestors().skip(1).find(|path| !is_level(path));
    above.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Every visible file below `root`, sorted.
fn all_below(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    collect(root, DEPTH_MAX, &mut files).map_err(|(path, error)| cant_read(&path, &error))?;
    files.sort();
    Ok(files)
}

fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (directory.to_owned(), error);
    for entry in fs::read_dir(directory).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            continue;
        }
        // An entry that vanished meanwhile was retired: it is not there.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if metadata.is_file() && path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    Ok(())
}

fn cant_read(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed { message: format!("can't read `{}`: {}", path.display(), reason(error)), hint: None }
}
