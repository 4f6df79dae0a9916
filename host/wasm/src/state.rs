//! What the host keeps for one instance.

use std::sync::Arc;
use std::time::Duration;

use wasmail_services::mail_auth::Case;
use wasmail_services::tcp::Conversations;
use wasmail_services::{Capabilities, Used};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::Limits;
use crate::engine::Inner;
use crate::imports::{self, GuestLog, Message};
use crate::instance::Owner;
use crate::lane::Turn;
use crate::limiter::Limiter;

/// What the host keeps for one instance.
pub(crate) struct State {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) log: GuestLog,
    /// What the hook is about, while it runs.
    pub(crate) message: Option<Message>,
    /// What may be judged, while it runs.
    pub(crate) case: Option<Case>,
    /// What the binding was granted.
    pub(crate) capabilities: Capabilities,
    /// What this call has used of it.
    pub(crate) used: Used,
    /// The connections of this call.
    pub(crate) conversations: Conversations,
    /// Its turns in the slow lane.
    pub(crate) turn: Arc<Turn>,
    /// CPU time left.
    cpu: Duration,
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

    /// Takes a slice from the CPU budget; once that is used up, the guest is interrupted.
    fn tick(&mut self) -> UpdateDeadline {
        match self.cpu.checked_sub(self.turn.slice_is_over()) {
            Some(left) => {
                self.cpu = left;
                let turn = Arc::clone(&self.turn);
                UpdateDeadline::YieldCustom(1, Box::pin(async move { turn.take().await }))
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
pub(crate) fn store(engine: &Inner, owner: Owner<'_>) -> Store<State> {
    let limits = owner.limits;
    let log = GuestLog::new(Arc::clone(owner.name), limits.log_lines, limits.log_line);
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.resources);
    let wasi = imports::wasi(&log, limits.random);
    let limiter = Limiter::new(limits.memory);
    let turn = Turn::new(&engine.lane, owner.pace, engine.config.tick);
    let (capabilities, used, conversations) = (owner.capabilities.clone(), Used::default(), Conversations::default());
    let (cpu, host_calls, message, case) = (Duration::ZERO, 0, None, None);
    let state =
        State { wasi, table, limiter, log, message, case, capabilities, used, conversations, turn, cpu, host_calls };
    let mut store = Store::new(&engine.wasmtime, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.lifted);
    store.set_max_component_handles(limits.handles);
    store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
    store
}

/// Gives the guest the budgets of one call.
pub(crate) fn begin(store: &mut Store<State>, limits: &Limits, connection: &str) {
    let state = store.data_mut();
    state.cpu = limits.cpu;
    state.used = Used::default();
    // Code that ran when the instance was made may have left some.
    state.conversations.end();
    state.host_calls = limits.host_calls;
    state.log.begin(connection);
    let first = state.turn.first_slice();
    store.set_epoch_deadline(first);
}

/// Takes away what belongs to the call alone: its message, what may be judged of it, and its connections.
pub(crate) fn end(store: &mut Store<State>) {
    let state = store.data_mut();
    (state.message, state.case) = (None, None);
    state.conversations.end();
    state.log.end();
}
