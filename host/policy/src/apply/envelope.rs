//! Edits of the envelope.

use wasmail_mail::{ForwardPath, Recipient};

use super::{Draft, Why, granted};
use crate::Grant;

/// Recipients that a transaction can be given in all; a message to more people is several messages.
pub(super) const RECIPIENTS_MAX: usize = 1_000;

impl Draft<'_> {
    fn recipients(&mut self) -> Result<&mut Vec<Recipient>, Why> {
        self.needs_time()?;
        granted(self.grants, Grant::EditRecipients).map_err(Why::NotGranted)?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.recipients.get_or_insert_with(|| transaction.facts.recipients.clone()))
    }

    pub(super) fn add_recipient(&mut self, recipient: &Recipient) -> Result<(), Why> {
        let path = self.check_path(recipient.path.clone())?;
        let recipients = self.recipients()?;
        if recipients.len() >= RECIPIENTS_MAX {
            return Err(Why::TooManyRecipients);
        }
        recipients.push(Recipient { path, parameters: recipient.parameters.clone() });
        Ok(())
    }

    pub(super) fn remove_recipient(&mut self, position: usize) -> Result<(), Why> {
        let recipients = self.recipients()?;
        if position >= recipients.len() {
            return Err(Why::NoSuchPosition);
        }
        recipients.remove(position);
        Ok(())
    }

    pub(super) fn rewrite_recipient(&mut self, position: usize, address: &str) -> Result<(), Why> {
        let path = self.check_path(ForwardPath::parse(&format!("<{address}>"))?)?;
        let recipients = self.recipients()?;
        let after_last = recipients.len();
        if let Some(recipient) = recipients.get_mut(position) {
            recipient.path = path;
            return Ok(());
        }
        let candidate = self.changes.candidate.clone().or_else(|| self.transaction().ok()?.candidate.clone());
        match candidate.filter(|_| position == after_last) {
            Some(candidate) => {
                self.changes.candidate = Some(Recipient { path, ..candidate });
                Ok(())
            }
            None => Err(Why::NoSuchPosition),
        }
    }

    /// A recipient that is not ASCII needs a transaction with SMTPUTF8 (RFC 6531 §3.5).
    fn check_path(&self, path: ForwardPath) -> Result<ForwardPath, Why> {
        let ascii = path.mailbox().is_none_or(wasmail_mail::Mailbox::is_ascii);
        if ascii || self.transaction()?.facts.smtputf8 { Ok(path) } else { Err(Why::EightBit) }
    }
}
