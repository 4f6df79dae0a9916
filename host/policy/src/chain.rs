//! Puts a question to the plugins in order.

use std::sync::Arc;

use wasmail_mail::Mailbox;

use crate::apply::{self, Powers, apply};
use crate::{
    Answer, Body, Context, Fault, Grants, Held, Hook, Outcome, Plugin, Question, Rejected, Step, Verdict, together,
};

/// The edits of parts that an answer asks for, or why they cannot be made.
type Parts = Result<Option<apply::Prepared>, Rejected>;

/// What becomes of a question when a plugin fails to answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultRule {
    /// The client is told to come back: 451, at connect 421. Nothing is decided that the plugin should have decided.
    #[default]
    Defer,
    /// As if the plugin had said `next`.
    Skip,
    /// The client is refused for good: 550, at connect 554.
    Reject,
}

/// A plugin in its place in the chain.
pub struct Binding {
    /// Name, unique in the chain: under it the plugin's results stand and others skip it.
    pub name: Arc<str>,
    /// Whom to ask.
    pub plugin: Arc<dyn Plugin>,
    /// What it may do beyond judging.
    pub grants: Grants,
    /// What its faults become.
    pub on_fault: FaultRule,
}

/// What the chain decided at a hook.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The first decisive verdict, `Next` if there was none.
    pub verdict: Verdict,
    /// The plugin it came from.
    pub by: Option<Arc<str>>,
    /// The tenant that the plugin is of; none is the operator.
    pub tenant: Option<Arc<str>>,
    /// Whether it stands for an answer that a plugin failed to give.
    pub fault: bool,
    /// Why the host has decided, before anybody was asked.
    pub held: Option<Held>,
}

impl Decision {
    /// Nobody decided.
    #[must_use]
    pub const fn next() -> Self {
        Self { verdict: Verdict::Next, by: None, tenant: None, fault: false, held: None }
    }

    /// The host's own.
    #[must_use]
    pub fn host(verdict: Verdict) -> Self {
        Self { verdict, ..Self::next() }
    }

    /// The host defers a tenant's mail.
    #[must_use]
    pub fn held(why: Held) -> Self {
        Self { held: Some(why), ..Self::host(Verdict::DenySoft(None)) }
    }
}

/// The plugins in the order in which they are asked.
#[derive(Default)]
pub struct Chain {
    bindings: Vec<Binding>,
    /// The bindings to ask at each hook, so that a hook nobody exports costs nothing: in groups, whose members are asked
    /// at the same time.
    by_hook: [Vec<Vec<usize>>; Hook::ALL.len()],
    /// The routes that there are.
    routes: Vec<String>,
    /// Whose plugins they are, if not the operator's.
    own: Option<Own>,
}

/// Whose a chain is.
struct Own {
    tenant: Arc<str>,
    /// The recipients that its plugins may add.
    recipients: Box<dyn Fn(&Mailbox) -> bool + Send + Sync>,
}

impl Chain {
    /// A chain that asks these plugins in this order, those at the same time whose footprints allow it.
    #[must_use]
    pub fn new(bindings: Vec<Binding>) -> Self {
        Self::in_groups(bindings, together::groups)
    }

    /// A chain that asks one by one, whatever the footprints say. Its decisions are those of [`Chain::new`]; it is there to
    /// compare with.
    #[must_use]
    pub fn one_by_one(bindings: Vec<Binding>) -> Self {
        Self::in_groups(bindings, |_, asked| asked.into_iter().map(|at| vec![at]).collect())
    }

    fn in_groups(bindings: Vec<Binding>, group: impl Fn(&[Binding], Vec<usize>) -> Vec<Vec<usize>>) -> Self {
        let by_hook = Hook::ALL.map(|hook| {
            let wants = |at: &usize| bindings[*at].plugin.hooks().contains(hook);
            group(&bindings, (0..bindings.len()).filter(wants).collect())
        });
        Self { bindings, by_hook, routes: Vec::new(), own: None }
    }

    /// Names the routes that messages may be sent by; without any, `set-route` is a fault.
    #[must_use]
    pub fn with_routes(self, routes: Vec<String>) -> Self {
        Self { routes, ..self }
    }

    /// Makes it a tenant's: its plugins change nothing that other tenants could notice, and add no recipients but the tenant's own.
    #[must_use]
    pub fn of_tenant(self, tenant: Arc<str>, own: impl Fn(&Mailbox) -> bool + Send + Sync + 'static) -> Self {
        Self { own: Some(Own { tenant, recipients: Box::new(own) }), ..self }
    }

