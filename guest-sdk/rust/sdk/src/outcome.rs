//! How outcomes are written: a verdict first, then what to change.

use serde::Serialize;

use crate::{
    Banner, Changes, CommandOutcome, CommandVerdict, ConnectOutcome, ConnectVerdict, DenyOutcome, DenyVerdict,
    EnhancedStatus, HeaderField, HeaderReplacement, Mutation, NoteChange, NoteRemoval, ObjectingOutcome,
    ObjectingVerdict, Outcome, Parameter, Part, PartReplacement, Recipient, RecipientRewrite, Refusal, Reply,
    ReplyingOutcome, ReplyingVerdict, ResultEntry, ResultIncrement, ResultList, ResultValue, Scope, Verdict,
};

macro_rules! outcome {
    ($outcome:ident, $verdict:ident) => {
        impl From<$verdict> for $outcome {
            fn from(verdict: $verdict) -> Self {
                Self { verdict, mutations: Vec::new() }
            }
        }

        /// Verdicts. A text may have several lines.
        impl $outcome {
            /// No opinion: the next plugin is asked.
            #[must_use]
            pub fn next() -> Self {
                $verdict::Next.into()
            }

            /// Refuses for good.
            #[must_use]
            pub fn deny(text: impl AsRef<str>) -> Self {
                Self::refuse(Refusal::Deny, text)
            }

            /// Refuses for now.
            #[must_use]
            pub fn deny_soft(text: impl AsRef<str>) -> Self {
                Self::refuse(Refusal::DenySoft, text)
            }

            /// Refuses for good and closes the connection.
            #[must_use]
            pub fn deny_disconnect(text: impl AsRef<str>) -> Self {
                Self::refuse(Refusal::DenyDisconnect, text)
            }

            /// Refuses for now and closes the connection.
            #[must_use]
            pub fn deny_soft_disconnect(text: impl AsRef<str>) -> Self {
                Self::refuse(Refusal::DenySoftDisconnect, text)
            }

            /// Closes the connection without a word.
            #[must_use]
            pub fn disconnect() -> Self {
                $verdict::Disconnect.into()
            }

            /// Refuses in the way that the operator chose.
            #[must_use]
            pub fn refuse(refusal: Refusal, text: impl AsRef<str>) -> Self {
                Self::from(match refusal {
                    Refusal::Deny => $verdict::Deny(reply(text.as_ref())),
                    Refusal::DenySoft => $verdict::DenySoft(reply(text.as_ref())),
                    Refusal::DenyDisconnect => $verdict::DenyDisconnect(reply(text.as_ref())),
                    Refusal::DenySoftDisconnect => $verdict::DenySoftDisconnect(reply(text.as_ref())),
                    Refusal::Disconnect => $verdict::Disconnect,
                })
            }

            /// Whether the verdict is none: nothing was decided.
            #[must_use]
            pub fn is_next(&self) -> bool {
                matches!(self.verdict, $verdict::Next)
            }
        }

        /// The codes of the verdict's reply. They do nothing to a verdict that has no reply.
        impl $outcome {
            /// Sets the reply code, which must fit the verdict: 4yz for the soft ones, 5yz for the other refusals.
            #[must_use]
            pub fn with_code(mut self, code: u16) -> Self {
                if let Some(reply) = self.reply() {
                    reply.code = Some(code);
                }
                self
            }

            /// Sets the enhanced status code, as `5.7.1`; its class must fit the verdict.
            ///
            /// # Panics
            /// When the text is no status code. Parse texts that are not your own into an [`EnhancedStatus`].
            #[must_use]
            pub fn with_status(mut self, status: &str) -> Self {
                let status: EnhancedStatus = status.parse().expect("a status code is written as 5.7.1");
                if let Some(reply) = self.reply() {
                    reply.enhanced = Some(status);
                }
                self
            }

            /// Sets subject and detail of the enhanced status code; its class follows from the verdict. For
            /// [`refuse`](Self::refuse).
            #[must_use]
            pub fn with_detail(mut self, subject: u16, detail: u16) -> Self {
                let class = match self.verdict {
                    $verdict::DenySoft(_) | $verdict::DenySoftDisconnect(_) => 4,
                    _ => 5,
                };
                if let Some(reply) = self.reply() {
                    reply.enhanced = Some(EnhancedStatus { class, subject, detail });
                }
                self
            }
        }
    };
}

