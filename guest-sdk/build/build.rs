//! Finds the Go package that bindings by wit-bindgen need: it comes with the crate that writes them, and goes into the builder
//! from there, so that a plugin's build fetches nothing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The crate, and where the package lies in it.
const CRATE: &str = "wit-bindgen-go";
const PACKAGE: &str = "src/pkg/wit";
/// What synchronous bindings need of it.
const FILES: [&str; 6] =
    ["runtime/empty.s", "runtime/runtime.go", "types/option.go", "types/result.go", "types/tuple.go", "types/unit.go"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let package = source()?.join(PACKAGE);
    let list = FILES.map(|file| format!("(\"wit/{file}\", include_str!({:?})),\n", package.join(file)));
    let out = PathBuf::from(env::var("OUT_DIR")?).join("go_package.rs");
    fs::write(out, format!("[\n{}]\n", list.concat()))?;
    Ok(())
}

/// Where cargo keeps the crate's source. It knows without the network where all that this platform needs has been
/// fetched, and fetches it where only what is built was: on a machine that builds for the first time.
fn source() -> Result<PathBuf, Box<dyn Error>> {
    let platform = env::var("HOST")?;
    let metadata = |more: &[&str]| {
        let mut cargo = Command::new(env::var("CARGO")?);
        cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform]).args(more);
        Ok::<_, Box<dyn Error>>(cargo.output()?)
    };
    let offline = metadata(&["--offline"])?;
    let output = if offline.status.success() { offline } else { metadata(&[])? };
    let text = String::from_utf8(output.stdout)?;
    // The one thing that is wanted of it is worth no JSON parser.
    let manifests = text.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let folder = |path: &str| Path::new(path).parent().map(Path::to_owned);
    let is_it = |dir: &PathBuf| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(CRATE));
    let found = manifests.filter_map(folder).find(is_it);
    found.ok_or_else(|| {
        format!("cargo metadata does not name {CRATE}: {}", String::from_utf8_lossy(&output.stderr)).into()
    })
}
