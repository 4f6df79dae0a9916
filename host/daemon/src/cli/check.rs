//! `wasmail check`: every mistake at once.

use std::fmt;

use crate::cli::ConfigArgs;
use crate::config::{Loaded, Severity};
use crate::out::{say, say_error};
use crate::plugins;

/// Why a command cannot go on: the mistakes have been printed, this sums them up.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{mistakes} in the configuration")]
#[diagnostic(help("mend what is said above; `wasmail config reference` prints every key with its meaning"))]
pub(crate) struct Misconfigured {
    mistakes: Count,
}

/// A number of mistakes or warnings, as one says it.
#[derive(Debug)]
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// Checks the configuration and every plugin in it.
pub(crate) fn run(args: &ConfigArgs) -> miette::Result<()> {
    let mut loaded = Loaded::read_here(args.config.as_deref());
    plugins::check(&mut loaded);
    report(&loaded)?;
    let warnings = loaded.mistakes.count(Severity::Warning);
    let source = args.config.as_ref().map_or("the embedded configuration".into(), |path| path.display().to_string());
    match warnings {
        0 => say!("{source} is good."),
        _ => say!("{source} is good, with {}.", Count(warnings, "warning")),
    }
    Ok(())
}

/// Prints what is wrong; an error when the server must not start with it.
pub(crate) fn report(loaded: &Loaded) -> Result<(), Misconfigured> {
    let text = loaded.report();
    if !text.is_empty() {
        say_error!("{}", text.trim_end());
    }
    match loaded.mistakes.count(Severity::Mistake) {
        0 => Ok(()),
        mistakes => Err(Misconfigured { mistakes: Count(mistakes, "mistake") }),
    }
}