macro_rules! changes {
    ($outcome:ident) => {
        /// Changes. They are applied in the order in which they are written.
        impl $outcome {
            /// Asks for any change.
            #[must_use]
            pub fn change(mut self, mutation: Mutation) -> Self {
                self.mutations.push(mutation);
                self
            }

            /// Sets a note at a JSON Pointer.
            ///
            /// # Panics
            /// When the value has no JSON form, such as a map whose keys are no texts.
            #[must_use]
            pub fn set_note(self, scope: Scope, pointer: &str, value: impl Serialize) -> Self {
                self.change(Mutation::SetNote(NoteChange { scope, pointer: pointer.to_owned(), value: json(&value) }))
            }

            /// Removes a note.
            #[must_use]
            pub fn remove_note(self, scope: Scope, pointer: &str) -> Self {
                self.change(Mutation::RemoveNote(NoteRemoval { scope, pointer: pointer.to_owned() }))
            }

            /// Records a test that passed.
            #[must_use]
            pub fn pass(self, scope: Scope, text: impl Into<String>) -> Self {
                self.result(scope, ResultList::Pass, text)
            }

            /// Records a test that failed.
            #[must_use]
            pub fn fail(self, scope: Scope, text: impl Into<String>) -> Self {
                self.result(scope, ResultList::Fail, text)
            }

            /// Records a remark.
            #[must_use]
            pub fn msg(self, scope: Scope, text: impl Into<String>) -> Self {
                self.result(scope, ResultList::Msg, text)
            }

            /// Records a test that was not made.
            #[must_use]
            pub fn skip(self, scope: Scope, text: impl Into<String>) -> Self {
                self.result(scope, ResultList::Skip, text)
            }

            /// Records what went wrong in the plugin.
            #[must_use]
            pub fn err(self, scope: Scope, text: impl Into<String>) -> Self {
                self.result(scope, ResultList::Err, text)
            }

            /// Appends to one of the five lists of this plugin's results.
            #[must_use]
            pub fn result(self, scope: Scope, list: ResultList, text: impl Into<String>) -> Self {
                self.change(Mutation::AddResult(ResultEntry { scope, list, text: text.into() }))
            }

            /// Adds a number to a key of this plugin's results.
            #[must_use]
            pub fn incr(self, scope: Scope, key: &str, by: f64) -> Self {
                self.change(Mutation::IncrResult(ResultIncrement { scope, key: key.to_owned(), by }))
            }

            /// Appends a value to the list under a key of this plugin's results.
            ///
            /// # Panics
            /// As [`set_note`](Self::set_note) does.
            #[must_use]
            pub fn push(self, scope: Scope, key: &str, value: impl Serialize) -> Self {
                self.change(Mutation::PushResult(ResultValue { scope, key: key.to_owned(), value: json(&value) }))
            }

            /// Sets a key of this plugin's results.
            ///
            /// # Panics
            /// As [`set_note`](Self::set_note) does.
            #[must_use]
            pub fn set(self, scope: Scope, key: &str, value: impl Serialize) -> Self {
                self.change(Mutation::SetResult(ResultValue { scope, key: key.to_owned(), value: json(&value) }))
            }

            /// Lets the client send to anywhere, or not. Needs the grant `relaying`.
            #[must_use]
            pub fn set_relaying(self, relaying: bool) -> Self {
                self.change(Mutation::SetRelaying(relaying))
            }

            /// Sets or clears `remote.host`.
            #[must_use]
            pub fn set_remote_host(self, host: Option<&str>) -> Self {
                self.change(Mutation::SetRemoteHost(host.map(str::to_owned)))
            }

            /// Lets the client wait before the reply is sent, 30 000 milliseconds at most.
            #[must_use]
            pub fn delay(self, milliseconds: u32) -> Self {
                self.change(Mutation::Delay(milliseconds))
            }

            /// Skips a plugin for the rest of the transaction, or of the connection when there is none.
            #[must_use]
            pub fn skip_plugin(self, name: &str) -> Self {
                self.change(Mutation::SkipPlugin(name.to_owned()))
            }
        }
    };
}

