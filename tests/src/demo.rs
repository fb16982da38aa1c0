//! Shows the main job in one command: a collector on its defaults, datagrams
//! that real exporters sent, arriving over UDP, and the flows they told of.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use flow_collector::{Config, Source, SystemClock, start};
use flow_common::time::Clock;
use flow_query::{Env, Zone};
use flow_tests::pcap::udp_payloads;
use flow_tests::testdata;

/// Captures to send: the exporter, the file, the port it would send to.
const EXPORTS: [(&str, &str, u16); 4] = [
    ("fprobe, NetFlow v5", "v5-fprobe", 2055),
    ("softflowd, NetFlow v9", "v9-softflowd-recent", 9995),
    ("softflowd, IPFIX", "ipfix-softflowd-recent", 4739),
    ("Open vSwitch, IPFIX", "ipfix-ovs-perflow", 4739),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let config = Config { root: directory.path().join("flows"), ..Config::default() };
    let collector = start(&config, Arc::new(SystemClock), None).map_err(|error| {
        format!("{error}\nhint: the demo uses flowcapd's default ports; stop what listens there")
    })?;
    let Source::Listen(addresses) = &config.source else { unreachable!("the defaults listen") };
    let ports: Vec<_> = addresses.iter().map(|addr| addr.port().to_string()).collect();
    say(&format!("# flowcapd listens on its default ports {}\n", ports.join(", ")));
    let mut n_sent = 0;
    for (exporter, capture, port) in EXPORTS {
        let payloads = udp_payloads(&std::fs::read(testdata(&format!("{capture}.pcap")))?);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let target = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        for (_, _, payload, _) in &payloads {
            socket.send_to(payload, target)?;
            std::thread::sleep(Duration::from_micros(200));
        }
        n_sent += payloads.len() as u64;
        say(&format!("# {} datagrams of {exporter} sent to port {port}", payloads.len()));
    }
    let received = || collector.metrics().value("flowcap_datagrams_received_total").unwrap_or_default();
    for _ in 0..500 {
        if received() == n_sent {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    collector.stop();
    let summary = collector.wait();
    summary.metrics.check_laws()?;
    let n_records = summary.metrics.value("flowcap_records_visible_total").unwrap_or_default();
    say(&format!(
        "# stopped: {} of {n_sent} datagrams received, {n_records} flow records stored\n",
        received_of(&summary)
    ));
    if let Some(failure) = summary.failure {
        return Err(failure.into());
    }
    show(&config.root, &["-c", "20"])?;
    show(&config.root, &["-s", "srcip/bytes", "-n", "5"])?;
    show(&config.root, &["-o", "long", "proto tcp and bytes > 1k"])
}

fn received_of(summary: &flow_collector::Summary) -> u64 {
    summary.metrics.value("flowcap_datagrams_received_total").unwrap_or_default()
}

/// Prints a `flowdump` command and runs it in this process.
fn show(root: &Path, args: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let quoted: Vec<_> = args
        .iter()
        .map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() })
        .collect();
    say(&format!("$ flowdump {}", quoted.join(" ")));
    let fixed = [OsString::from("flowdump"), "-r".into(), root.into()];
    let env = Env { now: SystemClock.now(), zone: Zone::Local };
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr());
    let code = flow_query::run(
        fixed.into_iter().chain(args.iter().map(OsString::from)),
        &mut stdout,
        &mut stderr,
        env,
    );
    writeln!(stdout)?;
    if code == 0 { Ok(()) } else { Err(format!("flowdump ended with {code}").into()) }
}

#[expect(clippy::print_stdout, reason = "the demo is there to be read")]
fn say(line: &str) {
    println!("{line}");
}
