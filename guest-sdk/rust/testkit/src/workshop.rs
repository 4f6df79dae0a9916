//! The engine that all tests of a process share, and the components that it has loaded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::Runtime;
use wasmail_wasm::{Cache, Component, Engine, EngineConfig};

use crate::build;

/// Instances at once: tests run side by side, each with a chain of some plugins.
const INSTANCES_MAX: u32 = 256;

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A crate's directory.
    Crate(PathBuf),
    /// The component itself.
    Octets(Arc<[u8]>),
    /// A plugin that comes with the server.
    Bundled(&'static str),
}

/// Loads components, each once.
pub(crate) struct Workshop {
    engine: Engine,
    cache: Option<Cache>,
    loaded: Mutex<HashMap<Source, Component>>,
}

impl Workshop {
    /// The one of this process. Compiled code is kept below the target directory of the crate asked for first.
    pub(crate) fn get() -> &'static Self {
        static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
        WORKSHOP.get_or_init(|| {
            let engine = Engine::new(EngineConfig { max_instances: INSTANCES_MAX, ..EngineConfig::default() });
            let engine = engine.unwrap_or_else(|error| panic!("{error}"));
            // Without a cache it takes longer, nothing else.
            let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            let cache = build::cache_dir(Path::new(&here)).ok().and_then(|dir| Cache::open(dir).ok());
            Self { engine, cache, loaded: Mutex::default() }
        })
    }

    /// The component of a source.
    pub(crate) fn load(&self, runtime: &Runtime, source: &Source) -> Result<Component, String> {
        // Held while compiling: another test that wants the same component waits for it.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = loaded.get(source) {
            return Ok(component.clone());
        }
        let octets = source.octets()?;
        let component = runtime.block_on(self.engine.load(&octets, self.cache.as_ref()));
        let component = component.map_err(|error| format!("the component is no plugin: {error}"))?;
        loaded.insert(source.clone(), component.clone());
        Ok(component)
    }
}

impl Source {
    /// The octets of the component.
    pub(crate) fn octets(&self) -> Result<Arc<[u8]>, String> {
        match self {
            Self::Crate(dir) => build::component(dir).map(Into::into),
            Self::Octets(octets) => Ok(Arc::clone(octets)),
            Self::Bundled(name) => match wasmail_shelf::get(name) {
                Some(bundled) => Ok(bundled.component.into()),
                None => Err(format!("no plugin of the name `{name}` comes with the server")),
            },
        }
    }
}
