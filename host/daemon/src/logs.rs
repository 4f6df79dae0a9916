//! Log lines on standard error, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};
use crate::decisions::Decisions;

/// Overrides `log.level`, in the manner of `RUST_LOG`.
pub(crate) const VARIABLE: &str = "WASMAIL_LOG";

/// Begins to log as the settings and `WASMAIL_LOG` say, and to tell decisions, where somebody may watch.
///
/// # Errors
/// When the directives cannot be read.
pub(crate) fn start(log: &Log, decisions: Option<&Decisions>) -> Result<(), String> {
    let directives = std::env::var(VARIABLE).unwrap_or_else(|_| log.level.clone());
    let filter = parse(&directives)?;
    if let Some(decisions) = decisions {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let all = tracing_subscriber::registry().with(decisions.layer());
        match log.format {
            LogFormat::Json => all.with(lines.json().flatten_event(true).with_filter(filter)).init(),
            LogFormat::Text => {
                let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false);
                all.with(lines.with_filter(filter)).init();
            }
        }
        return Ok(());
    }
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    Ok(())
}

/// Reads directives such as `info` or `info,wasmail_server=debug`.
pub(crate) fn parse(directives: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(directives).map_err(|error| format!("`{directives}` is no log level: {error}"))
}
