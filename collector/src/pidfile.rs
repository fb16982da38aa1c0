//! The file with the number of the running process (`-P`).
//!
//! It is locked as long as the process runs, so one that a crash left behind holds
//! nobody up, and two that start at once can't both have it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::user::User;

/// The file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another process has it.
    #[error("`{path}` belongs to the running process {pid}", path = path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What it says.
        pid: i32,
    },
    /// It can't be opened or written.
    #[error("cannot write `{path}`: {source}", path = path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PidFileError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Held { .. } => "stop that one first, or choose another file with `-P FILE`",
            Self::Failed { .. } => "choose a file you may write with `-P FILE`",
        }
    }
}

/// An open pid file; removed when it is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: Flock<File>,
}

impl PidFile {
    /// Opens and locks the file, and gives it to `owner`; its content comes later.
    pub fn open(path: &Path, owner: Option<&User>) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError::Failed { path: path.to_owned(), source };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)
                .map_err(failed)?;
            let pid = read_pid(&mut file);
            let held = |pid| PidFileError::Held { path: path.to_owned(), pid };
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => return Err(held(pid.unwrap_or(0))),
                Err((_, error)) => return Err(failed(error.into())),
            };
            // Programs that do not lock it, such as nfcapd, say it with their number alone.
            if let Some(pid) = pid.filter(|&pid| is_running(pid)) {
                return Err(held(pid));
            }
            if let Some(user) = owner {
                fchown(&*file, Some(user.uid), Some(user.gid)).map_err(failed)?;
            }
            // Whoever held it may have removed it meanwhile.
            let is_same = |other: fs::Metadata| {
                file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (other.dev(), other.ino()))
            };
            if fs::metadata(path).is_ok_and(is_same) {
                return Ok(Self { path: path.to_owned(), file });
            }
        }
    }

    /// Writes the number of this process.
    pub fn write(&mut self) -> Result<(), PidFileError> {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut self.file).map_err(|source| PidFileError::Failed { path: self.path.clone(), source })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // After `-u` the directory may be another's: an empty file names nobody.
        if fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

fn read_pid(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 0)
}

/// Whether another process has this number.
fn is_running(pid: i32) -> bool {
    pid.cast_unsigned() != std::process::id() && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn it_is_there_while_the_process_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let mut file = PidFile::open(&path, None).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "not started yet");
        file.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        let error = PidFile::open(&path, None).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("belongs to the running process {}", std::process::id())),
            "{error}"
        );
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_taken_over_and_one_of_a_live_process_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        fs::write(&path, format!("{pid}\n")).unwrap();
        let error = PidFile::open(&path, None).unwrap_err();
        assert!(
            matches!(error, PidFileError::Held { pid: held, .. } if held.cast_unsigned() == pid),
            "{error}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        for content in
            [format!("{pid} and more than that\n"), "-1".to_owned(), "x".repeat(100), format!("{pid}")]
        {
            fs::write(&path, content).unwrap();
            let mut file = PidFile::open(&path, None).unwrap();
            file.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        }
        assert!(PidFile::open(&directory.path().join("missing/pid"), None).is_err());
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(PidFile::open(&path, None).is_err(), "a link may lead anywhere");
    }
}