/// Changes that need a transaction.
macro_rules! transaction_outcome {
    ($outcome:ident) => {
        /// Changes to the message and its envelope, at hooks that have a transaction.
        impl $outcome {
            /// Adds a header field below the others.
            #[must_use]
            pub fn add_header(self, name: &str, value: impl Into<String>) -> Self {
                self.change(Mutation::AddHeader(HeaderField { name: name.to_owned(), value: value.into() }))
            }

            /// Adds a header field on top.
            #[must_use]
            pub fn prepend_header(self, name: &str, value: impl Into<String>) -> Self {
                self.change(Mutation::PrependHeader(HeaderField { name: name.to_owned(), value: value.into() }))
            }

            /// Replaces the header field at a position, at `data-post` and `queue`.
            #[must_use]
            pub fn replace_header(self, position: usize, name: &str, value: impl Into<String>) -> Self {
                let (position, name) = (at(position), name.to_owned());
                self.change(Mutation::ReplaceHeader(HeaderReplacement { position, name, value: value.into() }))
            }

            /// Removes the header field at a position, at `data-post` and `queue`. The fields below move up: remove the
            /// last one first.
            #[must_use]
            pub fn remove_header(self, position: usize) -> Self {
                self.change(Mutation::RemoveHeader(at(position)))
            }

            /// Puts a banner below what the author wrote, in plain text, in HTML or in both, at `part`, `data-post` and `queue`.
            #[must_use]
            pub fn add_banner(self, banner: Banner) -> Self {
                self.change(Mutation::AddBanner(banner))
            }

            /// Puts something else in a part's place.
            #[must_use]
            pub fn replace_part(self, part: &Part, media_type: &str, content: impl Into<Vec<u8>>) -> Self {
                let (part, media_type, content) = (part.index, media_type.to_owned(), content.into());
                self.change(Mutation::ReplacePart(PartReplacement { part, media_type, name: None, content }))
            }

            /// Removes a part.
            #[must_use]
            pub fn remove_part(self, part: &Part) -> Self {
                self.change(Mutation::RemovePart(part.index))
            }

            /// Adds a recipient. Needs the grant `edit-recipients`.
            #[must_use]
            pub fn add_recipient(self, address: impl Into<String>) -> Self {
                self.change(Mutation::AddRecipient(Recipient { address: address.into(), parameters: Vec::new() }))
            }

            /// Removes the recipient at a position. Needs the grant `edit-recipients`. The ones after it move up.
            #[must_use]
            pub fn remove_recipient(self, position: usize) -> Self {
                self.change(Mutation::RemoveRecipient(at(position)))
            }

            /// Gives the recipient at a position another address. Needs the grant `edit-recipients`. At `rcpt`,
            /// `t.recipients.len()` names the one being asked about.
            #[must_use]
            pub fn rewrite_recipient(self, position: usize, address: impl Into<String>) -> Self {
                let (position, address) = (at(position), address.into());
                self.change(Mutation::RewriteRecipient(RecipientRewrite { position, address, parameters: None }))
            }

            /// Gives the recipient at a position another address and other ESMTP parameters, each as `KEYWORD` or
            /// `KEYWORD=value`. Needs the grant `edit-recipients`.
            #[must_use]
            pub fn rewrite_recipient_with(
                self,
                position: usize,
                address: impl Into<String>,
                parameters: &[&str],
            ) -> Self {
                let (position, address) = (at(position), address.into());
                let parameters = Some(parameters.iter().map(|text| parameter(text)).collect());
                self.change(Mutation::RewriteRecipient(RecipientRewrite { position, address, parameters }))
            }

            /// Changes where failure notices go; the empty text is the null path. Needs the grant `edit-reverse-path`.
            #[must_use]
            pub fn set_reverse_path(self, address: impl Into<String>) -> Self {
                self.change(Mutation::SetReversePath(address.into()))
            }

            /// Sends the message by one of the operator's routes. Needs the grant `route`.
            #[must_use]
            pub fn set_route(self, name: impl Into<String>) -> Self {
                self.change(Mutation::SetRoute(Some(name.into())))
            }

            /// Has the message held, once it is accepted, until the operator releases or removes it. Needs the grant
            /// `quarantine`.
            #[must_use]
            pub fn quarantine(self, reason: impl Into<String>) -> Self {
                self.change(Mutation::Quarantine(reason.into()))
            }
        }
    };
}

