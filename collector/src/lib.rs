//! The flow collector: datagrams in, Parquet files out.
//!
//! # The path of a datagram
//!
//! `socket`, `stream` or `capture` → `queue` → `decode` → `flow` → `batch` → `writer` → `durable`
//!
//! Each module hands a value to the next and knows nothing of the one before.
//! Only `socket`, `stream`, `capture`, `writer` and `durable` touch the outside world;
//! between them everything is a pure function of (octets, state, receive time).
//! `pipeline` is the only place that starts threads and connects them.

mod batch;
mod bounds;
mod capture;
mod cli;
mod clock;
#[doc(hidden)]
pub mod command;
mod compact;
mod config;
mod control;
mod datagram;
mod decode;
mod disk;
mod durable;
mod echo;
mod encode;
mod exec;
mod extra;
mod facts;
mod flow;
mod framing;
mod fs;
#[doc(hidden)]
pub mod harness;
mod hash;
mod http;
mod inherit;
mod journal;
mod lifetime;
mod live;
mod log;
mod losses;
mod metrics;
mod pidfile;
mod pipeline;
mod process;
mod queue;
#[cfg(test)]
mod random;
mod repeat;
mod retention;
mod sampling;
mod sequence;
mod service;
mod session;
mod socket;
mod state;
mod status;
mod stream;
mod tables;
mod trees;
mod user;
mod waiting;
mod writer;

pub use bounds::Bounds;
pub use cli::{Args, parse};
pub use clock::SystemClock;
pub use command::Failure;
pub use compact::Compaction;
pub use config::{Changes, Compression, Config, Source, UsageError};
pub use exec::CommandTemplate;
pub use inherit::{InheritError, Inherited};
pub use lifetime::Lifetimes;
pub use log::{Log, say};
pub use metrics::{LawBroken, Metrics};
pub use pidfile::{PidFile, PidFileError};
pub use pipeline::{Running, StartError, Summary, start, start_inheriting};
pub use repeat::Destination;
pub use retention::{Free, Retention, Rules, TreeRules};
pub use sampling::SamplingPolicy;
pub use service::{Heartbeat, Service};
pub use socket::{Group, Interface, SocketOptions};
pub use stream::{Protocol, StreamBounds, Streams, TlsClients, TlsIdentity};
pub use trees::{NamedSource, Others, Routes, Tree, TreeId, Trees};
pub use user::User;
