//! One instance of a component in its store.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wasmail_policy::{Fault, Hook, Outcome, Question, outbound};
use wasmail_services::Capabilities;
use wasmtime::Store;
use wasmtime::component::{self, InstancePre};

use crate::bindings::exports::wasmail::policy::describe;
use crate::check::LoadError;
use crate::component::Loaded;
use crate::engine::{Engine, Inner};
use crate::hooks::Functions;
use crate::imports::{self, Message};
use crate::lane::{Pace, Turn};
use crate::lower::{Facts, Lists, Records, Sight};
use crate::manifest::Manifest;
use crate::state::{self, State};
use crate::text::escaped;
use crate::{Limits, delivery, fault, lift, patience};

/// Octets of what a plugin says about its configuration.
const REFUSAL_MAX: usize = 1_024;

/// One instance. After a fault it must be dropped.
pub(crate) struct Instance {
    store: Store<State>,
    instance: component::Instance,
    functions: Functions,
    calls: u32,
    /// Memory in use when it was ready.
    memory: usize,
    _place: Place,
}

/// A place in the pool, and in the binding's share of it; dropped, it is free again.
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_binding: Option<OwnedSemaphorePermit>,
}

/// Why an instance could not be made ready.
pub(crate) enum StartError {
    /// The plugin refuses its configuration, in its own words.
    Refused(String),
    /// It failed.
    Fault(Fault),
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl Instance {
    /// Starts an instance and, where there is a configuration, has it take that.
    ///
    /// Code of the guest may run here already, so the budgets of a call hold.
    pub(crate) async fn start(loaded: &Loaded, owner: Owner<'_>, config: Option<&str>) -> Result<Self, StartError> {
        let mut instance = Self::instantiate(&loaded.engine, &loaded.pre, owner).await?;
        if let Some(config) = config {
            instance.configure(loaded, owner.limits, config).await?;
        }
        instance.memory = instance.store.data().limiter.used();
        Ok(instance)
    }

    async fn instantiate(engine: &Engine, pre: &InstancePre<State>, owner: Owner<'_>) -> Result<Self, Fault> {
        let place = place(&engine.inner, owner).await?;
        let mut store = state::store(&engine.inner, owner);
        state::begin(&mut store, owner.limits, "");
        let turn = Arc::clone(&store.data().turn);
        let instance = turn.drive(pin!(pre.instantiate_async(&mut store))).await;
        match instance {
            Ok(instance) => {
                Ok(Self { store, instance, functions: Functions::default(), calls: 0, memory: 0, _place: place })
            }
            Err(error) => Err(fault::of_start(&error, store.data_mut())),
        }
    }

    async fn configure(&mut self, loaded: &Loaded, limits: &Limits, config: &str) -> Result<(), StartError> {
        state::begin(&mut self.store, limits, "");
        let turn = self.turn();
        let configured = turn.drive(pin!(self.call_configure(loaded, config))).await;
        state::end(&mut self.store);
        match configured {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(StartError::Refused(escaped(&refusal, REFUSAL_MAX))),
            Err(error) => Err(fault::of_start(&error, self.store.data_mut()).into()),
        }
    }

    async fn call_configure(&mut self, loaded: &Loaded, config: &str) -> wasmtime::Result<Result<(), String>> {
        let Self { store, instance, functions, .. } = self;
        match functions.configure(&loaded.indices, store, instance)? {
            Some(guest) => guest.call_configure(store, config).await,
            None => Ok(Ok(())),
        }
    }

    /// Has a component describe itself, in an instance that does nothing else.
    pub(crate) async fn describe(engine: &Engine, pre: &InstancePre<State>) -> Result<Manifest, LoadError> {
        let types = |why: wasmtime::Error| LoadError::Types(format!("{why:#}"));
        let indices = describe::GuestIndices::new(pre).map_err(types)?;
        let limits = &engine.inner.config.limits;
        let described = pin!(async {
            let (name, pace) = ("(loading)".into(), Pace::default());
            let owner = Owner::nobody(&name, limits, &pace);
            let mut instance = Self::instantiate(engine, pre, owner).await?;
            state::begin(&mut instance.store, limits, "");
            let guest = match indices.load(&mut instance.store, &instance.instance) {
                Ok(guest) => guest,
                Err(why) => return Ok(Err(types(why))),
            };
            let turn = instance.turn();
            let described = turn.drive(pin!(guest.call_describe(&mut instance.store))).await;
            described.map(Ok).map_err(|error| fault::of_call(&error, instance.store.data_mut()))
        });
        let manifest = patience::within(limits.wall_clock, described)
            .await
            .map_err(|fault| LoadError::Describe(fault.to_string()))??;
        Manifest::check(manifest).map_err(LoadError::Manifest)
    }

    pub(crate) fn resolve_all(&mut self, loaded: &Loaded) -> wasmtime::Result<()> {
        self.functions.resolve_all(&loaded.indices, &mut self.store, &self.instance)
    }

    /// Puts a question to it.
    pub(crate) async fn ask(
        &mut self,
        loaded: &Loaded,
        limits: &Limits,
        question: &Question<'_>,
    ) -> Result<Outcome, Fault> {
        self.begin(limits, &question.context.connection.uuid);
        let sight = Sight { manifest: &loaded.info.manifest, pointers: &loaded.pointers };
        let facts = Facts::new(question, sight);
        let lists = Lists::new(&facts);
        let records = Records::new(&facts, &lists);
        let state = self.store.data_mut();
        state.message = Message::of(question);
        state.case = state.capabilities.mail_auth.as_ref().and_then(|_| imports::case(question));
        let turn = self.turn();
        let outcome = turn.drive(pin!(self.call(loaded, question, &records))).await;
        self.end(outcome)
    }

    /// Puts a question about delivery to it.
    pub(crate) async fn ask_outbound(
        &mut self,
        loaded: &Loaded,
        limits: &Limits,
        question: &outbound::Question<'_>,
    ) -> Result<outbound::Verdict, Fault> {
        self.begin(limits, &question.consignment.uuid);
        let sight = Sight { manifest: &loaded.info.manifest, pointers: &loaded.pointers };
        let facts = delivery::Facts::new(question, &sight);
        let records = delivery::Records::new(&facts);
        self.store.data_mut().message = Some(Message::on_its_way(question.consignment));
        let turn = self.turn();
        let Self { store, instance, functions, .. } = self;
        let verdict = turn.drive(pin!(delivery::call(loaded, functions, store, instance, &records))).await;
        self.end(verdict)
    }

    fn begin(&mut self, limits: &Limits, connection: &str) {
        state::begin(&mut self.store, limits, connection);
        self.calls += 1;
    }

    /// What a call has come to.
    fn end<T>(&mut self, called: wasmtime::Result<Result<T, Fault>>) -> Result<T, Fault> {
        state::end(&mut self.store);
        match called {
            Ok(answer) => answer,
            Err(error) => Err(fault::of_call(&error, self.store.data_mut())),
        }
    }

    async fn call(
        &mut self,
        loaded: &Loaded,
        question: &Question<'_>,
        records: &Records<'_>,
    ) -> wasmtime::Result<Result<Outcome, Fault>> {
        let Self { store, instance, functions, .. } = self;
        let indices = &loaded.indices;
        let connection = records.connection();
        let transaction = || records.transaction().ok_or_else(|| no("transaction"));
        let candidate = || records.candidate().ok_or_else(|| no("recipient"));
        let parameters = imports::parameters(question);
        let part = || imports::part(question, &parameters).ok_or_else(|| no("part"));
        let denial = || records.denial().ok_or_else(|| no("refusal"));
        macro_rules! put {
            ($hook:ident, $call:ident, $lift:ident $(, $argument:expr)*) => {{
                let guest = functions.$hook(indices, store, instance)?;
                lift::$lift(guest.$call(store, connection $(, $argument)*).await?)
            }};
        }
        Ok(match question.hook {
            Hook::ConnectInit => put!(connect_init, call_connect_init, changes),
            Hook::LookupRdns => put!(lookup_rdns, call_lookup_rdns, outcome),
            Hook::Connect => put!(connect, call_connect, connect_outcome),
            Hook::Helo => put!(helo, call_helo, outcome),
            Hook::Ehlo => put!(ehlo, call_ehlo, outcome),
            Hook::Capabilities => put!(capabilities, call_capabilities, changes),
            Hook::Auth => put!(auth, call_auth, replying_outcome, records.attempt().ok_or_else(|| no("credentials"))?),
            Hook::UnrecognizedCommand => put!(unrecognized_command, call_unrecognized_command, command_outcome),
            Hook::Noop => put!(noop, call_noop, replying_outcome),
            Hook::Rset => put!(rset, call_rset, changes),
            Hook::Vrfy => put!(vrfy, call_vrfy, replying_outcome, records.argument()),
            Hook::Quit => put!(quit, call_quit, changes),
            Hook::Mail => put!(mail, call_mail, replying_outcome, transaction()?),
            Hook::Rcpt => put!(rcpt, call_rcpt, replying_outcome, transaction()?, candidate()?),
            Hook::RcptOk => put!(rcpt_ok, call_rcpt_ok, objecting_outcome, transaction()?, candidate()?),
            Hook::Data => put!(data, call_data, outcome, transaction()?),
            Hook::MaxDataExceeded => put!(max_data_exceeded, call_max_data_exceeded, objecting_outcome, transaction()?),
            Hook::Part => put!(part, call_part, outcome, transaction()?, part()?),
            Hook::DataPost => put!(data_post, call_data_post, outcome, transaction()?),
            Hook::Queue => put!(queue, call_queue, replying_outcome, transaction()?),
            Hook::QueueOutbound => put!(queue_outbound, call_queue_outbound, replying_outcome, transaction()?),
            Hook::QueueOk => put!(queue_ok, call_queue_ok, changes, transaction()?, records.queue_id()),
            Hook::Deny => put!(deny, call_deny, deny_outcome, records.transaction(), denial()?),
            Hook::ResetTransaction => {
                put!(reset_transaction, call_reset_transaction, changes, transaction()?, records.fate())
            }
            Hook::Disconnect => {
                functions.disconnect(indices, store, instance)?.call_disconnect(store, connection).await?;
                Ok(Outcome::next())
            }
        })
    }

    fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.store.data().turn)
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// By how many octets its memory has grown since it was ready.
    pub(crate) fn grown(&self) -> usize {
        self.store.data().limiter.used().saturating_sub(self.memory)
    }
}

