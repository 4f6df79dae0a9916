//! Runs compilers.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::BuildError;

/// Whether a program runs and says its version.
pub(crate) fn is_there(program: &str, args: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Runs a program to its end, in a directory; what it says goes to the author.
pub(crate) fn run(command: &mut Command, dir: &Path) -> Result<(), BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.current_dir(dir).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(BuildError::Failed { program, status: status.to_string() }),
        Err(error) => Err(BuildError::Failed { program, status: error.to_string() }),
    }
}
