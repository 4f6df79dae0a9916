//! Edits of the envelope, and of where the message goes.

use wasmail_mail::{ForwardPath, Handling, Mailbox, Parameter, Recipient, ReversePath};

use super::{Draft, Why, clean, granted};
use crate::Grant;

/// Recipients that a transaction can be given in all; a message to more people is several messages.
pub(super) const RECIPIENTS_MAX: usize = 1_000;
/// Parameters of one recipient; the extensions that there are define five.
pub(super) const PARAMETERS_MAX: usize = 16;
/// Octets of the reason for a quarantine, a line in a listing.
pub(super) const REASON_MAX: usize = 256;

impl Draft<'_> {
    fn recipients(&mut self) -> Result<&mut Vec<Recipient>, Why> {
        self.needs_time()?;
        granted(self.grants, Grant::EditRecipients).map_err(Why::NotGranted)?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.recipients.get_or_insert_with(|| transaction.facts.recipients.clone()))
    }

    pub(super) fn add_recipient(&mut self, recipient: &Recipient) -> Result<(), Why> {
        let path = self.check_path(recipient.path.clone())?;
        check_parameters(&recipient.parameters)?;
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

    pub(super) fn rewrite_recipient(
        &mut self,
        position: usize,
        address: &str,
        parameters: Option<&[Parameter]>,
    ) -> Result<(), Why> {
        let path = self.check_path(ForwardPath::parse(&format!("<{address}>"))?)?;
        check_parameters(parameters.unwrap_or_default())?;
        let rewritten = |before: &Recipient| Recipient {
            path,
            parameters: parameters.map_or_else(|| before.parameters.clone(), <[_]>::to_vec),
        };
        let recipients = self.recipients()?;
        let after_last = recipients.len();
        if let Some(recipient) = recipients.get_mut(position) {
            *recipient = rewritten(recipient);
            return Ok(());
        }
        let candidate = self.changes.candidate.clone().or_else(|| self.transaction().ok()?.candidate.clone());
        match candidate.filter(|_| position == after_last) {
            Some(candidate) => {
                self.changes.candidate = Some(rewritten(&candidate));
                Ok(())
            }
            None => Err(Why::NoSuchPosition),
        }
    }

    /// A recipient that is not ASCII needs a transaction with SMTPUTF8 (RFC 6531 §3.5). A tenant's plugin adds none but its own.
    fn check_path(&self, path: ForwardPath) -> Result<ForwardPath, Why> {
        let own = |own: &(dyn Fn(&Mailbox) -> bool + Send + Sync)| path.mailbox().is_some_and(own);
        if !self.powers.own.is_none_or(own) {
            return Err(Why::NotOwn);
        }
        let ascii = path.mailbox().is_none_or(Mailbox::is_ascii);
        if ascii || self.transaction()?.facts.smtputf8 { Ok(path) } else { Err(Why::EightBit) }
    }

    pub(super) fn set_reverse_path(&mut self, address: &str) -> Result<(), Why> {
        self.needs_time()?;
        granted(self.grants, Grant::EditReversePath).map_err(Why::NotGranted)?;
        let path = ReversePath::parse(&format!("<{address}>"))?;
        let ascii = path.mailbox().is_none_or(Mailbox::is_ascii);
        if !ascii && !self.transaction()?.facts.smtputf8 {
            return Err(Why::EightBit);
        }
        self.transaction()?;
        self.changes.reverse_path = Some(path);
        Ok(())
    }

    pub(super) fn set_route(&mut self, route: Option<&str>) -> Result<(), Why> {
        let handling = self.handling(Grant::Route)?;
        handling.route = route.map(str::to_owned);
        match route {
            Some(name) if !self.powers.routes.iter().any(|known| known == name) => {
                Err(Why::NoSuchRoute(self.powers.routes.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// The first reason stands.
    pub(super) fn quarantine(&mut self, reason: &str) -> Result<(), Why> {
        let reason = clean(reason)?;
        if reason.is_empty() || reason.len() > REASON_MAX {
            return Err(Why::Reason);
        }
        self.handling(Grant::Quarantine)?.quarantine.get_or_insert(reason);
        Ok(())
    }

    fn handling(&mut self, grant: Grant) -> Result<&mut Handling, Why> {
        self.needs_time()?;
        granted(self.grants, grant).map_err(Why::NotGranted)?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.handling.get_or_insert_with(|| transaction.facts.handling.clone()))
    }
}

fn check_parameters(parameters: &[Parameter]) -> Result<(), Why> {
    if parameters.len() > PARAMETERS_MAX {
        return Err(Why::TooManyParameters);
    }
    let twice = |(at, parameter): (usize, &Parameter)| {
        parameters[..at].iter().any(|before| before.keyword() == parameter.keyword())
    };
    if parameters.iter().enumerate().any(twice) { Err(Why::ParameterTwice) } else { Ok(()) }
}
