//! Makes components of plugins, so that an author needs nothing but the compiler of the language.
//!
//! A project has a file [`PROJECT_FILE`] that says what the plugin is called, in which language it is written, and which
//! hooks it has. [`build`] makes the world of these hooks out of the contract, which is in here; generates bindings where
//! the language has no generator of its own; runs the compiler; and turns what comes out into a component.

mod bindings;
mod clang;
mod component;
mod error;
mod exports;
mod golang;
mod javascript;
mod project;
mod python;
mod quiet;
mod rust;
mod tool;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

pub use error::BuildError;
pub use project::{Language, PROJECT_FILE, Project};
pub use world::{HOOKS, WIT, world};

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it lies.
    pub path: PathBuf,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// Builds the plugin in a directory. The component lies in `build/NAME.wasm` there.
///
/// # Errors
/// Says what is wrong with the project, which compiler is missing and how to get it, or what the compiler said.
pub fn build(dir: &Path) -> Result<Built, BuildError> {
    let project = Project::read(dir)?;
    let out = dir.join("build");
    fs::create_dir_all(&out).map_err(|source| BuildError::File { path: out.clone(), source })?;
    let mut octets = match project.language {
        Language::C => clang::build(&project, dir, &out)?,
        Language::Go => golang::build(&project, dir, &out)?,
        Language::Javascript => javascript::build(&project, dir, &out)?,
        Language::Python => python::build(&project, dir, &out)?,
        Language::Rust => rust::build(dir)?,
    };
    component::sign(&project, &mut octets);
    let path = out.join(&project.name).with_extension("wasm");
    write(&path, &octets)?;
    Ok(Built { path, octets })
}

/// Writes a file.
fn write(path: &Path, octets: impl AsRef<[u8]>) -> Result<(), BuildError> {
    fs::write(path, octets).map_err(|source| BuildError::File { path: path.to_owned(), source })
}

/// Writes a file in a folder, which is made if there is none; the name may have folders of its own.
fn write_below(folder: &Path, name: &str, octets: impl AsRef<[u8]>) -> Result<(), BuildError> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|source| BuildError::File { path: parent.to_owned(), source })?;
    write(&path, octets)
}
