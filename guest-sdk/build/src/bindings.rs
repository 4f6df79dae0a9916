//! Bindings for languages that have no generator of their own.

use std::fs;
use std::path::Path;

use wit_bindgen_core::Files;

use crate::{BuildError, Project, world};

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
