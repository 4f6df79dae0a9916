//! Builds the plugin in a directory, as `wasmail plugin build` does, without the server around it.
#![allow(clippy::print_stdout, reason = "it is a command")]

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let dir = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    match wasmail_plugin_build::build(&dir) {
        Ok(built) => {
            println!("{}: {} octets", built.path.display(), built.octets.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}\n{}", error.help().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
