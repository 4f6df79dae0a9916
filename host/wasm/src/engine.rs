//! The engine: one for all plugins of a server.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, ModuleVersionStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::EngineConfig;
use crate::compile;
use crate::imports;
use crate::lane;
use crate::state::State;
use crate::ticker::Ticker;

/// What compiled code must have been compiled by. The default of wasmtime is its major version alone, with which code
/// from a compiler with a known bug would be loaded after the bug is fixed.
pub(crate) const BUILD: &str = concat!("wasmail ", env!("CARGO_PKG_VERSION"), ", wasmtime 48.0.8");

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Core instances, tables and memories of one component: composed components and the adapters of languages need a
/// few, and the defaults are unlimited.
pub(crate) const CORE_INSTANCES_MAX: u32 = 32;
pub(crate) const TABLES_MAX: u32 = 8;
pub(crate) const MEMORIES_MAX: u32 = 4;

/// Compiles components and runs them. Cheap to clone; the last one dropped stops the epoch thread.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) config: EngineConfig,
    /// One permit an instance, so that the pool is never asked for more than it has.
    pub(crate) instances: Arc<Semaphore>,
    /// One permit a thread that guests may hold which take long.
    pub(crate) lane: Arc<Semaphore>,
    /// One permit a component that is being compiled.
    pub(crate) compiling: Arc<Semaphore>,
    pub(crate) compiled: AtomicU64,
    _ticker: Ticker,
}

impl Engine {
    /// Reserves the pool of instances and starts the epoch thread.
    ///
    /// # Errors
    /// When the address space for the pool cannot be had (is there a limit on virtual memory?), or no thread.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&pooled(&config).map_err(EngineError::new)?).map_err(EngineError::new)?;
        let ticker = Ticker::start(&wasmtime, config.tick).map_err(EngineError::new)?;
        let linker = imports::linker(&wasmtime).map_err(EngineError::new)?;
        let instances = Arc::new(Semaphore::new(config.max_instances as usize));
        let (compiling, compiled) = (Arc::new(Semaphore::new(compile::at_once())), AtomicU64::new(0));
        let lane = Arc::new(Semaphore::new(lane::places()));
        let inner = Inner { wasmtime, linker, config, instances, lane, compiling, compiled, _ticker: ticker };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many components were compiled, rather than loaded from a cache.
    #[must_use]
    pub fn compiled(&self) -> u64 {
        self.inner.compiled.load(Ordering::Relaxed)
    }

    /// How many instances may be made now; the others exist, in use or waiting for the next call.
    #[must_use]
    pub fn free_instances(&self) -> usize {
        self.inner.instances.available_permits()
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// A digest of everything besides the component that compiled code depends on: compiler, settings, processor.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = ShaHasher(Sha256::new_with_prefix(BUILD));
        self.inner.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.finalize().into()
    }
}

/// Feeds what `Hash` writes to SHA-256.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }
}

/// Compiles a component, and does nothing else: no pool is reserved and no thread is started.
pub(crate) fn precompile(octets: &[u8], instance_memory: usize) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&settings(instance_memory)?)?.precompile_component(octets)
}

/// The settings of an engine that runs what it has compiled.
fn pooled(config: &EngineConfig) -> wasmtime::Result<Config> {
    let mut settings = settings(config.limits.memory)?;
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    Ok(settings)
}

/// The settings of wasmtime that compiled code depends on, and a few more. Whatever is not named here is at its default
/// because the default is what we want.
fn settings(instance_memory: usize) -> wasmtime::Result<Config> {
    let mut settings = Config::new();
    // Cranelift only: Winch has no epochs, and most of the published sandbox escapes.
    settings.strategy(Strategy::Cranelift).cranelift_opt_level(OptLevel::Speed);
    // The same verdict on every machine.
    settings.cranelift_nan_canonicalization(true);
    settings.epoch_interruption(true);
    // Half of the native stack for the guest, the rest for host functions, which do not recurse.
    settings.max_wasm_stack(512 * KIB).async_stack_size(MIB);
    // Should the compiler ever let a guest read a stack slot before writing it, there is nobody else's data in it.
    settings.async_stack_zeroing(true);
    // Guests that await each other's tasks: not needed, and dear on every call.
    settings.concurrency_support(false);
    settings.memory_may_move(false).force_memory_init_memfd(true);
    settings.memory_guaranteed_dense_image_size(instance_memory as u64);
    settings.native_unwind_info(false);
    settings.wasm_backtrace_max_frames(NonZeroUsize::new(20)).wasm_backtrace_details(WasmBacktraceDetails::Disable);
    settings.module_version(ModuleVersionStrategy::Custom(BUILD.to_owned()))?;
    features(&mut settings);
    Ok(settings)
}

/// Proposals that no policy needs stay off; each is attack surface. Multi-memory stays on, for wasmtime needs it to
/// join the parts of a composed component; guests are held to one memory a module by the pool.
///
/// Threads, GC with what needs it (typed references, exceptions) and component-model-async are not even compiled in.
fn features(settings: &mut Config) {
    settings.wasm_memory64(false).wasm_relaxed_simd(false);
    settings.wasm_multi_memory(true).wasm_tail_call(true);
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let (limits, instances) = (&config.limits, config.max_instances);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances).total_stacks(instances);
    // Some guests have several of them: a composed one, or one with an adapter.
    pool.total_memories(instances).total_tables(instances * 3).total_core_instances(instances * 4);
    pool.max_core_instances_per_component(CORE_INSTANCES_MAX);
    pool.max_memories_per_component(MEMORIES_MAX).max_tables_per_component(TABLES_MAX);
    pool.max_memories_per_module(1).max_tables_per_module(2);
    pool.max_memory_size(limits.memory).table_elements(limits.table_elements);
    pool.max_component_instance_size(MIB).max_core_instance_size(MIB);
    // A small guest's dirty pages are wiped in place, found by asking the kernel which they are.
    pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(256 * KIB).table_keep_resident(64 * KIB);
    // What a usual call touches. More is more to wipe after every instance; the rest goes back to the kernel.
    pool.async_stack_keep_resident(16 * KIB);
    pool.max_unused_warm_slots((instances / 4).max(1));
    pool
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare the sandbox: {why}")]
pub struct EngineError {
    why: String,
}

impl EngineError {
    fn new(why: impl std::fmt::Display) -> Self {
        Self { why: format!("{why:#}") }
    }
}