outcome!(ConnectOutcome, ConnectVerdict);
outcome!(Outcome, Verdict);
outcome!(ReplyingOutcome, ReplyingVerdict);
outcome!(ObjectingOutcome, ObjectingVerdict);
outcome!(CommandOutcome, CommandVerdict);
changes!(ConnectOutcome);
changes!(Outcome);
changes!(ReplyingOutcome);
changes!(ObjectingOutcome);
changes!(CommandOutcome);
changes!(DenyOutcome);
changes!(Changes);
transaction_outcome!(Outcome);
transaction_outcome!(ReplyingOutcome);
transaction_outcome!(ObjectingOutcome);

impl ConnectOutcome {
    /// Welcome, and no further plugin is asked.
    #[must_use]
    pub fn accept() -> Self {
        ConnectVerdict::Accept(None).into()
    }

    /// Welcome, with a text in place of the greeting's after the host name.
    #[must_use]
    pub fn accept_with(text: impl Into<String>) -> Self {
        ConnectVerdict::Accept(Some(text.into())).into()
    }

    fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.verdict {
            ConnectVerdict::Deny(reply)
            | ConnectVerdict::DenySoft(reply)
            | ConnectVerdict::DenyDisconnect(reply)
            | ConnectVerdict::DenySoftDisconnect(reply) => reply.as_mut(),
            ConnectVerdict::Next | ConnectVerdict::Accept(_) | ConnectVerdict::Disconnect => None,
        }
    }
}

impl Outcome {
    /// Good, and no further plugin is asked at this hook.
    #[must_use]
    pub fn accept() -> Self {
        Verdict::Accept.into()
    }

    fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.verdict {
            Verdict::Deny(reply)
            | Verdict::DenySoft(reply)
            | Verdict::DenyDisconnect(reply)
            | Verdict::DenySoftDisconnect(reply) => reply.as_mut(),
            Verdict::Next | Verdict::Accept | Verdict::Disconnect => None,
        }
    }
}

impl ReplyingOutcome {
    /// Good, and no further plugin is asked at this hook. At `rcpt` this needs the grant `accept-recipients`, at `queue`
    /// `take-messages`.
    #[must_use]
    pub fn accept() -> Self {
        ReplyingVerdict::Accept(None).into()
    }

    /// As [`accept`](Self::accept), with a reply of the plugin's own.
    #[must_use]
    pub fn accept_with(text: impl AsRef<str>) -> Self {
        ReplyingVerdict::Accept(reply(text.as_ref())).into()
    }

    fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.verdict {
            ReplyingVerdict::Accept(reply)
            | ReplyingVerdict::Deny(reply)
            | ReplyingVerdict::DenySoft(reply)
            | ReplyingVerdict::DenyDisconnect(reply)
            | ReplyingVerdict::DenySoftDisconnect(reply) => reply.as_mut(),
            ReplyingVerdict::Next | ReplyingVerdict::Disconnect => None,
        }
    }
}

impl ObjectingOutcome {
    fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.verdict {
            ObjectingVerdict::Deny(reply)
            | ObjectingVerdict::DenySoft(reply)
            | ObjectingVerdict::DenyDisconnect(reply)
            | ObjectingVerdict::DenySoftDisconnect(reply) => reply.as_mut(),
            ObjectingVerdict::Next | ObjectingVerdict::Disconnect => None,
        }
    }
}

impl CommandOutcome {
    /// The command was the plugin's own: 250 2.0.0 OK.
    #[must_use]
    pub fn accept() -> Self {
        CommandVerdict::Accept(None).into()
    }