    /// The bindings in order.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Those that are asked at a hook, in order; the members of a group are asked at the same time.
    pub fn groups(&self, hook: Hook) -> impl Iterator<Item = impl Iterator<Item = &Binding>> {
        self.by_hook[hook as usize].iter().map(|group| group.iter().map(|at| &self.bindings[*at]))
    }

    /// Whether anybody wants to be asked at a hook.
    #[must_use]
    pub fn listens(&self, hook: Hook) -> bool {
        !self.by_hook[hook as usize].is_empty()
    }

    /// Asks at a hook: each plugin sees what those before it changed, and the first decisive verdict ends it.
    ///
    /// At [`Hook::Part`] that is done for each part that is not made of parts; an accept ends it for that part alone. Asked
    /// again after a refusal, it goes on behind the part that was refused.
    pub async fn ask(&self, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        if hook == Hook::Part { self.ask_parts(context, body).await } else { self.ask_once(hook, context, body).await }
    }

    pub(crate) async fn ask_once(&self, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        for group in &self.by_hook[hook as usize] {
            let decision = match group.as_slice() {
                [at] => self.ask_one(&self.bindings[*at], hook, context, body).await,
                _ => self.ask_group(group, hook, context, body).await,
            };
            if let Some(decision) = decision {
                return decision;
            }
        }
        Decision::next()
    }

    async fn ask_one(
        &self,
        binding: &Binding,
        hook: Hook,
        context: &mut Context,
        body: Option<&Arc<dyn Body>>,
    ) -> Option<Decision> {
        if !binding.is_asked(context) {
            return None;
        }
        let shown = context.body(body);
        let (body_as_it_came, grants) = (body, binding.grants);
        let question = Question { hook, context, body: shown.as_ref(), body_as_it_came, grants };
        let answer = binding.plugin.ask(&question).await;
        let prepared = binding.prepare(hook, context, body, &answer).await;
        binding.judge(hook, context, answer, prepared, self.limits())
    }

    fn limits(&self) -> (&[String], Option<&Own>) {
        (&self.routes, self.own.as_ref())
    }

    /// Asks several at the same time and takes their answers in order.
    async fn ask_group(
        &self,
        group: &[usize],
        hook: Hook,
        context: &mut Context,
        body: Option<&Arc<dyn Body>>,
    ) -> Option<Decision> {
        let members = group.iter().map(|at| &self.bindings[*at]);
        let mut waiting: Vec<&Binding> = members.filter(|binding| binding.is_asked(context)).collect();
        // Once round is enough but when an answer that seemed to decide could not be applied and its binding's faults
        // are skipped: then those after it have been left waiting.
        while !waiting.is_empty() {
            let shown = context.body(body);
            let (body_as_it_came, grants) = (body, Grants::default());
            let asked = Question { hook, context, body: shown.as_ref(), body_as_it_came, grants };
            let answers = together::ask(&waiting, &asked).await;
            for (binding, answer) in waiting.drain(..answers.len()).zip(answers) {
                let prepared = binding.prepare(hook, context, body, &answer).await;
                let decision = binding.judge(hook, context, answer, prepared, self.limits());
                if decision.is_some() {
                    return decision;
                }
            }
        }
        None
    }
}

impl Binding {
    fn is_asked(&self, context: &Context) -> bool {
        !context.skips(&self.name) && self.plugin.wants(context)
    }

    /// Applies an answer. Returns the decision, if it is one.
    fn judge(
        &self,
        hook: Hook,
        context: &mut Context,
        answer: Answer,
        prepared: Parts,
        limits: (&[String], Option<&Own>),
    ) -> Option<Decision> {
        let powers = Powers { grants: self.grants, routes: limits.0, own: limits.1.map(|own| &*own.recipients) };
        let applied = answer.outcome.and_then(|outcome| self.take(hook, context, powers, outcome, prepared));
        let (verdict, name, fault) = match applied {
            Ok(verdict) => (verdict, None, false),
            Err(fault) => {
                let (uuid, tenant) = (&context.connection.uuid, limits.1.map(|own| &*own.tenant));
                // That one rests is told once, by who has it rest.
                if !matches!(fault, Fault::CircuitOpen) {
                    tracing::warn!(tenant, plugin = %self.name, %hook, %uuid, kind = fault.kind(), "plugin {fault}");
                }
                (self.on_fault.verdict(), Some(fault.kind()), true)
            }
        };
        let step_verdict = name.unwrap_or_else(|| verdict.name());
        let plugin = Arc::clone(&self.name);
        let step = Step { hook, tenant: None, plugin, verdict: step_verdict, fault, elapsed: answer.elapsed };
        self.plugin.heard(&step);
        context.record(step);
        let decides = verdict.is_decisive() && !hook.reaches_all();
        decides.then(|| Decision { by: Some(Arc::clone(&self.name)), fault, ..Decision::host(verdict) })
    }

