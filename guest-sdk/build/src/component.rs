//! From a core module to a component.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasm_encoder::{ComponentSection, CustomSection};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::{BuildError, Project, world};

/// Makes a component of a module whose bindings say what it imports and exports. What it imports of WASI's first preview
/// goes through the adapter; a module that imports nothing of it has none of it afterwards.
pub(crate) fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let why = |why: anyhow::Error| BuildError::Component(format!("{why:#}"));
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|encoder| encoder.encode())
        .map_err(why)
}

/// The same, for a module whose bindings do not say it.
pub(crate) fn encode_for(project: &Project, mut module: Vec<u8>) -> Result<Vec<u8>, BuildError> {
    let (resolve, world) = world::resolve(project.hooks.iter().map(String::as_str))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|why| BuildError::Component(format!("{why:#}")))?;
    encode(&module)
}

/// Writes into a component who made it, in the custom sections of WebAssembly's tool conventions; what a compiler wrote there already is
/// overruled by what comes last.
pub(crate) fn sign(project: &Project, component: &mut Vec<u8>) {
    let said = [("authors", &project.authors), ("licenses", &project.licenses), ("source", &project.source)];
    for (name, text) in said {
        if let Some(text) = text {
            CustomSection { name: name.into(), data: text.as_bytes().into() }.append_to_component(component);
        }
    }
}
