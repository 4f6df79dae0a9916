//! A component that has been checked, compiled and asked what it is.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};
use wasmail_policy::{Hook, HookSet, outbound};
use wasmtime::component::InstancePre;

use crate::about::About;
use crate::cache::{Cache, hex};
use crate::check::{LoadError, Shape, check, validate};
use crate::compile::{self, ChildCompiler, Compiler};
use crate::hooks::Indices;
use crate::instance::{Instance, Owner};
use crate::lane::Pace;
use crate::manifest::{Manifest, Pointer};
use crate::state::State;
use crate::{Bind, BindError, Bound, Engine};

/// A component that can be bound. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    pub(crate) loaded: Arc<Loaded>,
}

pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<State>,
    pub(crate) indices: Indices,
    pub(crate) info: Info,
    /// The notes that the plugin is shown.
    pub(crate) pointers: Vec<Pointer>,
}

/// What there is to know about a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Who made it, as its custom sections say.
    pub about: About,
    /// The hooks of a connection that it exports.
    pub hooks: HookSet,
    /// The hooks of delivery that it exports.
    pub outbound: outbound::HookSet,
    /// Whether it takes a configuration.
    pub configurable: bool,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    /// SHA-256 of the component, in hexadecimal.
    pub sha256: String,
    /// Size of the component, in octets.
    pub size: usize,
}

impl Info {
    /// The names of all hooks that it exports.
    #[must_use]
    pub fn hook_names(&self) -> Vec<&'static str> {
        let of_delivery = self.outbound.iter().map(outbound::Hook::name);
        self.hooks.iter().map(Hook::name).chain(of_delivery).collect()
    }
}

impl Engine {
    /// Checks a component, compiles it or takes the compiled code from the cache, and has it describe itself.
    ///
    /// Compiling takes one to two milliseconds a kilobyte, on a thread of its own, or in a process of its own where
    /// [`crate::Compiler`] says so. As many are compiled at once as there are cores. Needs a tokio runtime.
    ///
    /// # Errors
    /// Says precisely why the component is not acceptable and what to do about it.
    pub async fn load(&self, octets: &[u8], cache: Option<&Cache>) -> Result<Component, LoadError> {
        let (engine, cache, octets) = (self.clone(), cache.cloned(), octets.to_vec());
        let turn = Arc::clone(&self.inner.compiling).acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            engine.compile(&octets, cache.as_ref())
        });
        // A panic in the compiler is no reason to stop: nothing of ours was touched.
        let compiled = work.await.map_err(|_| LoadError::Compile("the compiler failed".to_owned()))??;
        compiled.describe(self).await
    }

    fn compile(&self, octets: &[u8], cache: Option<&Cache>) -> Result<Compiled, LoadError> {
        let shape = check(octets, self.inner.config.limits.component)?;
        let sha256 = Sha256::digest(octets);
        let key = hex(&Sha256::new().chain_update(sha256).chain_update(self.fingerprint()).finalize());
        // What is in the cache was valid when it was compiled, and its octets are the same.
        let cached = cache.and_then(|cache| cache.load(&self.inner.wasmtime, &key));
        let component = match (cached, &self.inner.config.compiler) {
            (Some(component), _) => component,
            (None, Compiler::Here) => self.compile_here(octets, &key, cache)?,
            (None, Compiler::Child(child)) => self.compile_in_child(child, octets, &key, cache)?,
        };
        let pre = self.inner.linker.instantiate_pre(&component).map_err(|why| LoadError::Types(format!("{why:#}")))?;
        Ok(Compiled { pre, shape, sha256: hex(&sha256), size: octets.len() })
    }

    fn compile_here(
        &self,
        octets: &[u8],
        key: &str,
        cache: Option<&Cache>,
    ) -> Result<wasmtime::component::Component, LoadError> {
        validate(octets)?;
        let component = wasmtime::component::Component::from_binary(&self.inner.wasmtime, octets)
            .map_err(|why| LoadError::Compile(format!("{why:#}")))?;
        self.inner.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(cache) = cache {
            cache.store(key, &component);
        }
        Ok(component)
    }

    fn compile_in_child(
        &self,
        child: &ChildCompiler,
        octets: &[u8],
        key: &str,
        cache: Option<&Cache>,
    ) -> Result<wasmtime::component::Component, LoadError> {
        let failed = |why: String| LoadError::Compile(format!("no place for the compiled code: {why}"));
        // What is loaded stays mapped when its file is gone, so without a cache a directory for a moment does.
        let passing = match cache {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|why| failed(why.to_string()))?),
        };
        let cache = match (cache, &passing) {
            (None, Some(dir)) => Cache::open(dir.path()).map_err(|why| failed(why.to_string()))?,
            (cache, _) => cache.cloned().ok_or_else(|| failed("none is given".to_owned()))?,
        };
        let memory = self.inner.config.limits.memory;
        let store = |artifact: &mut File| compile::compile(child, octets, memory, artifact);
        cache.store_with(key, store, |why| failed(why.to_string()))?;
        let component = cache.load(&self.inner.wasmtime, key);
        self.inner.compiled.fetch_add(1, Ordering::Relaxed);
        component
            .ok_or_else(|| LoadError::Compile("what the compiler left cannot be loaded; the log says why".to_owned()))
    }
}

/// A component that has not been asked yet.
struct Compiled {
    pre: InstancePre<State>,
    shape: Shape,
    sha256: String,
    size: usize,
}

impl Compiled {
    async fn describe(self, engine: &Engine) -> Result<Component, LoadError> {
        let manifest = Instance::describe(engine, &self.pre).await?;
        let indices = Indices::new(&self.pre, &self.shape).map_err(|why| LoadError::Types(format!("{why:#}")))?;
        let pointers = manifest.pointers();
        let Shape { imports, exports, hooks, outbound, configurable, about } = self.shape;
        let info = Info {
            manifest,
            about,
            hooks,
            outbound,
            configurable,
            imports,
            exports,
            sha256: self.sha256,
            size: self.size,
        };
        let component =
            Component { loaded: Arc::new(Loaded { engine: engine.clone(), pre: self.pre, indices, info, pointers }) };
        component.check_types().await?;
        Ok(component)
    }
}

impl Component {
    /// What there is to know about it.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.loaded.info
    }

    /// Gives it a name and a configuration, so that it can be asked.
    ///
    /// An instance is started at once: a wrong configuration is found here and not when the first mail comes. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the plugin refuses the configuration, with its own text, or cannot be started.
    pub async fn bind(&self, bind: Bind) -> Result<Bound, BindError> {
        Bound::start(self.clone(), bind).await
    }

    /// Resolves every hook once, so that one whose function has another type is found now.
    async fn check_types(&self) -> Result<(), LoadError> {
        let (name, pace) = (self.info().manifest.name.as_str().into(), Pace::default());
        let owner = Owner::nobody(&name, &self.loaded.engine.inner.config.limits, &pace);
        let started = Instance::start(&self.loaded, owner, None).await;
        let mut instance = started.map_err(|fault| LoadError::Describe(fault.to_string()))?;
        instance.resolve_all(&self.loaded).map_err(|why| LoadError::Types(format!("{why:#}")))
    }
}
