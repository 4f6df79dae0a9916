//! Puts a question about delivery to the plugins in order.

use std::fmt;
use std::sync::Arc;

use super::check::check;
use super::{Answer, Consignment, Hook, Question, Said, Verdict};
use crate::{Binding, FaultRule};

/// What the plugins decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The first verdict that was not `Next`.
    pub verdict: Verdict,
    /// The plugin it came from.
    pub by: Option<Arc<str>>,
    /// Whether it stands for an answer that a plugin failed to give.
    pub fault: bool,
}

impl Decision {
    const fn next() -> Self {
        Self { verdict: Verdict::Next, by: None, fault: false }
    }
}

/// The plugins that are asked about delivery, in order.
#[derive(Default)]
pub struct Chain {
    bindings: Vec<Binding>,
    routes: Vec<String>,
}

/// The names alone.
impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bindings.iter().map(|binding| &binding.name)).finish()
    }
}

impl Chain {
    /// Of these plugins those that have a hook of delivery. `routes` are those that messages may be sent by.
    #[must_use]
    pub fn new(bindings: Vec<Binding>, routes: Vec<String>) -> Self {
        let takes_part = |binding: &Binding| !binding.plugin.outbound_hooks().is_empty();
        Self { bindings: bindings.into_iter().filter(takes_part).collect(), routes }
    }

    /// Whether anybody wants to be asked at a hook.
    #[must_use]
    pub fn listens(&self, hook: Hook) -> bool {
        self.at(hook).next().is_some()
    }

    /// Those that are asked at a hook, in order.
    pub fn at(&self, hook: Hook) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(move |binding| binding.plugin.outbound_hooks().contains(hook))
    }

    /// JSON Pointers (RFC 6901) to the notes that any of them wants to see.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut all: Vec<_> =
            self.bindings.iter().flat_map(|binding| binding.plugin.outbound_notes()).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Asks at a hook. The first verdict that is not `Next` ends it, unless the hook reaches all.
    pub async fn ask(&self, hook: Hook, consignment: &Consignment, said: &[Said]) -> Decision {
        for binding in self.at(hook) {
            let Answer { verdict, elapsed } = binding.plugin.ask_outbound(&Question { hook, consignment, said }).await;
            let checked = verdict.and_then(|verdict| {
                check(&verdict, consignment, binding.grants, &self.routes)?;
                Ok(verdict)
            });
            let (plugin, queue_id) = (&*binding.name, consignment.queue_id.as_str());
            let (verdict, fault) = match checked {
                Ok(verdict) => {
                    let verdict_name = verdict.name();
                    tracing::debug!(plugin, %hook, queue_id, verdict = verdict_name, ?elapsed, "asked about delivery");
                    (verdict, false)
                }
                Err(fault) => {
                    tracing::warn!(plugin, %hook, queue_id, kind = fault.kind(), "plugin {fault}");
                    (of_fault(binding.on_fault, hook), true)
                }
            };
            if verdict != Verdict::Next && !hook.reaches_all() {
                return Decision { verdict, by: Some(Arc::clone(&binding.name)), fault };
            }
        }
        Decision::next()
    }
}

