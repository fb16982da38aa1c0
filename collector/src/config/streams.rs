//! Flags about connections → where they are accepted, and from whom.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::UsageError;
use crate::bounds::Bounds;
use crate::cli::Args;
use crate::stream::tls::peer_name;
use crate::stream::{StreamBounds, Streams, TlsClients, TlsIdentity};

/// Where connections are accepted, and from whom.
pub(super) fn streams(args: &Args, held: &Bounds) -> Result<Streams, UsageError> {
    let tcp = listen_addresses("--tcp", &args.tcp, &args.bind)?;
    let tls = listen_addresses("--tls", &args.tls, &args.bind)?;
    let default = StreamBounds::default();
    let bounds = StreamBounds {
        connections: args.connections_max.unwrap_or(default.connections),
        connections_per_address: args.connections_per_address_max.unwrap_or(default.connections_per_address),
        handshakes: args.handshakes_max.unwrap_or(default.handshakes),
        handshake: Duration::from_secs(held.handshake_secs),
        message: Duration::from_secs(held.message_secs),
        idle: Duration::from_secs(held.connection_idle_secs),
        ..default
    };
    if [bounds.connections, bounds.connections_per_address, bounds.handshakes].contains(&0) {
        return Err(UsageError::new(
            "a bound of 0 lets nobody in",
            "leave out `--tcp` and `--tls` for that: connections are off unless asked for",
        ));
    }
    if tls.is_empty() {
        let given = [args.tls_cert.is_some(), args.tls_key.is_some(), args.tls_ca.is_some()];
        if given.contains(&true) || !args.tls_peers.is_empty() || args.tls_no_client_auth {
            return Err(UsageError::new(
                "there are `--tls-…` options, but not `--tls`",
                "`--tls` listens on port 4740, `--tls PORT` on another",
            ));
        }
        return Ok(Streams { tcp, tls, identity: None, bounds });
    }
    let (Some(certificate), Some(key)) = (args.tls_cert.clone(), args.tls_key.clone()) else {
        return Err(UsageError::new(
            "`--tls` needs a certificate and its key",
            "`--tls-cert FILE --tls-key FILE`, both PEM",
        ));
    };
    let clients = match args.tls_ca.clone() {
        Some(_) if args.tls_no_client_auth => {
            return Err(UsageError::new(
                "`--tls-ca` and `--tls-no-client-auth` contradict each other",
                "with `--tls-ca`, exporters must have a certificate; without, anyone may send",
            ));
        }
        Some(issuers) => TlsClients::Authenticated { issuers, peers: args.tls_peers.clone() },
        None if args.tls_no_client_auth && args.tls_peers.is_empty() => TlsClients::Anyone,
        None if args.tls_no_client_auth => {
            return Err(UsageError::new(
                "`--tls-peer` and `--tls-no-client-auth` contradict each other",
                "peers are known by their certificates: give `--tls-ca FILE` instead",
            ));
        }
        None => {
            return Err(UsageError::new(
                "`--tls` needs to know whose certificates to trust",
                "`--tls-ca FILE` with the certificate of the exporters' issuer, or `--tls-no-client-auth` to let \
                 anyone send",
            ));
        }
    };
    if let Some(error) = args.tls_peers.iter().find_map(|name| peer_name(name).err()) {
        return Err(UsageError::new(error.to_string(), error.hint()));
    }
    Ok(Streams { tcp, tls, identity: Some(TlsIdentity { certificate, key, clients }), bounds })
}

/// `PORT` on every address of `-b`, or `ADDR:PORT` as it is.
fn listen_addresses(option: &str, texts: &[String], bind: &[IpAddr]) -> Result<Vec<SocketAddr>, UsageError> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for text in texts {
        if let Ok(port) = text.parse() {
            let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            let bind = if bind.is_empty() { &any } else { bind };
            addresses.extend(bind.iter().map(|&ip| SocketAddr::new(ip, port)));
        } else {
            addresses.push(text.parse().map_err(|_| UsageError {
                message: format!("`{text}` is neither a port nor an address with one"),
                hint: format!(
                    "for example `{option} 4739`, `{option} 192.0.2.1:4739` or `{option} [2001:db8::1]:4739`"
                ),
            })?);
        }
    }
    Ok(addresses)
}
