//! One instance of a component in its store.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use wasmail_policy::{Fault, Hook, Outcome, Question};
use wasmtime::Store;
use wasmtime::component::{self, InstancePre, Resource};

use crate::bindings::exports::wasmail::policy::describe;
use crate::check::LoadError;
use crate::component::Loaded;
use crate::engine::{Engine, Inner};
use crate::hooks::Functions;
use crate::imports::Message;
use crate::lower::{Facts, Lists, Records, Sight};
use crate::manifest::Manifest;
use crate::state::{self, State};
use crate::text::escaped;
use crate::{fault, lift, patience};

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
            instance.configure(loaded, config).await?;
        }
        instance.memory = instance.store.data().limiter.used();
        Ok(instance)
    }

    async fn instantiate(engine: &Engine, pre: &InstancePre<State>, owner: Owner<'_>) -> Result<Self, Fault> {
        let place = place(&engine.inner, owner.share).await?;
        let mut store = state::store(&engine.inner, owner.name);
        state::begin(&mut store, &engine.inner, "");
        match pre.instantiate_async(&mut store).await {
            Ok(instance) => {
                Ok(Self { store, instance, functions: Functions::default(), calls: 0, memory: 0, _place: place })
            }
            Err(error) => Err(fault::of_start(&error, store.data_mut())),
        }
    }

    async fn configure(&mut self, loaded: &Loaded, config: &str) -> Result<(), StartError> {
        state::begin(&mut self.store, &loaded.engine.inner, "");
        let configured = self.call_configure(loaded, config).await;
        self.store.data().log.end();
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
        let limit = engine.inner.config.limits.wall_clock;
        let manifest = patience::within(limit, async {
            let mut instance = Self::instantiate(engine, pre, Owner { name: &"(loading)".into(), share: None }).await?;
            state::begin(&mut instance.store, &engine.inner, "");
            let guest = match indices.load(&mut instance.store, &instance.instance) {
                Ok(guest) => guest,
                Err(why) => return Ok(Err(types(why))),
            };
            let described = guest.call_describe(&mut instance.store).await;
            described.map(Ok).map_err(|error| fault::of_call(&error, instance.store.data_mut()))
        });
        let manifest = manifest.await.map_err(|fault| LoadError::Describe(fault.to_string()))??;
        Manifest::check(manifest).map_err(LoadError::Manifest)
    }

    pub(crate) fn resolve_all(&mut self, loaded: &Loaded) -> wasmtime::Result<()> {
        self.functions.resolve_all(&loaded.indices, &mut self.store, &self.instance)
    }

    /// Puts a question to it.
    pub(crate) async fn ask(&mut self, loaded: &Loaded, question: &Question<'_>) -> Result<Outcome, Fault> {
        state::begin(&mut self.store, &loaded.engine.inner, &question.context.connection.uuid);
        self.calls += 1;
        let sight = Sight { manifest: &loaded.info.manifest, pointers: &loaded.pointers };
        let facts = Facts::new(question, sight);
        let lists = Lists::new(&facts);
        let records = Records::new(&facts, &lists);
        let outcome = self.call(loaded, question, &records).await;
        self.store.data().log.end();
        match outcome {
            Ok(outcome) => outcome,
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
        Ok(match question.hook {
            Hook::ConnectInit => {
                let guest = functions.connect_init(indices, store, instance)?;
                lift::changes(guest.call_connect_init(store, connection).await?)
            }
            Hook::LookupRdns => {
                let guest = functions.lookup_rdns(indices, store, instance)?;
                lift::outcome(guest.call_lookup_rdns(store, connection).await?)
            }
            Hook::Connect => {
                let guest = functions.connect(indices, store, instance)?;
                lift::connect_outcome(guest.call_connect(store, connection).await?)
            }
            Hook::Helo => {
                let guest = functions.helo(indices, store, instance)?;
                lift::outcome(guest.call_helo(store, connection).await?)
            }
            Hook::Ehlo => {
                let guest = functions.ehlo(indices, store, instance)?;
                lift::outcome(guest.call_ehlo(store, connection).await?)
            }
            Hook::Capabilities => {
                let guest = functions.capabilities(indices, store, instance)?;
                lift::changes(guest.call_capabilities(store, connection).await?)
            }
            Hook::UnrecognizedCommand => {
                let guest = functions.unrecognized_command(indices, store, instance)?;
                lift::command_outcome(guest.call_unrecognized_command(store, connection).await?)
            }
            Hook::Noop => {
                let guest = functions.noop(indices, store, instance)?;
                lift::replying_outcome(guest.call_noop(store, connection).await?)
            }
            Hook::Rset => {
                let guest = functions.rset(indices, store, instance)?;
                lift::changes(guest.call_rset(store, connection).await?)
            }
            Hook::Vrfy => {
                let guest = functions.vrfy(indices, store, instance)?;
                lift::replying_outcome(guest.call_vrfy(store, connection, records.argument()).await?)
            }
            Hook::Quit => {
                let guest = functions.quit(indices, store, instance)?;
                lift::changes(guest.call_quit(store, connection).await?)
            }
            Hook::Mail => {
                let guest = functions.mail(indices, store, instance)?;
                lift::replying_outcome(guest.call_mail(store, connection, transaction()?).await?)
            }
            Hook::Rcpt => {
                let guest = functions.rcpt(indices, store, instance)?;
                lift::replying_outcome(guest.call_rcpt(store, connection, transaction()?, candidate()?).await?)
            }
            Hook::RcptOk => {
                let guest = functions.rcpt_ok(indices, store, instance)?;
                lift::objecting_outcome(guest.call_rcpt_ok(store, connection, transaction()?, candidate()?).await?)
            }
            Hook::Data => {
                let guest = functions.data(indices, store, instance)?;
                lift::outcome(guest.call_data(store, connection, transaction()?).await?)
            }
            Hook::MaxDataExceeded => {
                let guest = functions.max_data_exceeded(indices, store, instance)?;
                lift::objecting_outcome(guest.call_max_data_exceeded(store, connection, transaction()?).await?)
            }
            Hook::DataPost => {
                let guest = functions.data_post(indices, store, instance)?;
                let message = lend(store, question)?;
                let lent = Resource::new_borrow(message.rep());
                let outcome = guest.call_data_post(&mut *store, connection, transaction()?, lent).await?;
                store.data_mut().table.delete(message)?;
                lift::outcome(outcome)
            }
            Hook::Queue => {
                let guest = functions.queue(indices, store, instance)?;
                let message = lend(store, question)?;
                let lent = Resource::new_borrow(message.rep());
                let outcome = guest.call_queue(&mut *store, connection, transaction()?, lent).await?;
                store.data_mut().table.delete(message)?;
                lift::replying_outcome(outcome)
            }
            Hook::QueueOutbound => {
                let guest = functions.queue_outbound(indices, store, instance)?;
                let message = lend(store, question)?;
                let lent = Resource::new_borrow(message.rep());
                let outcome = guest.call_queue_outbound(&mut *store, connection, transaction()?, lent).await?;
                store.data_mut().table.delete(message)?;
                lift::replying_outcome(outcome)
            }
            Hook::QueueOk => {
                let guest = functions.queue_ok(indices, store, instance)?;
                lift::changes(guest.call_queue_ok(store, connection, transaction()?, records.queue_id()).await?)
            }
            Hook::Deny => {
                let guest = functions.deny(indices, store, instance)?;
                let denial = records.denial().ok_or_else(|| no("refusal"))?;
                lift::deny_outcome(guest.call_deny(store, connection, records.transaction(), denial).await?)
            }
            Hook::ResetTransaction => {
                let guest = functions.reset_transaction(indices, store, instance)?;
                lift::changes(guest.call_reset_transaction(store, connection, transaction()?, records.fate()).await?)
            }
            Hook::Disconnect => {
                let guest = functions.disconnect(indices, store, instance)?;
                guest.call_disconnect(store, connection).await?;
                Ok(Outcome::next())
            }
        })
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
}

/// Waits for a place, for half the time that a question may take: the other half is the call's.
async fn place(engine: &Inner, share: Option<&Arc<Semaphore>>) -> Result<Place, Fault> {
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
    match tokio::time::timeout(engine.config.limits.wall_clock / 2, place).await {
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

/// Puts the message where the guest can borrow it during the call.
fn lend(store: &mut Store<State>, question: &Question<'_>) -> wasmtime::Result<Resource<Message>> {
    Ok(store.data_mut().table.push(Message::of(question))?)
}

/// The session asked without a part of the question: a mistake of ours.
fn no(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the host has no {what} at this hook"))
}
