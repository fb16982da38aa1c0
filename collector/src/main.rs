//! `flowcapd`: arguments → configuration → collect until a signal, or do what a
//! subcommand says → exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use flow_collector::{
    Args, Config, Failure, Inherited, Log, PidFile, Running, Service, Summary, SystemClock, command, parse,
    say, start_inheriting,
};
use flow_common::usage::in_our_words;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    let (args, command) = match parse(std::env::args_os()) {
        Ok(typed) => typed,
        Err(error) if !error.use_stderr() => {
            // Help and version; a reader that has gone is no failure.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let (message, hint) = in_our_words(&error.to_string(), "flowcapd");
            return report(&Failure::new(2, message, hint));
        }
    };
    let result = match command {
        Some(command) => command::run(command, args, &mut io::stdout().lock()),
        None => collect(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn collect(args: Args) -> Result<(), Failure> {
    let echo = args.echo.then(|| Box::new(io::stdout()) as Box<dyn Write + Send>);
    let config =
        Config::try_from(args.clone()).map_err(|error| Failure::new(2, &error, error.hint.clone()))?;
    let log = Log::start(config.verbosity);
    // Before the first datagram: a signal from now on drains, and does not kill.
    let mut signals = Signals::catch().map_err(|error| Failure::new(1, error, None))?;
    let mut pid_file = open_pid_file(&config)?;
    let service = Service::from_env();
    let inherited = Inherited::from_env().map_err(|error| {
        let hint = "a socket unit passes `ListenDatagram=` and `ListenStream=` sockets".to_owned();
        Failure::new(1, error, hint)
    })?;
    let running = start_inheriting(&config, inherited, Arc::new(SystemClock), echo)
        .map_err(|error| Failure::new(1, &error, error.hint.clone()))?;
    let listeners: Vec<_> = running.listeners().iter().map(|addr| format!(" {addr}")).collect();
    if !listeners.is_empty() {
        let streams = running.stream_listeners().iter();
        let streams: String =
            streams.map(|(protocol, addr)| format!(", {} on {addr}", protocol.name())).collect();
        let udp = if streams.is_empty() { "" } else { "UDP " };
        let directory = config.root.display();
        let buffer =
            running.granted_bytes().map_or(String::new(), |n| format!(", socket buffer {}", size(n)));
        say(&format!("listening {udp}on{}{streams}{buffer}, writing to {directory}", listeners.concat()));
        if let Some(addr) = running.http() {
            say(&format!("metrics and status on http://{addr}/"));
        }
        warn_of_buffer(config.socket.buffer_bytes, running.granted_bytes());
        if !running.keeps_sources() {
            say("warning: datagrams are repeated from this machine's address, and not from their exporter's");
            say(
                "hint: keeping that takes CAP_NET_RAW: `setcap cap_net_raw+ep`, or `AmbientCapabilities=` in a unit",
            );
        }
    }
    if let Some(file) = &mut pid_file {
        file.write().map_err(|error| Failure::new(1, &error, error.hint().to_owned()))?;
    }
    service.ready();
    {
        let mut watch = pin!(service.watch(running.heartbeat(), running.metrics()));
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => break,
                    Asked::Reload => {
                        service.reloading();
                        reload(&args, &running, &log);
                        service.ready();
                    }
                    Asked::Rotate => running.rotate(),
                },
                () = finished(&running) => break,
                never = &mut watch => match never {},
            }
        }
    }
    service.stopping();
    running.stop();
    let metrics = Arc::clone(running.metrics());
    let waiting = tokio::task::spawn_blocking(|| running.wait());
    let summary = tokio::select! {
        summary = waiting => summary.map_err(|error| Failure::new(1, error, None))?,
        () = signals.stop() => interrupted(pid_file),
        never = service.drain(&metrics) => match never {},
    };
    let Summary { metrics, failure } = summary;
    say(metrics.to_string().trim_end());
    let bug = "this is a bug; please report it with these counters".to_owned();
    metrics.check_laws().map_err(|broken| Failure::new(1, broken, bug))?;
    failure.map_or(Ok(()), |failure| Err(Failure::new(1, failure, None)))
}

/// The signals that mean something here.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reload: Signal,
    rotate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reload: signal(SignalKind::hangup())?,
            rotate: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.reload.recv() => Asked::Reload,
            _ = self.rotate.recv() => Asked::Rotate,
        }
    }

    /// Waits for one that ends the program.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }
}

/// Longest pause between two looks whether all is done.
const FINISHED_PAUSE_MAX: Duration = Duration::from_millis(200);

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
    Rotate,
}

/// SIGHUP: reads the configuration again and takes over what can be taken over. One
/// that is wrong changes nothing.
fn reload(args: &Args, running: &Running, log: &Log) {
    let config = match Config::try_from(args.clone()) {
        Ok(config) => config,
        Err(error) => return not_reloaded(&error, Some(&error.hint)),
    };
    let changes = match running.apply(&config) {
        Ok(changes) => changes,
        Err(error) => return not_reloaded(&error, error.hint.as_deref()),
    };
    log.set_verbosity(config.verbosity);
    let names =
        |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let taken = match names(&changes.taken) {
        taken if taken.is_empty() => "nothing changed".to_owned(),
        taken => format!("changed {taken}"),
    };
    say(&format!("configuration read again: {taken}"));
    if !changes.waiting.is_empty() {
        say(&format!("warning: {} will change when flowcapd is started again", names(&changes.waiting)));
    }
}

fn not_reloaded(error: &dyn std::fmt::Display, hint: Option<&str>) {
    say(&format!("error: {error}"));
    if let Some(hint) = hint {
        say(&format!("hint: {hint}"));
    }
    say("warning: the configuration of before still holds");
}

fn open_pid_file(config: &Config) -> Result<Option<PidFile>, Failure> {
    let open = |path: &PathBuf| PidFile::open(path, config.user.as_ref());
    let file = config.pid_file.as_ref().map(open).transpose();
    file.map_err(|error| Failure::new(1, &error, error.hint().to_owned()))
}

/// Says so if the kernel grants less than was asked for with `-B`.
fn warn_of_buffer(asked_bytes: Option<usize>, granted_bytes: Option<usize>) {
    if let (Some(asked), Some(granted)) = (asked_bytes, granted_bytes)
        && granted < asked
    {
        say(&format!("warning: the kernel grants a socket buffer of {}, not {}", size(granted), size(asked)));
        say(&format!("hint: `sysctl -w net.core.rmem_max={asked}` lets it, and so does CAP_NET_ADMIN"));
    }
}

/// `16 MiB`, or octets where it is not round.
fn size(bytes: usize) -> String {
    match bytes {
        n if n > 0 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n > 0 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} octets"),
    }
}

/// Waits until there is nothing left to do: a capture is read. Who listens for years need
/// not be looked at often.
async fn finished(running: &Running) {
    let mut pause = Duration::from_millis(5);
    while !running.is_finished() {
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(FINISHED_PAUSE_MAX);
    }
}

/// A second signal while draining: whoever sends it wants the program gone, so it
/// waits for no thread.
fn interrupted(pid_file: Option<PidFile>) -> ! {
    drop(pid_file);
    let hint = "the first signal publishes what has come; the second gives up on it".to_owned();
    report(&Failure::new(130, "interrupted while the open slot was being published", hint));
    std::process::exit(130)
}

fn report(failure: &Failure) -> ExitCode {
    say(&format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        say(&format!("hint: {hint}"));
    }
    ExitCode::from(failure.code)
}
