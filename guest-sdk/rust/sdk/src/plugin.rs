//! What an author implements.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{
    Answer, AuthAttempt, BounceVerdict, Changes, CommandOutcome, ConnectOutcome, Connection, Consignment,
    DeferredVerdict, Denial, DenyOutcome, ExchangesVerdict, Fate, Manifest, Message, ObjectingOutcome, Outcome, Part,
    PreSendVerdict, Recipient, ReplyingOutcome, SendVerdict, Transaction,
};

/// A policy plugin: a value made from its configuration, and a method for each hook it wants.
///
/// Always put [`plugin`](macro@crate::plugin) on the `impl` block. It writes `manifest`, fills in `Config` and `configure` where
/// they are left out, and exports the hooks that are there.
///
/// A value lives as long as its instance, which the host may drop or reuse at any moment: keep configuration in it, and
/// what must last in notes.
pub trait Plugin: Sized + 'static {
    /// The binding's configuration. Without one, any key is an error.
    ///
    /// Derive `Deserialize` and put `#[serde(deny_unknown_fields)]` on it, so that a key with a typing error is not
    /// overlooked. `Self` is fine when nothing has to be prepared.
    type Config: DeserializeOwned;

    /// What the component says of itself. Written by the attribute.
    fn manifest() -> Manifest;

    /// Makes the plugin, once for each instance. Parse and sort here, so that the hooks need not.
    ///
    /// # Errors
    /// A sentence for the operator that names the key and what is wrong with its value. The server then does not start.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// A client has connected and nothing is known of it but its address. Every plugin hears of it.
    fn connect_init(&self, _c: &Connection) -> Changes {
        Changes::none()
    }

    /// The host is about to use the client's name by reverse DNS. Accept after `set_remote_host` to name it yourself.
    fn lookup_rdns(&self, _c: &Connection) -> Outcome {
        Outcome::next()
    }

    /// A client has connected; no octet has been sent to it yet.
    fn connect(&self, _c: &Connection) -> ConnectOutcome {
        ConnectOutcome::next()
    }

    /// The client said HELO. `c.hello` holds what it said.
    fn helo(&self, _c: &Connection) -> Outcome {
        Outcome::next()
    }

    /// The client said EHLO. `c.hello` holds what it said.
    fn ehlo(&self, _c: &Connection) -> Outcome {
        Outcome::next()
    }

    /// EHLO is about to be answered: add extensions with `add_capability`. Every plugin hears of it.
    fn capabilities(&self, _c: &Connection) -> Changes {
        Changes::none()
    }

    /// The client wants to be somebody. Accepting vouches for it and needs the grant `credentials`, without which
    /// [`AuthAttempt::password`] has nothing to show. When nobody accepts, the client is refused.
    fn auth(&self, _c: &Connection, _a: &AuthAttempt) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The client said something that the host does not know; `c.current_line` holds it.
    fn unrecognized_command(&self, _c: &Connection) -> CommandOutcome {
        CommandOutcome::next()
    }

    /// The client said NOOP.
    fn noop(&self, _c: &Connection) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The client said RSET. Every plugin hears of it.
    fn rset(&self, _c: &Connection) -> Changes {
        Changes::none()
    }

    /// The client said VRFY.
    fn vrfy(&self, _c: &Connection, _argument: &str) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The client said QUIT. Every plugin hears of it.
    fn quit(&self, _c: &Connection) -> Changes {
        Changes::none()
    }

    /// The client said MAIL.
    fn mail(&self, _c: &Connection, _t: &Transaction) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The client said RCPT. Without an accept the recipient is refused, unless the client is relaying.
    fn rcpt(&self, _c: &Connection, _t: &Transaction, _r: &Recipient) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The recipient is about to be told that it is accepted.
    fn rcpt_ok(&self, _c: &Connection, _t: &Transaction, _r: &Recipient) -> ObjectingOutcome {
        ObjectingOutcome::next()
    }

    /// The client said DATA, and at least one recipient was accepted.
    fn data(&self, _c: &Connection, _t: &Transaction) -> Outcome {
        Outcome::next()
    }

    /// The message is larger than it may be. It is refused in any case: say why in your own words, if you like.
    fn max_data_exceeded(&self, _c: &Connection, _t: &Transaction) -> ObjectingOutcome {
        ObjectingOutcome::next()
    }

    /// The message has come whole, and this is one part of it that is not made of parts. Asked about each in order, before
    /// `data_post`; accepting is for the one part. [`Message::content`] reads it.
    fn part(&self, _c: &Connection, _t: &Transaction, _m: &Message, _p: &Part) -> Outcome {
        Outcome::next()
    }

    /// The message has come whole and is not accepted yet.
    fn data_post(&self, _c: &Connection, _t: &Transaction, _m: &Message) -> Outcome {
        Outcome::next()
    }

    /// The message is about to be accepted into the host's queue. A plugin that accepts has taken it.
    fn queue(&self, _c: &Connection, _t: &Transaction, _m: &Message) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// As `queue`, for the message of a client that is relaying.
    fn queue_outbound(&self, _c: &Connection, _t: &Transaction, _m: &Message) -> ReplyingOutcome {
        ReplyingOutcome::next()
    }

    /// The message is in the host's queue, and the client knows. Every plugin hears of it.
    fn queue_ok(&self, _c: &Connection, _t: &Transaction, _queue_id: &str) -> Changes {
        Changes::none()
    }

    /// A plugin has refused something; overturn it, or say nothing.
    fn deny(&self, _c: &Connection, _t: Option<&Transaction>, _d: &Denial) -> DenyOutcome {
        DenyOutcome::next()
    }

    /// A transaction ends. Every plugin hears of it.
    fn reset_transaction(&self, _c: &Connection, _t: &Transaction, _how: Fate) -> Changes {
        Changes::none()
    }

    /// The connection has ended.
    fn disconnect(&self, _c: &Connection) {}

    /// A message is about to be sent to the recipients of one domain who are due.
    fn pre_send(&self, _c: &Consignment, _m: &Message) -> PreSendVerdict {
        PreSendVerdict::Next
    }

    /// The message is to be delivered, and you may do that in place of the host.
    fn send(&self, _c: &Consignment, _m: &Message) -> SendVerdict {
        SendVerdict::Next
    }

    /// The servers of the domain are to be found, where delivery goes by the DNS.
    fn get_mx(&self, _c: &Consignment) -> ExchangesVerdict {
        ExchangesVerdict::Next
    }

    /// Recipients have their message, or another server has it for them. Every plugin hears of it.
    fn delivered(&self, _c: &Consignment, _answers: &[Answer]) {}

    /// Recipients could not be reached for now.
    fn deferred(&self, _c: &Consignment, _answers: &[Answer]) -> DeferredVerdict {
        DeferredVerdict::Next
    }

    /// Recipients will not get their message, and its sender is about to be told.
    fn bounce(&self, _c: &Consignment, _m: &Message, _answers: &[Answer]) -> BounceVerdict {
        BounceVerdict::Next
    }
}

/// The configuration of a plugin that has none.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}
