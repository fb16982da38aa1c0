//! nfcapd's `-R HOST[/PORT]`.

use std::net::IpAddr;

use flow_common::limits;

use super::UsageError;
use crate::repeat::Destination;

/// The collectors that datagrams are repeated to.
pub(super) fn destinations(texts: &[String]) -> Result<Vec<Destination>, UsageError> {
    if texts.len() > limits::DESTINATIONS_MAX {
        let message = format!("more than {} collectors to repeat to", limits::DESTINATIONS_MAX);
        return Err(UsageError::new(message, "one of them can repeat to others"));
    }
    texts.iter().map(|text| destination(text)).collect()
}

/// One of them.
pub(super) fn destination(text: &str) -> Result<Destination, UsageError> {
    let (host, port) = match text.split_once('/') {
        Some((host, port)) => (host, port.parse().ok().filter(|&port| port > 0)),
        None => (text, Some(limits::REPEAT_PORT_DEFAULT)),
    };
    // A colon belongs to addresses of IPv6 only.
    let is_host = !host.is_empty()
        && !host.contains(char::is_whitespace)
        && (!host.contains(':') || host.parse::<IpAddr>().is_ok());
    match port {
        Some(port) if is_host => Ok(Destination { host: host.to_owned(), port }),
        _ => Err(UsageError::new(
            format!("`{text}` is not `HOST/PORT`"),
            "for example `-R 192.0.2.2/9995`, `-R 2001:db8::2/9995` or `-R collector2.example`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = destination(text).ok().map(|one| (one.host, one.port));
        assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
    }

    #[test]
    fn a_destination_is_a_host_and_maybe_a_port() {
        check("192.0.2.2/2055", Some(("192.0.2.2", 2055)));
        check("2001:db8::2/2055", Some(("2001:db8::2", 2055)));
        check("collector2.example", Some(("collector2.example", 9995)));
        check("::1", Some(("::1", 9995)));
        for text in ["collector2:9995", "[::1]/9995", "x/0", "x/65536", "x/", "/9995", "", "a b"] {
            check(text, None);
        }
        let many = vec!["::1".to_owned(); limits::DESTINATIONS_MAX + 1];
        assert_eq!(destinations(&many).unwrap_err().to_string(), "more than 8 collectors to repeat to");
    }
}
