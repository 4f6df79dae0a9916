//! Bindings for languages that have no generator of their own.

use std::fs;
use std::path::Path;

use wit_bindgen_core::Files;

use crate::{BuildError, Project, world, write_below};

/// Writes the C bindings of a project's world: `plugin.h`, `plugin.c` and `plugin_component_type.o`.
pub(crate) fn c(project: &Project, out: &Path) -> Result<(), BuildError> {
    let (mut resolve, world) = world::resolve(project.hooks.iter().map(String::as_str))?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files).map_err(|why| BuildError::World(format!("{why:?}")))?;
    for (name, octets) in files.iter() {
        let path = out.join(name);
        fs::write(&path, octets).map_err(|source| BuildError::File { path, source })?;
    }
    Ok(())
}

/// The module that the Go bindings belong to, and with it the SDK.
const GO_MODULE: &str = "wasmail";
/// What they would fetch, and what stands for it in that module: the same, as it came with the generator.
const GO_RUNTIME: (&str, &str) = ("\"go.bytecodealliance.org/pkg/wit/", "\"wasmail/wit/");

/// Writes the Go bindings of a project's world into the SDK's module: a package for each interface in `bindings/`.
pub(crate) fn go(project: &Project, module: &Path) -> Result<(), BuildError> {
    let (mut resolve, world) = world::resolve(project.hooks.iter().map(String::as_str))?;
    let package = Some(format!("{GO_MODULE}/bindings"));
    let options =
        wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, pkg_name: package, ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).map_err(|why| BuildError::World(format!("{why:?}")))?;
    for (name, octets) in files.iter() {
        let text = String::from_utf8_lossy(octets).replace(GO_RUNTIME.0, GO_RUNTIME.1);
        write_below(&module.join("bindings"), name, text)?;
    }
    Ok(())
}
