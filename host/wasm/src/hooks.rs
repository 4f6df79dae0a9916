//! Which hooks a component exports, and where they are in an instance.

use wasmail_policy::{Hook, outbound};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::wasmail::policy as exports;
use crate::check::Shape;
use crate::state::State;

macro_rules! hooks {
    ($($field:ident: $module:ident, $set:ident, $hook:expr;)*) => {
        /// Where the exported functions are in a component. One interface a hook: those that are not there cost
        /// nothing.
        pub(crate) struct Indices {
            configure: Option<exports::hook_configure::GuestIndices>,
            $($field: Option<exports::$module::GuestIndices>,)*
        }

        /// The functions of one instance, looked up when they are first called: most instances are asked at few hooks,
        /// and each look-up compares types.
        #[derive(Default)]
        pub(crate) struct Functions {
            configure: Option<exports::hook_configure::Guest>,
            $($field: Option<exports::$module::Guest>,)*
        }

        impl Indices {
            /// Finds what the component exports.
            pub(crate) fn new(pre: &InstancePre<State>, shape: &Shape) -> wasmtime::Result<Self> {
                let configure = shape.configurable.then(|| exports::hook_configure::GuestIndices::new(pre));
                Ok(Self {
                    configure: configure.transpose()?,
                    $($field: match shape.$set.contains($hook) {
                        true => Some(exports::$module::GuestIndices::new(pre)?),
                        false => None,
                    },)*
                })
            }
        }

        impl Functions {
            $(pub(crate) fn $field(
                &mut self,
                indices: &Indices,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<&exports::$module::Guest> {
                resolve(&mut self.$field, indices.$field.as_ref(), |indices| indices.load(store, instance))
            })*

            pub(crate) fn configure(
                &mut self,
                indices: &Indices,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Option<&exports::hook_configure::Guest>> {
                match &indices.configure {
                    None => Ok(None),
                    some => resolve(&mut self.configure, some.as_ref(), |indices| indices.load(store, instance)).map(Some),
                }
            }

            /// Looks all of them up.
            pub(crate) fn resolve_all(
                &mut self,
                indices: &Indices,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<()> {
                self.configure(indices, store, instance)?;
                $(if indices.$field.is_some() {
                    self.$field(indices, store, instance)?;
                })*
                Ok(())
            }
        }
    };
}

hooks! {
    connect_init: hook_connect_init, hooks, Hook::ConnectInit;
    lookup_rdns: hook_lookup_rdns, hooks, Hook::LookupRdns;
    connect: hook_connect, hooks, Hook::Connect;
    helo: hook_helo, hooks, Hook::Helo;
    ehlo: hook_ehlo, hooks, Hook::Ehlo;
    capabilities: hook_capabilities, hooks, Hook::Capabilities;
    auth: hook_auth, hooks, Hook::Auth;
    unrecognized_command: hook_unrecognized_command, hooks, Hook::UnrecognizedCommand;
    noop: hook_noop, hooks, Hook::Noop;
    rset: hook_rset, hooks, Hook::Rset;
    vrfy: hook_vrfy, hooks, Hook::Vrfy;
    quit: hook_quit, hooks, Hook::Quit;
    mail: hook_mail, hooks, Hook::Mail;
    rcpt: hook_rcpt, hooks, Hook::Rcpt;
    rcpt_ok: hook_rcpt_ok, hooks, Hook::RcptOk;
    data: hook_data, hooks, Hook::Data;
    max_data_exceeded: hook_max_data_exceeded, hooks, Hook::MaxDataExceeded;
    part: hook_part, hooks, Hook::Part;
    data_post: hook_data_post, hooks, Hook::DataPost;
    queue: hook_queue, hooks, Hook::Queue;
    queue_outbound: hook_queue_outbound, hooks, Hook::QueueOutbound;
    queue_ok: hook_queue_ok, hooks, Hook::QueueOk;
    deny: hook_deny, hooks, Hook::Deny;
    reset_transaction: hook_reset_transaction, hooks, Hook::ResetTransaction;
    disconnect: hook_disconnect, hooks, Hook::Disconnect;
    pre_send: hook_pre_send, outbound, outbound::Hook::PreSend;
    send: hook_send, outbound, outbound::Hook::Send;
    get_mx: hook_get_mx, outbound, outbound::Hook::GetMx;
    delivered: hook_delivered, outbound, outbound::Hook::Delivered;
    deferred: hook_deferred, outbound, outbound::Hook::Deferred;
    bounce: hook_bounce, outbound, outbound::Hook::Bounce;
}

fn resolve<'a, I, G>(
    known: &'a mut Option<G>,
    indices: Option<&I>,
    load: impl FnOnce(&I) -> wasmtime::Result<G>,
) -> wasmtime::Result<&'a G> {
    match known {
        Some(guest) => Ok(guest),
        none => {
            let indices = indices.ok_or_else(|| wasmtime::Error::msg("the component does not export this hook"))?;
            Ok(none.insert(load(indices)?))
        }
    }
}
