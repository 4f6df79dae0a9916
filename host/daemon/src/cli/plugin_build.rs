//! `wasmail plugin build`: from a plugin's project to a component that the server takes.

use std::path::Path;

use miette::Diagnostic;
use thiserror::Error;
use wasmail_plugin_build::{BuildError, Built};

use super::{BuildArgs, InspectArgs, inspect};
use crate::out::say;

#[derive(Debug, Error)]
#[error("{0}")]
struct Failed(BuildError);

impl Diagnostic for Failed {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.help().map(|help| Box::new(help) as Box<_>)
    }
}

/// Builds the plugin in a directory.
pub(super) fn build(dir: &Path) -> miette::Result<Built> {
    Ok(wasmail_plugin_build::build(dir).map_err(Failed)?)
}

/// Builds the plugin, and shows that the server would take it.
pub(crate) fn run(args: &BuildArgs) -> miette::Result<()> {
    let built = build(&args.dir)?;
    say!("{}\n", built.path.display());
    inspect::run(&InspectArgs { module: built.path.display().to_string(), json: false })
}
