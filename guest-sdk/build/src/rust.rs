//! Plugins in Rust: cargo makes the component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BuildError, tool};

const TARGET: &str = "wasm32-wasip2";

pub(crate) fn build(dir: &Path) -> Result<Vec<u8>, BuildError> {
    if !tool::is_there("cargo", &["--version"]) {
        return Err(BuildError::NoTool {
            what: "cargo",
            help: "install Rust with rustup, then: rustup target add wasm32-wasip2",
        });
    }
    let target = dir.join("build").join("target");
    let mut command = Command::new("cargo");
    command.args(["build", "--lib", "--profile", "guest", "--target", TARGET, "--target-dir", "build/target"]);
    tool::run(&mut command, dir)?;
    let folder = target.join(TARGET).join("guest");
    let path = component(&folder)?;
    fs::read(&path).map_err(|source| BuildError::File { path, source })
}

/// The one component that there is: a project has one crate.
fn component(folder: &Path) -> Result<PathBuf, BuildError> {
    let entries = fs::read_dir(folder).map_err(|source| BuildError::File { path: folder.to_owned(), source })?;
    let mut found = entries.filter_map(Result::ok).map(|entry| entry.path());
    found
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| BuildError::Component("cargo made no .wasm; the crate's type must be cdylib".into()))
}