    /// Prepares the edits of parts that an answer asks for.
    async fn prepare(&self, hook: Hook, context: &Context, body: Option<&Arc<dyn Body>>, answer: &Answer) -> Parts {
        match &answer.outcome {
            Ok(outcome) => apply::prepare(context, hook, body, outcome).await,
            Err(_) => Ok(None),
        }
    }

    fn take(
        &self,
        hook: Hook,
        context: &mut Context,
        powers: Powers<'_>,
        outcome: Outcome,
        prepared: Parts,
    ) -> Result<Verdict, Fault> {
        if let Some(footprint) = self.plugin.footprint() {
            footprint.check(&outcome.mutations)?;
        }
        let prepared = prepared?;
        apply(context, &self.name, powers, hook, &outcome)?;
        if let Some(prepared) = prepared {
            prepared.commit(context);
        }
        Ok(outcome.verdict)
    }

    /// Whether nobody after it will be asked, as far as one can tell before the answer is applied.
    pub(crate) fn seems_to_decide(&self, hook: Hook, answer: &Answer) -> bool {
        let decisive = match &answer.outcome {
            Ok(outcome) => outcome.verdict.is_decisive(),
            Err(_) => self.on_fault.verdict().is_decisive(),
        };
        decisive && !hook.reaches_all()
    }
}

