//! The hook `part`, which is asked about one part after the other.

use std::io;
use std::sync::Arc;

use wasmail_mime::Tree;

use crate::{Body, Chain, Context, Decision, Hook, Subject, Verdict};

impl Chain {
    /// Asks about each part until somebody objects. Nothing is read when nobody listens.
    pub(crate) async fn ask_parts(&self, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        let Some(body) = body.filter(|_| self.listens(Hook::Part)) else { return Decision::next() };
        loop {
            let shown = context.body(Some(body)).unwrap_or_else(|| Arc::clone(body));
            let tree = match tree(context, &shown).await {
                Ok(tree) => tree,
                Err(why) => return unreadable(context, &why),
            };
            let Some(number) = next_part(context, &tree) else { return Decision::next() };
            context.subject = Subject::Part { number, tree };
            let decision = self.ask_once(Hook::Part, context, Some(body)).await;
            context.subject = Subject::None;
            if !matches!(decision.verdict, Verdict::Next | Verdict::Accept(_)) {
                return decision;
            }
        }
    }
}

async fn tree(context: &Context, body: &Arc<dyn Body>) -> io::Result<Arc<Tree>> {
    match &context.transaction {
        Some(transaction) => transaction.parts.tree(&transaction.facts.header, &**body).await,
        // There is a transaction as long as there is a body.
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The part to be asked about now. It is counted from the last one, because a plugin may have removed the one before.
fn next_part(context: &mut Context, tree: &Tree) -> Option<usize> {
    let transaction = context.transaction.as_mut()?;
    let leaves: Vec<usize> = tree.leaves().collect();
    let left = transaction.parts_left.unwrap_or(leaves.len()).min(leaves.len());
    transaction.parts_left = Some(left.saturating_sub(1));
    leaves.get(leaves.len() - left).copied()
}

/// What cannot be read cannot be judged: the client is told to come back, as at a fault.
fn unreadable(context: &Context, why: &io::Error) -> Decision {
    tracing::error!(uuid = %context.connection.uuid, %why, "failed to read a message back for its parts");
    Decision { fault: true, ..Decision::host(Verdict::DenySoft(None)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use wasmail_mail::{Field, ReversePath, Transaction};

    use super::*;
    use crate::fixture::{Memory, block_on, connection};
    use crate::{
        Answer, Binding, BoxFuture, FaultRule, Grants, HookSet, Outcome, Plugin, Question, TransactionContext,
    };

    /// A plugin that notes down the parts it is asked about, and denies those of one type.
    struct Watches(&'static str, Arc<Mutex<Vec<String>>>);

    impl Plugin for Watches {
        fn hooks(&self) -> HookSet {
            [Hook::Part].into_iter().collect()
        }

        fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            let Subject::Part { number, tree } = &question.context.subject else { panic!("asked about nothing") };
            let media_type = tree.parts[*number].media_type.clone();
            let verdict = if media_type == self.0 { Verdict::Deny(None) } else { Verdict::Accept(None) };
            self.1.lock().unwrap().push(media_type);
            let outcome = Ok(Outcome { verdict, mutations: Vec::new() });
            Box::pin(async { Answer { outcome, elapsed: Duration::ZERO } })
        }
    }

    fn context() -> Context {
        let mut transaction = Transaction::new("u.1".into(), ReversePath::Null, false);
        let mut header = wasmail_mail::HeaderSection::default();
        header.append(Field::new("Content-Type", "multipart/mixed; boundary=b").unwrap());
        transaction.header = Arc::new(header);
        let mut context = Context::new(connection());
        context.transaction = Some(TransactionContext::new(transaction));
        context
    }

    fn body() -> Arc<dyn Body> {
        let part = |media: &str| format!("--b\r\nContent-Type: {media}\r\n\r\nx\r\n");
        Arc::new(Memory(["text/plain", "image/png", "text/html"].map(part).concat().into_bytes()))
    }

    fn chain(denies: &'static str) -> (Chain, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::default();
        let bind = |name: &str| Binding {
            name: name.into(),
            plugin: Arc::new(Watches(denies, Arc::clone(&seen))),
            grants: Grants::default(),
            on_fault: FaultRule::Defer,
        };
        (Chain::new(vec![bind("first"), bind("second")]), seen)
    }

    #[test]
    fn each_part_is_asked_about_and_an_accept_is_for_that_part_alone() {
        let (chain, seen) = chain("none");
        let decision = block_on(chain.ask(Hook::Part, &mut context(), Some(&body())));
        assert_eq!(decision, Decision::next());
        assert_eq!(*seen.lock().unwrap(), ["text/plain", "image/png", "text/html"]);
    }

    #[test]
    fn a_refusal_ends_it_and_overturned_it_goes_on_behind_that_part() {
        let (chain, seen) = chain("image/png");
        let mut context = context();
        let decision = block_on(chain.ask(Hook::Part, &mut context, Some(&body())));
        assert_eq!((decision.verdict, decision.by.as_deref()), (Verdict::Deny(None), Some("first")));
        assert_eq!(*seen.lock().unwrap(), ["text/plain", "image/png"]);
        assert_eq!(block_on(chain.ask(Hook::Part, &mut context, Some(&body()))), Decision::next());
        assert_eq!(seen.lock().unwrap().last().map(String::as_str), Some("text/html"));
    }

    #[test]
    fn nobody_listens_and_nothing_is_read() {
        struct Unread;
        impl Body for Unread {
            fn len(&self) -> u64 {
                1
            }
            fn read_at(&self, _: u64, _: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
                panic!("nobody wants to know")
            }
        }
        let body: Arc<dyn Body> = Arc::new(Unread);
        assert_eq!(block_on(Chain::default().ask(Hook::Part, &mut context(), Some(&body))), Decision::next());
    }
}
