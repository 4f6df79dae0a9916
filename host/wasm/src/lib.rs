//! The only room that knows wasmtime: loads policy components and calls their hooks.
//!
//! An [`Engine`] loads a [`Component`], which is bound with a configuration to become a [`Bound`]: a
//! [`wasmail_policy::Plugin`] that the chain can ask. Nothing that a guest does stops the process, blocks a thread for
//! longer than a tick, or takes more than its [`Limits`]; whatever goes wrong inside comes back as a
//! [`wasmail_policy::Fault`], and the instance it happened in is never used again.

mod about;
mod bindings;
mod bound;
mod cache;
mod check;
mod compile;
mod component;
mod config;
mod delivery;
mod engine;
mod fault;
mod hooks;
mod imports;
mod instance;
mod lane;
mod lift;
mod limiter;
mod lower;
mod manifest;
mod patience;
mod size;
mod state;
mod text;
mod ticker;

pub use about::About;
pub use bound::{Bind, BindError, Bound};
pub use cache::{Cache, CacheError};
pub use check::LoadError;
pub use compile::{ChildCompiler, CompileArgs, CompileLimits, Compiler, compile_as_child};
pub use component::{Component, Info};
pub use config::{Budget, EngineConfig, Life, Limits};
pub use engine::{Engine, EngineError};
pub use manifest::Manifest;