    /// The command was the plugin's own, and this is its answer.
    #[must_use]
    pub fn accept_with(text: impl AsRef<str>) -> Self {
        CommandVerdict::Accept(reply(text.as_ref())).into()
    }

    /// The host is to carry out this command line instead.
    #[must_use]
    pub fn read_as(line: impl Into<String>) -> Self {
        CommandVerdict::ReadAs(line.into()).into()
    }

    fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.verdict {
            CommandVerdict::Accept(reply)
            | CommandVerdict::Deny(reply)
            | CommandVerdict::DenySoft(reply)
            | CommandVerdict::DenyDisconnect(reply)
            | CommandVerdict::DenySoftDisconnect(reply) => reply.as_mut(),
            CommandVerdict::Next | CommandVerdict::ReadAs(_) | CommandVerdict::Disconnect => None,
        }
    }
}

impl DenyOutcome {
    /// No opinion: the next plugin is asked; when all have none, the refusal stands.
    #[must_use]
    pub fn next() -> Self {
        Self { verdict: DenyVerdict::Next, mutations: Vec::new() }
    }

    /// The refusal does not hold. Needs the grant `overturn-denials`, and for a recipient `accept-recipients`.
    #[must_use]
    pub fn overturn() -> Self {
        Self { verdict: DenyVerdict::Overturn(None), mutations: Vec::new() }
    }

    /// As [`overturn`](Self::overturn), with a reply of the plugin's own where the command has one.
    #[must_use]
    pub fn overturn_with(text: impl AsRef<str>) -> Self {
        Self { verdict: DenyVerdict::Overturn(reply(text.as_ref())), mutations: Vec::new() }
    }
}

impl Changes {
    /// Nothing is to be changed.
    #[must_use]
    pub fn none() -> Self {
        Self { mutations: Vec::new() }
    }

    /// Adds a line to the answer to EHLO, as `X-GREETING hello`, at `capabilities`.
    #[must_use]
    pub fn add_capability(self, line: impl Into<String>) -> Self {
        self.change(Mutation::AddCapability(line.into()))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that verdicts hold")]
fn reply(text: &str) -> Option<Reply> {
    Some(Reply { code: None, enhanced: None, lines: text.lines().map(str::to_owned).collect() })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the value has a JSON form")
}

/// A position in a list that the host gave us; past `u32` there is nothing.
/// `KEYWORD` or `KEYWORD=value`; the host checks it.
fn parameter(text: &str) -> Parameter {
    let (keyword, value) = match text.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value.to_owned())),
        None => (text, None),
    };
    Parameter { keyword: keyword.to_ascii_uppercase(), value }
}

fn at(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_codes_and_lines() {
        let outcome = ReplyingOutcome::deny("first\nsecond").with_code(550).with_status("5.7.1");
        let enhanced = Some(EnhancedStatus { class: 5, subject: 7, detail: 1 });
        let lines = vec!["first".to_owned(), "second".to_owned()];
        assert_eq!(outcome.verdict, ReplyingVerdict::Deny(Some(Reply { code: Some(550), enhanced, lines })));
    }

    #[test]
    fn the_class_of_a_status_follows_the_operators_choice() {
        let class = |refusal| match Outcome::refuse(refusal, "no").with_detail(7, 1).verdict {
            Verdict::Deny(Some(reply)) | Verdict::DenySoftDisconnect(Some(reply)) => reply.enhanced.map(|e| e.class),
            _ => None,
        };
        assert_eq!(class(Refusal::Deny), Some(5));
        assert_eq!(class(Refusal::DenySoftDisconnect), Some(4));
        assert_eq!(class(Refusal::Disconnect), None);
    }

    #[test]
    fn changes_keep_their_order() {
        let outcome = Outcome::next().set_note(Scope::Connection, "/a", [1, 2]).fail(Scope::Transaction, "b").delay(5);
        let note = NoteChange { scope: Scope::Connection, pointer: "/a".into(), value: "[1,2]".into() };
        let entry = ResultEntry { scope: Scope::Transaction, list: ResultList::Fail, text: "b".into() };
        assert_eq!(outcome.mutations, [Mutation::SetNote(note), Mutation::AddResult(entry), Mutation::Delay(5)]);
    }
}
