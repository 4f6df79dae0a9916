//! `wasmail plugin new`: a project that builds and passes its test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use thiserror::Error;

use super::NewArgs;
use crate::out::say;

/// What is written, by its path in the project.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    (".gitignore", "/target\n"),
    ("README.md", include_str!("../../template/README.md")),
    ("config.schema.json", include_str!("../../template/config.schema.json")),
    ("dialogs/refused.txt", include_str!("../../template/dialogs/refused.txt")),
    ("src/lib.rs", include_str!("../../template/src/lib.rs")),
    ("tests/dialogs.rs", include_str!("../../template/tests/dialogs.rs")),
];

/// The checkout that this program was built from. It has the SDK, unless it has been moved or removed since.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[derive(Debug, Error, Diagnostic)]
enum NewError {
    #[error("`{0}` is no name for a plugin")]
    #[diagnostic(help(
        "use lower-case letters, digits and single hyphens, beginning with a letter, such as `greylist`"
    ))]
    Name(String),
    #[error("{0} is there already and not empty")]
    #[diagnostic(help("name another directory with --dir, or remove that one"))]
    NotEmpty(PathBuf),
    #[error("there is no guest SDK in {0}")]
    #[diagnostic(help("name a checkout of wasmail with --sdk PATH"))]
    NoSdk(PathBuf),
    #[error("{path} cannot be written: {source}")]
    #[diagnostic(help("name another directory with --dir"))]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the project and says what to do with it.
pub(crate) fn run(args: &NewArgs) -> miette::Result<()> {
    check_name(&args.name)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let sdk = sdk(args.sdk.as_deref(), &dir)?;
    check_empty(&dir)?;
    for (path, template) in FILES {
        write(&dir.join(path), &filled(template, &args.name, &sdk))?;
    }
    // The same versions as the server's: they are known to build, and what is compiled already is not compiled again.
    if let Ok(lock) = fs::read_to_string(sdk.join("Cargo.lock")) {
        write(&dir.join("Cargo.lock"), &lock)?;
    }
    say_what_next(&args.name, &dir);
    Ok(())
}

fn say_what_next(name: &str, dir: &Path) {
    let (dir, file) = (dir.display(), name.replace('-', "_"));
    say!(
        "Wrote the plugin `{name}` to {dir}.\n\n\
         Try it:    cd {dir} && cargo test\n\
         Build it:  cd {dir} && cargo build --profile guest --target wasm32-wasip2\n\
         Use it:    [[plugin]]\n           \
         name = \"{name}\"\n           \
         module = \"{dir}/target/wasm32-wasip2/guest/{file}.wasm\"\n\n\
         The first test compiles the sandbox, which takes some minutes."
    );
}

/// A name is a package's and a folder's, and with underscores a crate's.
fn check_name(name: &str) -> Result<(), NewError> {
    let part_is_good =
        |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit());
    let begins_well = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    // Cargo refuses these as names of packages.
    let is_reserved = ["test", "core", "std", "alloc", "self", "super", "crate"].contains(&name);
    if begins_well && name.len() <= 64 && !is_reserved && name.split('-').all(part_is_good) {
        return Ok(());
    }
    Err(NewError::Name(name.to_owned()))
}

/// The checkout with the SDK: the one that was named, one around the new project, or the one we were built from.
fn sdk(named: Option<&Path>, dir: &Path) -> Result<PathBuf, NewError> {
    let has_sdk = |path: &Path| path.join("guest-sdk/rust/sdk/Cargo.toml").is_file();
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let around = absolute.ancestors().find(|path| has_sdk(path));
    let found = named.or(around).unwrap_or(Path::new(BUILT_FROM));
    if !has_sdk(found) {
        return Err(NewError::NoSdk(found.to_owned()));
    }
    found.canonicalize().map_err(|source| NewError::Write { path: found.to_owned(), source })
}

fn check_empty(dir: &Path) -> Result<(), NewError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(NewError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(NewError::Write { path: dir.to_owned(), source }),
    }
}

fn filled(template: &str, name: &str, sdk: &Path) -> String {
    // A TOML string in double quotes takes backslashes and quotes only escaped.
    let sdk = sdk.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    template
        .replace("{{name}}", name)
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{type}}", &type_name(name))
        .replace("{{sdk}}", &sdk)
}

/// `not-from` becomes `NotFrom`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('-').map(capital).collect()
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    let written = fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).and_then(|()| fs::write(path, text));
    written.map_err(|source| NewError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_packages_name() {
        for good in ["greylist", "not-from", "a1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Grey", "1st", "a--b", "-a", "a-", "a_b", "../a", "test", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_type_is_named_after_the_plugin() {
        assert_eq!(type_name("not-from-here"), "NotFromHere");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, template) in FILES {
            let text = filled(template, "not-from", Path::new("/somewhere/\"odd\""));
            assert!(!text.contains("{{"), "{path}: {text}");
        }
        let manifest = filled(FILES[0].1, "not-from", Path::new("/somewhere/\"odd\""));
        assert!(toml::from_str::<toml::Table>(&manifest).is_ok(), "{manifest}");
    }
}
