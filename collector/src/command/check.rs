//! `flowcapd check`: whether the configuration would do.

use super::Failure;
use crate::cli::Args;
use crate::config::Config;

/// What the configuration comes to.
pub(super) fn check(args: Args) -> Result<String, Failure> {
    Config::try_from(args)?;
    Ok("the configuration is sound\n".to_owned())
}
