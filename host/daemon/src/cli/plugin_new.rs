//! `wasmail plugin new`: a project that builds and passes its test, in one of the languages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use miette::Diagnostic;
use thiserror::Error;

use super::NewArgs;
use crate::out::say;

/// What is written, by its path in the project.
type Files = &'static [(&'static str, &'static str)];

/// In every language.
const COMMON: Files = &[
    ("config.schema.json", include_str!("../../template/common/config.schema.json")),
    ("dialogs/refused.txt", include_str!("../../template/common/dialogs/refused.txt")),
];
const RUST: Files = &[
    ("Cargo.toml", include_str!("../../template/rust/Cargo.toml.in")),
    (".gitignore", "/build\n/target\n"),
    ("README.md", include_str!("../../template/rust/README.md")),
    ("src/lib.rs", include_str!("../../template/rust/src/lib.rs")),
    ("tests/dialogs.rs", include_str!("../../template/rust/tests/dialogs.rs")),
    ("wasmail-plugin.toml", include_str!("../../template/rust/wasmail-plugin.toml")),
];
const C: Files = &[
    (".gitignore", "/build\n"),
    ("README.md", include_str!("../../template/common/README.md")),
    ("plugin.c", include_str!("../../template/c/plugin.c")),
    ("wasmail-plugin.toml", include_str!("../../template/common/wasmail-plugin.toml")),
];
const JAVASCRIPT: Files = &[
    (".gitignore", "/build\n/node_modules\n"),
    ("README.md", include_str!("../../template/common/README.md")),
    ("package.json", include_str!("../../template/javascript/package.json")),
    ("package-lock.json", include_str!("../../template/javascript/package-lock.json")),
    ("plugin.js", include_str!("../../template/javascript/plugin.js")),
    ("wasmail-plugin.toml", include_str!("../../template/common/wasmail-plugin.toml")),
];

const GO: Files = &[
    (".gitignore", "/build\n"),
    ("README.md", include_str!("../../template/common/README.md")),
    ("go.mod", include_str!("../../template/go/go.mod.in")),
    ("plugin.go", include_str!("../../template/go/plugin.go")),
    ("wasmail-plugin.toml", include_str!("../../template/common/wasmail-plugin.toml")),
];
const PYTHON: Files = &[
    (".gitignore", "/build\n__pycache__\n"),
    ("README.md", include_str!("../../template/common/README.md")),
    ("plugin.py", include_str!("../../template/python/plugin.py")),
    ("requirements.txt", include_str!("../../template/python/requirements.txt")),
    ("wasmail-plugin.toml", include_str!("../../template/common/wasmail-plugin.toml")),
];

/// A language that a project can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Lang {
    /// With unit tests, and dialogues in `cargo test`.
    #[default]
    Rust,
    /// For clang.
    C,
    /// On QuickJS.
    #[value(alias = "js")]
    Javascript,
    /// By its own compiler.
    Go,
    /// On CPython.
    Python,
}

impl Lang {
    fn files(self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let own = match self {
            Self::Rust => RUST,
            Self::C => C,
            Self::Javascript => JAVASCRIPT,
            Self::Go => GO,
            Self::Python => PYTHON,
        };
        COMMON.iter().chain(own)
    }

    /// As `wasmail-plugin.toml` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Javascript => "javascript",
            Self::Go => "go",
            Self::Python => "python",
        }
    }

    /// What is to be done before the first build.
    fn prepare(self) -> &'static str {
        match self {
            Self::Javascript => "npm ci",
            Self::Python => "pip install -r requirements.txt",
            Self::Rust | Self::C | Self::Go => "",
        }
    }
}

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
    let sdk = (args.lang == Lang::Rust).then(|| sdk(args.sdk.as_deref(), &dir)).transpose()?;
    check_empty(&dir)?;
    for (path, template) in args.lang.files() {
        write(&dir.join(path), &filled(template, args.lang, &args.name, sdk.as_deref()))?;
    }
    // The same versions as the server's: they are known to build, and what is compiled already is not compiled again.
    if let Some(lock) = sdk.and_then(|sdk| fs::read_to_string(sdk.join("Cargo.lock")).ok()) {
        write(&dir.join("Cargo.lock"), &lock)?;
    }
    say_what_next(args.lang, &args.name, &dir);
    Ok(())
}

fn say_what_next(lang: Lang, name: &str, dir: &Path) {
    let dir = dir.display();
    let prepare = Some(lang.prepare()).filter(|what| !what.is_empty()).map(|what| format!("{what} && "));
    let first = match lang {
        Lang::Rust => format!(
            "Try it:    cd {dir} && cargo test\n           \
             The first test compiles the sandbox, which takes some minutes.\n"
        ),
        _ => String::new(),
    };
    say!(
        "Wrote the plugin `{name}` to {dir}.\n\n\
         {first}Build it:  cd {dir} && {}wasmail plugin build\n\
         Test it:   cd {dir} && wasmail plugin test\n\
         Use it:    [[plugin]]\n           \
         name = \"{name}\"\n           \
         module = \"{dir}/build/{name}.wasm\"",
        prepare.unwrap_or_default()
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

fn filled(template: &str, lang: Lang, name: &str, sdk: Option<&Path>) -> String {
    // A TOML string in double quotes takes backslashes and quotes only escaped.
    let sdk = sdk.map(|sdk| sdk.display().to_string().replace('\\', "\\\\").replace('"', "\\\""));
    let prepare = Some(lang.prepare()).filter(|what| !what.is_empty()).map(|what| format!("{what}\n"));
    template
        .replace("{{name}}", name)
        .replace("{{language}}", lang.name())
        .replace("{{prepare}}", &prepare.unwrap_or_default())
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{type}}", &type_name(name))
        .replace("{{sdk}}", &sdk.unwrap_or_default())
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
        let sdk = Path::new("/somewhere/\"odd\"");
        for lang in Lang::value_variants() {
            for (path, template) in lang.files() {
                let text = filled(template, *lang, "not-from", Some(sdk));
                assert!(!text.contains("{{"), "{path}: {text}");
            }
        }
        let manifest = filled(RUST[0].1, Lang::Rust, "not-from", Some(sdk));
        assert!(toml::from_str::<toml::Table>(&manifest).is_ok(), "{manifest}");
    }
}
