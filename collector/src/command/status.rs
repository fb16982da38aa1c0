//! `flowcapd status`: asks the collector that runs, and says it in words.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_common::limits;
use flow_common::usage::neutral;

use super::Failure;
use crate::cli::Args;
use crate::config::Config;
use crate::http::local;
use crate::status::{Status, words};

/// Where a collector answers.
#[derive(Debug, Clone)]
enum Place {
    Directory(PathBuf),
    Http(SocketAddr),
}

/// What the collector says.
pub(super) fn status(args: Args, is_json: bool) -> Result<String, Failure> {
    let is_http_typed = args.typed.iter().any(|flag| flag == "http");
    let Config { root, http, .. } = Config::try_from(args)?;
    let mut places = vec![Place::Directory(root)];
    match http {
        Some(addr) if is_http_typed => places = vec![Place::Http(addr)],
        Some(addr) => places.push(Place::Http(addr)),
        None => {}
    }
    let json = ask(&places)?;
    if is_json {
        return Ok(json);
    }
    let status: Status = serde_json::from_str(&json)
        .map_err(|error| Failure::new(1, format!("the answer is not a status: {error}"), None))?;
    Ok(words(&status))
}

/// The answer of the first that gives one; else why the first did not.
fn ask(places: &[Place]) -> Result<String, Failure> {
    let mut failure = None;
    for place in places {
        match place.ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => failure = failure.or(Some(place.failure(&error))),
        }
    }
    Err(failure.unwrap_or_else(|| Failure::new(1, "there is no collector to ask", None)))
}

impl Place {
    fn ask(&self) -> io::Result<String> {
        let patience = Some(Duration::from_secs(limits::STATUS_SECS_MAX));
        match self {
            Self::Directory(root) => {
                let stream = local::connect(root)?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(patience)?;
                get_status(stream)
            }
            Self::Http(addr) => {
                let stream = TcpStream::connect_timeout(addr, Duration::from_secs(limits::STATUS_SECS_MAX))?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(patience)?;
                get_status(stream)
            }
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let elsewhere = "say where it writes by `-w`, `-M` or `-c`, or where it serves HTTP by `--http`";
        match (self, error.kind()) {
            (Self::Directory(root), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Failure::new(1, format!("no collector writes to `{}`", shown(root)), elsewhere.to_owned())
            }
            (Self::Directory(root), io::ErrorKind::PermissionDenied) => {
                let message = format!("the collector that writes to `{}` may not be asked", shown(root));
                Failure::new(1, message, "only its user and root may".to_owned())
            }
            (Self::Directory(root), _) => {
                let message =
                    format!("the collector that writes to `{}` does not answer: {error}", shown(root));
                Failure::new(1, message, None)
            }
            (Self::Http(addr), _) => {
                Failure::new(1, format!("no collector answers on {addr}: {error}"), elsewhere.to_owned())
            }
        }
    }
}

fn shown(path: &Path) -> String {
    neutral(&path.display().to_string())
}

/// Asks for the status, once.
fn get_status(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(limits::STATUS_BYTES_MAX).read_to_string(&mut answer)?;
    body(&answer).map(ToOwned::to_owned).ok_or_else(|| {
        let first = answer.lines().next().unwrap_or("nothing").chars().take(80).collect::<String>();
        io::Error::other(format!("it says `{}`", neutral(&first)))
    })
}

/// The body of an answer that is one.
fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?;
    (head.starts_with("HTTP/1.") && status == "200").then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), Some("{}"));
        assert_eq!(body("HTTP/1.1 503 no\r\n\r\n{}"), None);
        assert_eq!(body("SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(body("HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(body(""), None);
    }
}
