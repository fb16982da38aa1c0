//! Keys at the top of a file.

use std::path::PathBuf;

use flow_common::layout::Hierarchy;

use super::{Key, Shown, list, list_or_unset, number_or_unset, path, quoted, text_or_unset};
use crate::config::{
    Compression, Config, Source, check_commands, check_hierarchy, check_slot, command, http_address, prefix,
    repeat, sampling_policy, sockets, tables,
};
use crate::sampling::SamplingPolicy;
use crate::stream::TlsClients;
use crate::trees::Others;

/// Keys at the top of a file, each with the long name of its flag; and lists of tables.
pub(super) const TOP: &[Key] = &[
    Key::new(
        "port",
        "[2055, 4739]",
        |file, item| {
            file.args.ports = item.list(|item| item.number(0, u16::MAX.into()).map(|port| port as u16))?;
            Ok(())
        },
        |config| {
            let Source::Listen(addresses) = &config.source else { return Shown::Unset };
            let first = addresses.first().map(|addr| addr.ip());
            let of_first = addresses.iter().filter(|addr| Some(addr.ip()) == first);
            list(of_first.map(|addr| addr.port().to_string()))
        },
    ),
    Key::new(
        "bind",
        r#""192.0.2.1""#,
        |file, item| {
            file.args.bind = item.list(|item| item.address())?;
            Ok(())
        },
        |config| {
            let Source::Listen(addresses) = &config.source else { return Shown::Unset };
            let mut ips: Vec<_> = addresses.iter().map(|addr| addr.ip()).collect();
            ips.dedup();
            list(ips.iter().map(|ip| quoted(&ip.to_string())))
        },
    ),
    Key::new(
        "join",
        r#"["239.0.0.9%eth0"]"#,
        |file, item| {
            file.args.groups = item.list(|item| {
                let text = item.text()?;
                sockets::group(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
                Ok(text.to_owned())
            })?;
            Ok(())
        },
        |config| list_or_unset(config.socket.groups.iter().map(|group| quoted(&group.to_string()))),
    ),
    Key::new(
        "buffer",
        "16777216",
        |file, item| {
            file.args.buffer_bytes = Some(item.checked(sockets::check_buffer)?);
            Ok(())
        },
        |config| number_or_unset(config.socket.buffer_bytes),
    )
    .bound("SOCKET_BUFFER_BYTES"),
    Key::new(
        "write-dir",
        r#""/var/flows""#,
        |file, item| {
            file.args.directory = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| if config.trees.others == Others::Home { path(&config.root) } else { Shown::Unset },
    ),
    Key::new(
        "sources-dir",
        r#""/var/flows""#,
        |file, item| {
            file.args.sources_dir = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| if config.trees.others == Others::Apart { path(&config.root) } else { Shown::Unset },
    ),
    Key::new(
        "slot",
        "300",
        |file, item| {
            file.args.slot_secs = Some(item.checked(check_slot)?);
            Ok(())
        },
        |config| Shown::Value(config.slot_secs.to_string()),
    )
    .bound("SLOT_SECS_DEFAULT"),
    Key::new(
        "hierarchy",
        "2",
        |file, item| {
            item.checked(check_hierarchy)?;
            file.args.hierarchy = Some(item.number(0, u8::MAX.into())? as u8);
            Ok(())
        },
        |config| match config.hierarchy {
            Hierarchy::Nfdump(n) => Shown::Value(n.to_string()),
            Hierarchy::Partitions => Shown::Unset,
        },
    ),
    Key::new(
        "ident",
        r#""edge1""#,
        |file, item| {
            file.args.ident = Some(item.text()?.to_owned());
            Ok(())
        },
        |config| Shown::Value(quoted(&config.ident)),
    ),
    Key::new(
        "compression",
        r#""lz4""#,
        |file, item| {
            let text = item.text()?;
            Compression::parse(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
            file.args.compression = Some(text.to_owned());
            Ok(())
        },
        |config| Shown::Value(quoted(&config.compression.to_string())),
    ),
    Key::new(
        "sampling",
        "1000",
        |file, item| {
            item.checked(|rate| sampling_policy(Some(rate)))?;
            file.args.sampling_rate = Some(item.integer()?);
            Ok(())
        },
        |config| match config.sampling {
            SamplingPolicy::Announced => Shown::Unset,
            SamplingPolicy::Default(rate) => Shown::Value(rate.to_string()),
            SamplingPolicy::Forced(rate) => Shown::Value(format!("-{rate}")),
        },
    )
    .live(),
    Key::new(
        "allow",
        r#"["192.0.2.0/24"]"#,
        |file, item| {
            file.args.allow = item.list(|item| {
                let text = item.text()?;
                prefix(text)
                    .map(|_| text.to_owned())
                    .map_err(|error| item.fault(error.to_string(), error.hint))
            })?;
            Ok(())
        },
        |config| list_or_unset(config.allow.iter().map(|prefix| quoted(&prefix.to_string()))),
    )
    .live(),
    Key::new(
        "template-lifetime",
        "1800",
        |file, item| {
            file.args.template_lifetime_secs = Some(item.number(0, u32::MAX.into())? as u32);
            Ok(())
        },
        |config| number_or_unset(config.lifetimes.template_secs),
    )
    .live(),
    Key::new(
        "session-idle",
        "604800",
        |file, item| {
            file.args.session_idle_secs = Some(item.number(0, u32::MAX.into())? as u32);
            Ok(())
        },
        |config| number_or_unset(config.lifetimes.session_idle_secs),
    )
    .bound("SESSION_IDLE_SECS_DEFAULT")
    .live(),
    Key::new(
        "tcp",
        "4739",
        |file, item| {
            file.args.tcp = item.list(|item| item.endpoint())?;
            Ok(())
        },
        |config| list_or_unset(config.streams.tcp.iter().map(|addr| quoted(&addr.to_string()))),
    ),
    Key::new(
        "tls",
        "4740",
        |file, item| {
            file.args.tls = item.list(|item| item.endpoint())?;
            Ok(())
        },
        |config| list_or_unset(config.streams.tls.iter().map(|addr| quoted(&addr.to_string()))),
    ),
    Key::new(
        "tls-cert",
        r#""us.pem""#,
        |file, item| {
            file.args.tls_cert = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| {
            config.streams.identity.as_ref().map_or(Shown::Unset, |identity| path(&identity.certificate))
        },
    )
    .live(),
    Key::new(
        "tls-key",
        r#""us.key""#,
        |file, item| {
            file.args.tls_key = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| config.streams.identity.as_ref().map_or(Shown::Unset, |identity| path(&identity.key)),
    )
    .live(),
    Key::new(
        "tls-ca",
        r#""exporters.pem""#,
        |file, item| {
            file.args.tls_ca = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| match clients(config) {
            Some(TlsClients::Authenticated { issuers, .. }) => path(issuers),
            _ => Shown::Unset,
        },
    )
    .live(),
    Key::new(
        "tls-peer",
        r#"["r1.example", "192.0.2.1"]"#,
        |file, item| {
            file.args.tls_peers = item.list(|item| item.text().map(ToOwned::to_owned))?;
            Ok(())
        },
        |config| match clients(config) {
            Some(TlsClients::Authenticated { peers, .. }) => {
                list_or_unset(peers.iter().map(|name| quoted(name)))
            }
            _ => Shown::Unset,
        },
    )
    .live(),
    Key::new(
        "tls-no-client-auth",
        "false",
        |file, item| {
            file.args.tls_no_client_auth = item.truth()?;
            Ok(())
        },
        |config| Shown::Value((clients(config) == Some(&TlsClients::Anyone)).to_string()),
    )
    .live(),
    Key::new(
        "max-connections",
        "2048",
        |file, item| {
            file.args.connections_max = Some(item.number(1, u32::MAX.into())? as usize);
            Ok(())
        },
        |config| Shown::Value(config.streams.bounds.connections.to_string()),
    )
    .bound("CONNECTIONS_MAX"),
    Key::new(
        "max-connections-per-address",
        "64",
        |file, item| {
            file.args.connections_per_address_max = Some(item.number(1, u32::MAX.into())? as usize);
            Ok(())
        },
        |config| Shown::Value(config.streams.bounds.connections_per_address.to_string()),
    )
    .bound("CONNECTIONS_PER_ADDRESS_MAX"),
    Key::new(
        "max-handshakes",
        "64",
        |file, item| {
            file.args.handshakes_max = Some(item.number(1, u32::MAX.into())? as usize);
            Ok(())
        },
        |config| Shown::Value(config.streams.bounds.handshakes.to_string()),
    )
    .bound("HANDSHAKES_MAX"),
    Key::new(
        "repeat",
        r#"["192.0.2.2/9995"]"#,
        |file, item| {
            file.args.repeat = item.list(|item| {
                let text = item.text()?;
                repeat::destination(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
                Ok(text.to_owned())
            })?;
            Ok(())
        },
        |config| {
            let destinations = config.repeat.iter();
            list_or_unset(destinations.map(|one| quoted(&one.to_string())))
        },
    ),
    Key::new(
        "exec",
        r#""gzip -k %d/%f""#,
        |file, item| {
            let text = item.text()?;
            command(text).map_err(|error| item.fault(error.to_string(), error.hint))?;
            file.args.exec = Some(text.to_owned());
            Ok(())
        },
        |config| text_or_unset(config.exec.as_ref().map(ToString::to_string)),
    ),
    Key::new(
        "max-commands",
        "1",
        |file, item| {
            file.args.commands_max = Some(item.checked(check_commands)?);
            Ok(())
        },
        |config| Shown::Value(config.commands_max.to_string()),
    )
    .bound("COMMANDS_RUNNING_DEFAULT"),
    Key::new(
        "user",
        r#""flowcap""#,
        |file, item| {
            file.args.user = Some(item.text()?.to_owned());
            Ok(())
        },
        |config| text_or_unset(config.user.as_ref().and_then(|user| user.user.clone())),
    ),
    Key::new(
        "group",
        r#""flowcap""#,
        |file, item| {
            file.args.group = Some(item.text()?.to_owned());
            Ok(())
        },
        |config| text_or_unset(config.user.as_ref().and_then(|user| user.group.clone())),
    ),
    Key::new(
        "pidfile",
        r#""/run/flowcapd.pid""#,
        |file, item| {
            file.args.pid_file = Some(PathBuf::from(item.text()?));
            Ok(())
        },
        |config| config.pid_file.as_deref().map_or(Shown::Unset, path),
    ),
    Key::new(
        "http",
        r#""127.0.0.1:8080""#,
        |file, item| {
            let text = item.endpoint()?;
            http_address(&text).map_err(|error| item.fault(error.to_string(), error.hint))?;
            file.args.http = Some(text);
            Ok(())
        },
        |config| match config.http {
            Some(addr) => Shown::Value(quoted(&addr.to_string())),
            None => Shown::Unset,
        },
    ),
    Key::new(
        "verbose",
        "1",
        |file, item| {
            file.args.verbosity = item.number(0, 2)? as u8;
            Ok(())
        },
        |config| Shown::Value(config.verbosity.min(2).to_string()),
    )
    .live(),
    Key::new(
        "source",
        r#"[{ ident = "edge1", prefix = "192.0.2.1", directory = "edge1" }]"#,
        |file, item| {
            file.sources = tables::sources(item)?;
            Ok(())
        },
        |config| Shown::Tables(config.trees.sources.iter().map(tables::show_source).collect()),
    ),
    Key::new(
        "element",
        r#"[{ id = 82, name = "interface_name" }]"#,
        |file, item| {
            file.elements = tables::elements(item)?;
            Ok(())
        },
        |config| Shown::Tables(config.elements.iter().map(tables::show_element).collect()),
    )
    .doc("A column for an element that has none of its own; `type` only where the registry does not know it")
    .live(),
];

fn clients(config: &Config) -> Option<&TlsClients> {
    config.streams.identity.as_ref().map(|identity| &identity.clients)
}
