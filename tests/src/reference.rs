//! A slow second opinion on queries: rows of Parquet files one at a time, filters and
//! statistics evaluated as their documentation reads. Shares no code with `flow-query`.
//!
//! - `row`: one flow record; `tree`: files, their rows and the rates of a side table
//! - `generate`, `store`: random rows, and files of them in every shape Parquet allows
//! - `packets`: random packets, stored by the collector itself
//! - `read`: rows of a file by the `parquet` crate's record reader; `scale`: their rates
//! - `filter`, `grammar`: conditions, and random ones together with their text
//! - `value`, `answer`, `statistic`, `measured`: rows and groups as `flowdump` prints them
//! - `case`: one question from a seed, asked of both

pub mod case;
pub mod packets;
pub mod store;
pub mod tree;

mod answer;
mod filter;
mod generate;
mod grammar;
mod measured;
mod read;
mod row;
mod scale;
mod statistic;
mod value;

pub use self::case::{Case, Verdict, check, check_aggregated, is_known};
pub use self::measured::check_measured;
pub use self::tree::Tree;
