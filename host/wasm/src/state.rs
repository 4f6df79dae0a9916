//! What the host keeps for one instance.

use std::sync::Arc;

use wasmail_services::{Capabilities, Used};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::engine::Inner;
use crate::imports::{self, GuestLog};
use crate::limiter::Limiter;

/// What the host keeps for one instance.
pub(crate) struct State {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) log: GuestLog,
    /// What the binding was granted.
    pub(crate) capabilities: Capabilities,
    /// What this call has used of it.
    pub(crate) used: Used,
    /// Ticks of CPU time left.
    ticks: u32,
    /// Calls of host functions left.
    host_calls: u32,
}

impl State {
    /// Counts a call of a host function.
    pub(crate) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        let left = self.host_calls.checked_sub(1);
        self.host_calls = left.ok_or_else(|| wasmtime::Error::msg("too many calls of host functions"))?;
        Ok(())
    }

    /// Takes a tick from the CPU budget; once it is used up, the guest is interrupted.
    fn tick(&mut self) -> UpdateDeadline {
        match self.ticks.checked_sub(1) {
            Some(left) => {
                self.ticks = left;
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            }
            None => UpdateDeadline::Interrupt,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A store with every limit set, before any code of the guest can run in it.
pub(crate) fn store(engine: &Inner, plugin: &Arc<str>, capabilities: Capabilities) -> Store<State> {
    let limits = &engine.config.limits;
    let log = GuestLog::new(Arc::clone(plugin), limits.log_lines, limits.log_line);
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.resources);
    let wasi = imports::wasi(&log, limits.random);
    let limiter = Limiter::new(limits.memory);
    let used = Used::default();
    let state = State { wasi, table, limiter, log, capabilities, used, ticks: 0, host_calls: 0 };
    let mut store = Store::new(&engine.wasmtime, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.lifted);
    store.set_max_component_handles(limits.handles);
    store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
    store
}

/// Gives the guest the budgets of one call.
pub(crate) fn begin(store: &mut Store<State>, engine: &Inner, connection: &str) {
    let state = store.data_mut();
    state.ticks = engine.config.limits.ticks(engine.config.tick);
    state.used = Used::default();
    state.host_calls = engine.config.limits.host_calls;
    state.log.begin(connection);
    // The next tick is the first one charged.
    store.set_epoch_deadline(1);
}
