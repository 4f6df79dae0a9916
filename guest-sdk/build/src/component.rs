//! From a core module to a component.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::BuildError;

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
