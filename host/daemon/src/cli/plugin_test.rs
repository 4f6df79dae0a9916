//! `wasmail plugin test`: the dialogues of a plugin, in the sandbox.

use std::process::ExitCode;

use miette::miette;
use wasmail_testkit::Kit;

use super::{BuildArgs, plugin_build};
use crate::out::say;

/// Where a project has its dialogues.
const DIALOGS: &str = "dialogs";

/// Builds the plugin, and holds its dialogues.
pub(crate) fn run(args: &BuildArgs) -> miette::Result<ExitCode> {
    let built = plugin_build::build(&args.dir)?;
    let kit = Kit::of_component(&built.octets, &args.dir);
    let held = kit.try_dialogs(DIALOGS).map_err(|why| {
        miette!(
            help = "a dialogue is a text of lines `C: ...` and `S: ...`; tests/dialogs/README.md has the format",
            "{why}"
        )
    })?;
    let failures: Vec<_> = held.iter().filter_map(|held| held.as_ref().err()).collect();
    for failure in &failures {
        say!("{failure}\n");
    }
    say!("{} of {} dialogues hold", held.len() - failures.len(), held.len());
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
