//! `flowcapd`: arguments → configuration → run until a signal → exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use flow_collector::{Args, Config, Running, Summary, SystemClock, start};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap knows which is which.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let level = match args.verbosity {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let echo = args.echo.then(|| Box::new(io::stdout()) as Box<dyn Write + Send>);
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(error) => return fail(2, &error, Some(&error.hint)),
    };
    let running = match start(&config, Arc::new(SystemClock), echo) {
        Ok(running) => running,
        Err(error) => return fail(1, &error, error.hint.as_deref()),
    };
    for addr in running.listeners() {
        say(&format!("listening on {addr}, writing to {}", config.root.display()));
    }
    match run_until_signal(running) {
        Ok(Summary { metrics, failure }) => {
            say(metrics.to_string().trim_end());
            match (metrics.check_laws(), failure) {
                (Err(broken), _) => {
                    fail(1, &broken, Some("this is a bug; please report it with these counters"))
                }
                (Ok(()), Some(failure)) => fail(1, &failure, None),
                (Ok(()), None) => ExitCode::SUCCESS,
            }
        }
        Err(error) => fail(1, &error, None),
    }
}

/// Waits for SIGINT, SIGTERM or SIGHUP, or until there is nothing left to do,
/// then for everything to drain.
fn run_until_signal(running: Running) -> io::Result<Summary> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let finished = async {
            while !running.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = finished => {}
        }
        running.stop();
        io::Result::Ok(())
    })?;
    Ok(running.wait())
}

#[expect(clippy::print_stderr, reason = "stderr is where the program talks")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn fail(code: u8, error: &dyn std::fmt::Display, hint: Option<&str>) -> ExitCode {
    say(&format!("error: {error}"));
    if let Some(hint) = hint {
        say(&format!("hint: {hint}"));
    }
    ExitCode::from(code)
}