fn of_fault(rule: FaultRule, hook: Hook) -> Verdict {
    match rule {
        _ if !hook.decides_delivery() => Verdict::Next,
        FaultRule::Defer => Verdict::Delay(None),
        FaultRule::Skip => Verdict::Next,
        FaultRule::Reject => Verdict::Bounce(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Memory, block_on};
    use crate::outbound::{Exchange, HookSet, Target};
    use crate::{BoxFuture, Fault, Grant, Grants, HookSet as Inbound, Plugin, Question as InboundQuestion};
    use std::time::{Duration, SystemTime};
    use wasmail_mail::{EnhancedStatus, ForwardPath, Recipient, ReversePath};

    /// A plugin that answers what it is told at every hook.
    struct Says(Result<Verdict, Fault>);

    impl Plugin for Says {
        fn hooks(&self) -> Inbound {
            Inbound::default()
        }

        fn ask<'a>(&'a self, _: &'a InboundQuestion<'a>) -> BoxFuture<'a, crate::Answer> {
            unreachable!("it has no such hook")
        }

        fn outbound_hooks(&self) -> HookSet {
            Hook::ALL.into_iter().collect()
        }

        fn ask_outbound<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer { verdict: self.0.clone(), elapsed: Duration::ZERO } })
        }
    }

    fn binding(verdict: Result<Verdict, Fault>, on_fault: FaultRule, grants: &[Grant]) -> Binding {
        let grants: Grants = grants.iter().copied().collect();
        Binding { name: "says".into(), plugin: Arc::new(Says(verdict)), grants, on_fault }
    }

    fn consignment() -> Consignment {
        let path = ForwardPath::parse("<a@example.org>").unwrap();
        let recipient = Recipient { path, parameters: Vec::new() };
        Consignment {
            queue_id: "1".to_owned(),
            uuid: "u.1".to_owned(),
            reverse_path: ReversePath::Null,
            parameters: Vec::new(),
            smtputf8: false,
            accepted: SystemTime::UNIX_EPOCH,
            expires: SystemTime::UNIX_EPOCH,
            destination: "example.org".to_owned(),
            route: None,
            targets: vec![Target { recipient, attempts: 0 }],
            notes: Arc::default(),
            header: Arc::default(),
            body: Arc::new(Memory(Vec::new())),
        }
    }

    fn asked(bindings: Vec<Binding>, hook: Hook) -> Decision {
        let chain = Chain::new(bindings, vec!["other".to_owned()]);
        block_on(chain.ask(hook, &consignment(), &[]))
    }

    #[test]
    fn the_first_who_decides_ends_it_and_news_reach_everybody() {
        let says = |verdict| binding(Ok(verdict), FaultRule::Defer, &[]);
        let chain = || vec![says(Verdict::Next), says(Verdict::Delay(None)), says(Verdict::Bounce(None))];
        assert_eq!(asked(chain(), Hook::PreSend).verdict, Verdict::Delay(None));
        assert_eq!(asked(chain(), Hook::Delivered), Decision::next());
    }

    #[test]
    fn a_fault_holds_mail_up_but_never_the_news_for_its_sender() {
        let trap = |rule| vec![binding(Err(Fault::CpuDeadline), rule, &[])];
        for (rule, verdict) in [
            (FaultRule::Defer, Verdict::Delay(None)),
            (FaultRule::Skip, Verdict::Next),
            (FaultRule::Reject, Verdict::Bounce(None)),
        ] {
            assert_eq!(asked(trap(rule), Hook::Send).verdict, verdict);
            assert_eq!(asked(trap(rule), Hook::Bounce).verdict, Verdict::Next);
            assert_eq!(asked(trap(rule), Hook::Deferred).verdict, Verdict::Next);
        }
    }

    #[test]
    fn to_move_mail_and_to_take_it_are_to_be_granted() {
        let exchange = |host: &str| Exchange { preference: 1, host: host.to_owned(), port: None };
        for (verdict, grant) in [
            (Verdict::Route("other".to_owned()), Grant::Route),
            (Verdict::Exchanges(vec![exchange("mx.example.org"), exchange("192.0.2.1")]), Grant::Route),
            (Verdict::Done(vec![Said { code: Some(250), ..Said::default() }]), Grant::TakeMessages),
            (Verdict::Silence, Grant::TakeMessages),
        ] {
            let fault = asked(vec![binding(Ok(verdict.clone()), FaultRule::Defer, &[])], Hook::PreSend);
            assert!(fault.fault && fault.verdict == Verdict::Delay(None), "{verdict:?}");
            let granted = asked(vec![binding(Ok(verdict.clone()), FaultRule::Defer, &[grant])], Hook::PreSend);
            assert_eq!((granted.verdict, granted.fault), (verdict, false));
        }
    }

    #[test]
    fn what_cannot_be_followed_is_a_fault() {
        let said = |said: Said| Verdict::Done(vec![Said { code: said.code.or(Some(250)), ..said }]);
        let exchange =
            |host: &str, port| Verdict::Exchanges(vec![Exchange { preference: 1, host: host.to_owned(), port }]);
        for verdict in [
            Verdict::Bounce(Some("no\r\n250 yes".to_owned())),
            Verdict::Bounce(Some("x".repeat(513))),
            Verdict::Route("elsewhere".to_owned()),
            said(Said { target: 1, ..Said::default() }),
            said(Said { code: Some(354), ..Said::default() }),
            said(Said { enhanced: EnhancedStatus::new(5, 1, 1), ..Said::default() }),
            said(Said { lines: vec!["a\nb".to_owned()], ..Said::default() }),
            said(Said { lines: vec![String::new(); 101], ..Said::default() }),
            Verdict::Done(vec![Said { code: Some(250), ..Said::default() }; 2]),
            Verdict::Done(vec![Said::default()]),
            exchange("", None),
            exchange("[192.0.2.1]", None),
            exchange("a b", None),
            exchange("mx.example.org", Some(0)),
            Verdict::Exchanges(vec![Exchange { preference: 1, host: "a.example".to_owned(), port: None }; 11]),
        ] {
            let all = [Grant::Route, Grant::TakeMessages];
            let decision = asked(vec![binding(Ok(verdict.clone()), FaultRule::Defer, &all)], Hook::PreSend);
            assert!(decision.fault, "{verdict:?}");
        }
    }
}
