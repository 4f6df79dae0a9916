//! `wasmail plugin build`: from a plugin's project to a component that the server takes.

use miette::Diagnostic;
use thiserror::Error;
use wasmail_plugin_build::BuildError;

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

/// Builds the plugin, and shows that the server would take it.
pub(crate) fn run(args: &BuildArgs) -> miette::Result<()> {
    let built = wasmail_plugin_build::build(&args.dir).map_err(Failed)?;
    say!("{}\n", built.path.display());
    inspect::run(&InspectArgs { module: built.path.display().to_string(), json: false })
}
