//! Flags about UDP sockets → what is asked of them.

use std::net::{IpAddr, SocketAddr};

use flow_common::limits;

use super::UsageError;
use crate::socket::{Group, Interface, SocketOptions};

/// What is asked of sockets at these addresses.
pub(super) fn options(
    buffer_bytes: Option<usize>,
    groups: &[String],
    addresses: &[SocketAddr],
) -> Result<SocketOptions, UsageError> {
    let buffer_bytes = buffer_bytes.map(|bytes| check_buffer(bytes as i64)).transpose()?;
    if groups.len() > limits::GROUPS_MAX {
        let message = format!("more than {} multicast groups", limits::GROUPS_MAX);
        return Err(UsageError::new(message, "a socket can't be a member of more"));
    }
    let groups = groups.iter().map(|text| group(text)).collect::<Result<Vec<_>, _>>()?;
    match groups.iter().find(|group| !addresses.iter().any(|&addr| group.reaches(addr))) {
        Some(group) => Err(UsageError::new(
            format!("nothing sent to the multicast group `{}` reaches the addresses of `-b`", group.addr),
            "leave out `-b`, or add `-b` with the address of the group",
        )),
        None => Ok(SocketOptions { buffer_bytes, groups }),
    }
}

/// The size of a socket buffer.
pub(super) fn check_buffer(bytes: i64) -> Result<usize, UsageError> {
    let max = limits::SOCKET_BUFFER_BYTES_MAX;
    let fits = |bytes: &usize| (1..=max).contains(bytes);
    usize::try_from(bytes).ok().filter(fits).ok_or_else(|| {
        UsageError::new(
            format!("socket buffer `{bytes}` is not between 1 and {max} octets"),
            "`-B 16777216` is the default",
        )
    })
}

/// `GROUP` or `GROUP%IFACE`.
pub(super) fn group(text: &str) -> Result<Group, UsageError> {
    const HINT: &str = "for example `-J 239.0.0.9`, `-J 239.0.0.9%192.0.2.1` or `-J ff15::9%eth0`";
    let (addr, interface) = match text.split_once('%') {
        Some((addr, interface)) => (addr, Some(interface)),
        None => (text, None),
    };
    let addr: IpAddr =
        addr.parse().ok().filter(IpAddr::is_multicast).ok_or_else(|| {
            UsageError::new(format!("`{addr}` is not the address of a multicast group"), HINT)
        })?;
    let interface =
        interface.map(|text| text.parse().map_or_else(|_| Interface::Name(text.to_owned()), Interface::Addr));
    match &interface {
        Some(Interface::Addr(_)) if addr.is_ipv6() => {
            Err(UsageError::new(format!("`{text}` names an interface of IPv6 by an address of IPv4"), HINT))
        }
        _ => Ok(Group { addr, interface }),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli;
    use crate::config::Config;

    #[track_caller]
    fn check(args: &str, expected: Result<&str, &str>) {
        let (args, _) = cli::parse(std::iter::once("flowcapd").chain(args.split_whitespace())).unwrap();
        let found = Config::try_from(args).map(|config| {
            let groups: Vec<_> = config.socket.groups.iter().map(ToString::to_string).collect();
            format!("{:?} {}", config.socket.buffer_bytes, groups.join(" "))
        });
        assert_eq!(found.as_deref().map_err(ToString::to_string), expected.map_err(ToOwned::to_owned));
    }

    #[test]
    fn buffers_and_groups_are_asked_for() {
        check("", Ok("None "));
        check("-B 65536", Ok("Some(65536) "));
        check("-B 0", Err("socket buffer `0` is not between 1 and 536870912 octets"));
        check(
            "-J 239.0.0.9 -J 239.0.0.9%192.0.2.1 -J 224.1.2.3%eth0 -J ff15::9%lo",
            Ok("None 239.0.0.9 239.0.0.9%192.0.2.1 224.1.2.3%eth0 ff15::9%lo"),
        );
        check("-J 239.0.0.9 -b 0.0.0.0", Ok("None 239.0.0.9"));
        check("-J 239.0.0.9 -b 239.0.0.9", Ok("None 239.0.0.9"));
        check("-J 192.0.2.1", Err("`192.0.2.1` is not the address of a multicast group"));
        check(
            "-J ff15::9%192.0.2.1",
            Err("`ff15::9%192.0.2.1` names an interface of IPv6 by an address of IPv4"),
        );
        for bind in ["192.0.2.1", "239.0.0.8"] {
            let args = format!("-J 239.0.0.9 -b {bind}");
            check(
                &args,
                Err("nothing sent to the multicast group `239.0.0.9` reaches the addresses of `-b`"),
            );
        }
        check(
            "-J ff15::9 -b 0.0.0.0",
            Err("nothing sent to the multicast group `ff15::9` reaches the addresses of `-b`"),
        );
    }
}