/// Whose instance it is to be.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// Name in log lines.
    pub(crate) name: &'a Arc<str>,
    /// The binding's share of the pool.
    pub(crate) share: Option<&'a Arc<Semaphore>>,
    /// What the binding was granted.
    pub(crate) capabilities: &'a Capabilities,
    /// What it may use.
    pub(crate) limits: &'a Limits,
    /// How it waits when it takes long.
    pub(crate) pace: &'a Pace,
}

impl<'a> Owner<'a> {
    /// Nobody's yet: while a component is looked at, nothing is granted.
    pub(crate) fn nobody(name: &'a Arc<str>, limits: &'a Limits, pace: &'a Pace) -> Self {
        const NONE: &Capabilities = &Capabilities::none();
        Self { name, share: None, capabilities: NONE, limits, pace }
    }
}

/// Waits for a place, for half the time that a question may take: the other half is the call's.
async fn place(engine: &Inner, owner: Owner<'_>) -> Result<Place, Fault> {
    let share = owner.share;
    if let Some(place) = free_place(engine, share) {
        return Ok(place);
    }
    let place = async {
        let of_binding = match share {
            Some(share) => Some(Arc::clone(share).acquire_owned().await?),
            None => None,
        };
        Ok::<_, AcquireError>(Place {
            _of_all: Arc::clone(&engine.instances).acquire_owned().await?,
            _of_binding: of_binding,
        })
    };
    match tokio::time::timeout(owner.limits.wall_clock / 2, place).await {
        Ok(Ok(place)) => Ok(place),
        // The semaphores are never closed, so this is the time-out.
        _ => Err(Fault::Instance("all instances that it may have are in use".to_owned())),
    }
}

fn free_place(engine: &Inner, share: Option<&Arc<Semaphore>>) -> Option<Place> {
    let of_binding = share.map(|share| Arc::clone(share).try_acquire_owned()).transpose().ok()?;
    let of_all = Arc::clone(&engine.instances).try_acquire_owned().ok()?;
    Some(Place { _of_all: of_all, _of_binding: of_binding })
}

/// The session asked without a part of the question: a mistake of ours.
fn no(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the host has no {what} at this hook"))
}
