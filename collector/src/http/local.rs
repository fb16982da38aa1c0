//! The socket of `flowcapd status`: HTTP for whoever may write where the collector
//! writes, without a port.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use flow_common::layout::STATE_DIR;
use flow_common::limits;
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

const NAME: &str = "status.sock";

/// Octets of a path that the address of a socket holds (unix(7)), the last one 0.
const PATH_BYTES: usize = 108;

/// The bound socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    listener: UnixListener,
    directory: PathBuf,
}

impl LocalSocket {
    /// Binds it below `root`. One that a collector left behind when it was killed is
    /// replaced, one that answers is not.
    pub(crate) fn bind(root: &Path) -> io::Result<Self> {
        let directory = root.join(STATE_DIR);
        fs::create_dir_all(&directory)?;
        if connect(root).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another flowcapd answers there"));
        }
        match fs::remove_file(directory.join(NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        // Before it is bound, so that its file never has another mode.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
        with_path(&directory, |path| socket.bind(&SockAddr::unix(path)?))?;
        let local = Self { listener: socket.into(), directory };
        SockRef::from(&local.listener).listen(limits::LISTEN_BACKLOG)?;
        Ok(local)
    }

    /// The socket, to accept on.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.directory.join(NAME));
        // Only if nothing else was ever there.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// Connects to the collector that writes below `root`.
pub(crate) fn connect(root: &Path) -> io::Result<UnixStream> {
    with_path(&root.join(STATE_DIR), |path| UnixStream::connect(path))
}

/// Does something with the path of the socket, or with a shorter one to the same file.
fn with_path<T>(directory: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = directory.join(NAME);
    if path.as_os_str().len() < PATH_BYTES {
        return act(&path);
    }
    let directory = File::open(directory)?;
    act(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(NAME))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_socket_is_its_owners_and_goes_when_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("long".repeat(40));
        for root in [root.path(), &long] {
            fs::create_dir_all(root).unwrap();
            assert!(connect(root).is_err(), "nobody is there");
            let path = root.join(STATE_DIR).join(NAME);
            let local = LocalSocket::bind(root).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            connect(root).unwrap();
            assert_eq!(LocalSocket::bind(root).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            connect(root).unwrap();
            drop(local);
            assert!(!root.join(STATE_DIR).exists());
        }
        // A collector that was killed leaves it behind.
        let path = root.path().join(STATE_DIR).join(NAME);
        fs::create_dir(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _local = LocalSocket::bind(root.path()).unwrap();
        connect(root.path()).unwrap();
    }
}
