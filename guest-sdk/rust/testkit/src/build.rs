//! Compiles a plugin's crate to a component, with a cargo of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const TARGET: &str = "wasm32-wasip2";
/// The profile that a workspace may have for guests: small code that loads quickly.
const GUEST_PROFILE: &str = "guest";

/// What cargo says of a crate's workspace.
struct Workspace {
    root: PathBuf,
    target_dir: PathBuf,
}

/// The component of the crate in a directory.
pub(crate) fn component(crate_dir: &Path) -> Result<Vec<u8>, String> {
    check_target()?;
    let workspace = workspace(crate_dir)?;
    let profile = if has_guest_profile(&workspace.root) { GUEST_PROFILE } else { "release" };
    let path = compile(crate_dir, profile, &guests_dir(&workspace))?;
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where compiled code may be kept between runs.
pub(crate) fn cache_dir(crate_dir: &Path) -> Result<PathBuf, String> {
    Ok(workspace(crate_dir)?.target_dir.join("wasmail-testkit"))
}

/// A directory of its own, so that the cargo that runs the tests is not waited for. The server's build compiles its
/// plugins there, too.
fn guests_dir(workspace: &Workspace) -> PathBuf {
    workspace.target_dir.join("guests")
}

fn workspace(crate_dir: &Path) -> Result<Workspace, String> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]);
    let output = cargo.arg(crate_dir.join("Cargo.toml")).output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let path = |key: &str| metadata[key].as_str().map(PathBuf::from).ok_or_else(|| format!("cargo metadata: no {key}"));
    Ok(Workspace { root: path("workspace_root")?, target_dir: path("target_directory")? })
}

fn has_guest_profile(root: &Path) -> bool {
    fs::read_to_string(root.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == format!("[profile.{GUEST_PROFILE}]")))
}

/// Without the target's standard library the compiler says a hundred times that it cannot find `std`.
fn check_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let output = output.map_err(|error| format!("failed to run rustc: {error}"))?;
    if output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return Ok(());
    }
    Err(format!("plugins are compiled for {TARGET}, which is not installed. Run: rustup target add {TARGET}"))
}

fn compile(crate_dir: &Path, profile: &str, target_dir: &Path) -> Result<PathBuf, String> {
    let mut cargo = cargo();
    cargo.args([
        "build",
        "--lib",
        "--target",
        TARGET,
        "--profile",
        profile,
        "--message-format",
        "json-render-diagnostics",
    ]);
    cargo.arg("--manifest-path").arg(crate_dir.join("Cargo.toml")).arg("--target-dir").arg(target_dir);
    let output = cargo.stderr(Stdio::inherit()).output().map_err(|error| format!("failed to run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the plugin did not compile; cargo's messages are above".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let found = messages.lines().rev().find_map(|line| wasm_file(line, crate_dir));
    found.ok_or_else(|| "cargo made no .wasm file: is crate-type \"cdylib\" in Cargo.toml?".to_owned())
}

/// The file that one of cargo's messages tells of, if it is this crate's component.
fn wasm_file(message: &str, crate_dir: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let same = manifest.parent()?.canonicalize().ok()? == crate_dir.canonicalize().ok()?;
    let files = message["filenames"].as_array().filter(|_| same && message["reason"] == "compiler-artifact")?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// The cargo that runs the tests, without what it was told for them: flags, wrappers, instrumentation.
fn cargo() -> Command {
    const NAMES: [&str; 9] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "CLIPPY_ARGS",
        "LLVM_PROFILE_FILE",
        "CARGO_BUILD_TARGET",
    ];
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    NAMES.iter().for_each(|name| {
        cargo.env_remove(name);
    });
    cargo
}