impl FaultRule {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Defer => Verdict::DenySoft(None),
            Self::Skip => Verdict::Next,
            Self::Reject => Verdict::Deny(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{block_on, connection};
    use crate::{BoxFuture, Credentials, Grant, HookSet, Mutation, Scope, Subject};
    use serde_json::json;
    use std::time::Duration;

    /// A plugin that answers what it is told, or fails.
    struct Says(Result<Outcome, Fault>);

    impl Plugin for Says {
        fn hooks(&self) -> HookSet {
            [Hook::Ehlo, Hook::Disconnect].into_iter().collect()
        }

        fn ask<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer { outcome: self.0.clone(), elapsed: Duration::from_micros(3) } })
        }
    }

    /// A plugin that denies when it sees the note that another left.
    struct SeesNote;

    impl Plugin for SeesNote {
        fn hooks(&self) -> HookSet {
            [Hook::Ehlo].into_iter().collect()
        }

        fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            let seen = question.context.notes.get("/mark").is_some();
            let verdict = if seen { Verdict::Deny(None) } else { Verdict::Next };
            let outcome = Ok(Outcome { verdict, mutations: Vec::new() });
            Box::pin(async { Answer { outcome, elapsed: Duration::ZERO } })
        }
    }

    fn binding(name: &str, on_fault: FaultRule, plugin: impl Plugin + 'static) -> Binding {
        Binding { name: name.into(), plugin: Arc::new(plugin), grants: Grants::default(), on_fault }
    }

    fn says(verdict: Verdict, mutations: Vec<Mutation>) -> Says {
        Says(Ok(Outcome { verdict, mutations }))
    }

    fn mark() -> Mutation {
        Mutation::SetNote { scope: Scope::Connection, pointer: "/mark".into(), value: json!(true) }
    }

    fn ask(chain: &Chain, context: &mut Context) -> Decision {
        block_on(chain.ask(Hook::Ehlo, context, None))
    }

    #[test]
    fn the_first_decisive_verdict_ends_the_hook() {
        let chain = Chain::new(vec![
            binding("a", FaultRule::Defer, says(Verdict::Next, vec![])),
            binding("b", FaultRule::Defer, says(Verdict::Accept(None), vec![])),
            binding("c", FaultRule::Defer, says(Verdict::Deny(None), vec![])),
        ]);
        let mut context = Context::new(connection());
        let decision = ask(&chain, &mut context);
        assert_eq!((decision.verdict, decision.by.as_deref()), (Verdict::Accept(None), Some("b")));
        let asked: Vec<_> = context.trail.steps().iter().map(|step| (&*step.plugin, step.verdict)).collect();
        assert_eq!(asked, [("a", "next"), ("b", "accept")]);
    }

    #[test]
    fn one_plugin_sees_what_those_before_it_set() {
        let setter = || binding("setter", FaultRule::Defer, says(Verdict::Next, vec![mark()]));
        let seer = || binding("seer", FaultRule::Defer, SeesNote);
        let mut context = Context::new(connection());
        let decision = ask(&Chain::new(vec![seer(), setter()]), &mut context);
        assert_eq!(decision, Decision::next());
        let decision = ask(&Chain::new(vec![setter(), seer()]), &mut Context::new(connection()));
        assert_eq!(decision.verdict, Verdict::Deny(None));
    }

    #[test]
    fn a_fault_becomes_what_the_binding_says_and_the_others_go_on() {
        for (rule, verdict) in [
            (FaultRule::Defer, Verdict::DenySoft(None)),
            (FaultRule::Reject, Verdict::Deny(None)),
            (FaultRule::Skip, Verdict::Accept(None)),
        ] {
            let chain = Chain::new(vec![
                binding("bad", rule, Says(Err(Fault::Trap("unreachable".into())))),
                binding("good", FaultRule::Defer, says(Verdict::Accept(None), vec![])),
            ]);
            let mut context = Context::new(connection());
            let decision = ask(&chain, &mut context);
            assert_eq!(decision.verdict, verdict);
            assert_eq!(decision.fault, rule != FaultRule::Skip);
            assert_eq!(context.trail.steps()[0].verdict, "trap");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_applied_leaves_no_trace() {
        let relaying = says(Verdict::Accept(None), vec![mark(), Mutation::SetRelaying(true)]);
        let chain = Chain::new(vec![binding("greedy", FaultRule::Defer, relaying)]);
        let mut context = Context::new(connection());
        let decision = ask(&chain, &mut context);
        assert_eq!((decision.verdict, decision.fault), (Verdict::DenySoft(None), true));
        assert!(context.notes.is_empty() && !context.connection.relaying);
        assert_eq!(context.trail.steps()[0].verdict, "rejected");
    }

    /// A plugin that vouches for everybody, and denies whom it cannot see.
    struct Vouches;

    impl Plugin for Vouches {
        fn hooks(&self) -> HookSet {
            [Hook::Auth].into_iter().collect()
        }

        fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
            let (mechanism, shown) = question.credentials().unwrap();
            assert_eq!(mechanism, "PLAIN");
            assert_eq!(shown.is_some(), question.grants.has(Grant::Credentials));
            let outcome = Ok(Outcome { verdict: Verdict::Accept(None), mutations: Vec::new() });
            Box::pin(async { Answer { outcome, elapsed: Duration::ZERO } })
        }
    }

    #[test]
    fn only_who_was_granted_credentials_sees_them_and_vouches() {
        for granted in [false, true] {
            let grants = granted.then_some(Grant::Credentials).into_iter().collect();
            let chain = Chain::new(vec![Binding { grants, ..binding("vouches", FaultRule::Defer, Vouches) }]);
            let mut context = Context::new(connection());
            let credentials = Credentials {
                mechanism: "PLAIN",
                user: "tim".into(),
                secret: crate::Secret::Password("tanstaaf".into()),
            };
            context.subject = Subject::Credentials(credentials);
            let decision = block_on(chain.ask(Hook::Auth, &mut context, None));
            assert_eq!((decision.verdict == Verdict::Accept(None), decision.fault), (granted, !granted));
        }
    }

    #[test]
    fn a_skipped_plugin_is_not_asked() {
        let chain = Chain::new(vec![
            binding("a", FaultRule::Defer, says(Verdict::Next, vec![Mutation::SkipPlugin("b".into())])),
            binding("b", FaultRule::Defer, says(Verdict::Deny(None), vec![])),
        ]);
        assert_eq!(ask(&chain, &mut Context::new(connection())), Decision::next());
    }

    #[test]
    fn disconnect_reaches_every_plugin() {
        let deny = || says(Verdict::Deny(None), vec![]);
        let chain = Chain::new(vec![
            binding("a", FaultRule::Defer, deny()),
            binding("b", FaultRule::Defer, Says(Err(Fault::CpuDeadline))),
            binding("c", FaultRule::Defer, deny()),
        ]);
        let mut context = Context::new(connection());
        assert_eq!(block_on(chain.ask(Hook::Disconnect, &mut context, None)), Decision::next());
        assert_eq!(context.trail.steps().len(), 3);
    }

    #[test]
    fn a_hook_that_nobody_exports_costs_nothing() {
        let chain = Chain::new(vec![binding("a", FaultRule::Defer, SeesNote)]);
        assert!(chain.listens(Hook::Ehlo) && !chain.listens(Hook::Rcpt));
        let mut context = Context::new(connection());
        assert_eq!(block_on(chain.ask(Hook::Rcpt, &mut context, None)), Decision::next());
        assert!(context.trail.steps().is_empty());
    }
}
