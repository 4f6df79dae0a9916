//! Compiles the plugins beside this file to components, and writes the list of them that `src/lib.rs` includes.
//!
//! A second cargo does it, for another target and with a target directory of its own, so it takes no lock that the first
//! one holds and finds its work again whatever the first one builds. Nothing to do takes it a fraction of a second.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let shelf = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let plugins = plugins(&shelf)?;
    watch(&shelf, &plugins);
    check_target()?;
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("guests");
    compile(&shelf, &target_dir, &plugins)?;
    collect(&target_dir, &out, &plugins)
}

/// The folders beside this file that hold a plugin, by name.
fn plugins(shelf: &Path) -> Result<Vec<String>, String> {
    let folders = fs::read_dir(shelf).map_err(|error| format!("{}: {error}", shelf.display()))?;
    let paths = folders.filter_map(|folder| Some(folder.ok()?.path()));
    let plugins = paths.filter(|path| path.join("Cargo.toml").is_file());
    let mut names: Vec<_> = plugins.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

/// Names everything that a component is made of; READMEs and dialogues are no part of it.
fn watch(shelf: &Path, plugins: &[String]) {
    let house = shelf.join("..");
    for path in ["wit", "guest-sdk/rust/sdk", "guest-sdk/rust/macros", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", house.join(path).display());
    }
    for plugin in plugins {
        for path in ["src", "Cargo.toml", "config.schema.json"] {
            println!("cargo::rerun-if-changed={}", shelf.join(plugin).join(path).display());
        }
    }
}

/// Without the target's standard library the compiler says a hundred times that it cannot find `std`.
fn check_target() -> Result<(), String> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("failed to run rustc: {error}"))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libraries.is_dir() {
        return Ok(());
    }
    Err(format!("the plugins are compiled for {TARGET}, which is not installed. Run: rustup target add {TARGET}"))
}

#[expect(clippy::print_stderr, reason = "where a build script tells how it goes")]
fn compile(shelf: &Path, target_dir: &Path, plugins: &[String]) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.args(["build", "--profile", PROFILE, "--target", TARGET]);
    cargo.arg("--manifest-path").arg(shelf.join("../Cargo.toml")).arg("--target-dir").arg(target_dir);
    for plugin in plugins {
        cargo.args(["--package", &format!("wasmail-plugin-{plugin}")]);
    }
    forget_outer_build(&mut cargo);
    eprintln!("compiling {} plugins for {TARGET} in {}", plugins.len(), target_dir.display());
    let status = cargo.status().map_err(|error| format!("failed to run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the plugins did not compile; cargo's messages are below".to_owned()) }
}

/// Takes away what the outer build meant for itself: flags for the host's compiler, instrumentation, clippy's wrapper,
/// the target. The job server stays, so that both builds together use as many cores as one.
fn forget_outer_build(cargo: &mut Command) {
    const PREFIXES: [&str; 8] = [
        "CARGO_PKG_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PROFILE_",
        "CARGO_BUILD_",
        "CARGO_TARGET_",
        "CARGO_LLVM_COV",
    ];
    const NAMES: [&str; 10] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
        "LLVM_PROFILE_FILE",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if NAMES.contains(&&*text) || PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
}

/// Copies the components, so that a later build of other sources does not change what this one embeds.
fn collect(target_dir: &Path, out: &Path, plugins: &[String]) -> Result<(), String> {
    let mut list = String::from("&[\n");
    for plugin in plugins {
        let file = format!("wasmail_plugin_{}.wasm", plugin.replace('-', "_"));
        let built = target_dir.join(TARGET).join(PROFILE).join(file);
        let copy = out.join(format!("{plugin}.wasm"));
        fs::copy(&built, &copy).map_err(|error| format!("{}: {error}", built.display()))?;
        writeln!(list, "    Bundled {{ name: {plugin:?}, component: include_bytes!({copy:?}) }},")
            .map_err(|error| error.to_string())?;
    }
    list.push(']');
    fs::write(out.join("shelf.rs"), list).map_err(|error| format!("shelf.rs: {error}"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
