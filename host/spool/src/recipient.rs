//! What has become of each recipient of a message.

use std::time::SystemTime;

/// Longest reply that is kept with a recipient, in octets: a few lines, enough to say why.
pub const REPLY_MAX: usize = 1024;

/// What has become of one recipient of a spooled message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecipientState {
    /// Not tried yet.
    #[default]
    Pending,
    /// Not to be tried before the operator says so.
    Held {
        /// Why.
        reason: String,
    },
    /// Tried in vain, to be tried again.
    Deferred(Deferral),
    /// Delivered, or the next hop has taken responsibility.
    Delivered,
    /// Given up, and the operator has to see to it.
    Failed {
        /// The last reply of the next hop, or why it could not be asked.
        reply: String,
    },
    /// Given up, and the sender has been told, or does not want to be.
    Bounced {
        /// The last reply of the next hop, or why it could not be asked.
        reply: String,
    },
}

/// A delivery that is put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// How often it has been tried.
    pub attempts: u32,
    /// When it is due again; kept in milliseconds.
    pub next_attempt: SystemTime,
    /// The last reply of the next hop, or why it could not be asked.
    pub reply: String,
    /// Whether the sender has been told that it takes long.
    pub warned: bool,
}

impl RecipientState {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Delivered | Self::Failed { .. } | Self::Bounced { .. })
    }

    /// The same with a reply of at most [`REPLY_MAX`] octets.
    pub(crate) fn bounded(mut self) -> Self {
        if let Self::Failed { reply }
        | Self::Bounced { reply }
        | Self::Held { reason: reply }
        | Self::Deferred(Deferral { reply, .. }) = &mut self
        {
            reply.truncate(reply.floor_char_boundary(REPLY_MAX));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reply_is_cut_between_characters() {
        let state = RecipientState::Failed { reply: "ä".repeat(REPLY_MAX) };
        let RecipientState::Failed { reply } = state.bounded() else { panic!("still failed") };
        assert_eq!(reply, "ä".repeat(REPLY_MAX / 2));
        assert!(RecipientState::Delivered.is_final() && !RecipientState::Pending.is_final());
    }
}
