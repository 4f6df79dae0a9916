//! Puts a question to the plugins in order.

use std::sync::Arc;

use crate::apply::apply;
use crate::{Body, Context, Fault, Grants, Hook, Outcome, Plugin, Question, Step, Verdict};

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
    /// Whether it stands for an answer that a plugin failed to give.
    pub fault: bool,
}

impl Decision {
    /// Nobody decided.
    #[must_use]
    pub const fn next() -> Self {
        Self { verdict: Verdict::Next, by: None, fault: false }
    }
}

/// The plugins in the order in which they are asked.
#[derive(Default)]
pub struct Chain {
    bindings: Vec<Binding>,
    /// The bindings to ask at each hook, so that a hook nobody exports costs nothing.
    by_hook: [Vec<usize>; Hook::ALL.len()],
}

impl Chain {
    /// A chain that asks these plugins in this order.
    #[must_use]
    pub fn new(bindings: Vec<Binding>) -> Self {
        let by_hook = Hook::ALL.map(|hook| {
            let wants = |at: &usize| bindings[*at].plugin.hooks().contains(hook);
            (0..bindings.len()).filter(wants).collect()
        });
        Self { bindings, by_hook }
    }

    /// The bindings in order.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Whether anybody wants to be asked at a hook.
    #[must_use]
    pub fn listens(&self, hook: Hook) -> bool {
        !self.by_hook[hook as usize].is_empty()
    }

    /// Asks at a hook: each plugin sees what those before it changed, and the first decisive verdict ends it.
    pub async fn ask(&self, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        for at in &self.by_hook[hook as usize] {
            let binding = &self.bindings[*at];
            if context.skips(&binding.name) {
                continue;
            }
            let decision = binding.ask(hook, context, body).await;
            if decision.verdict.is_decisive() && !hook.reaches_all() {
                return decision;
            }
        }
        Decision::next()
    }
}

impl Binding {
    async fn ask(&self, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        let answer = self.plugin.ask(&Question { hook, context, body }).await;
        let applied = answer.outcome.and_then(|outcome| self.take(hook, context, outcome));
        let (verdict, name, fault) = match applied {
            Ok(verdict) => (verdict, None, false),
            Err(fault) => {
                let uuid = &context.connection.uuid;
                tracing::warn!(plugin = %self.name, %hook, %uuid, kind = fault.kind(), "plugin {fault}");
                (self.on_fault.verdict(), Some(fault.kind()), true)
            }
        };
        let step_verdict = name.unwrap_or_else(|| verdict.name());
        let plugin = Arc::clone(&self.name);
        context.record(Step { hook, plugin, verdict: step_verdict, fault, elapsed: answer.elapsed });
        let by = verdict.is_decisive().then(|| Arc::clone(&self.name));
        Decision { fault: fault && verdict.is_decisive(), verdict, by }
    }

    fn take(&self, hook: Hook, context: &mut Context, outcome: Outcome) -> Result<Verdict, Fault> {
        apply(context, &self.name, self.grants, hook, &outcome)?;
        Ok(outcome.verdict)
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
