//! Asks plugins about delivery: whether a message goes out, where to, and what follows from an attempt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wasmail_mail::{EnhancedStatus, HeaderSection};
use wasmail_policy::outbound::{Chain, Consignment, Decision, Hook, Said, Target, Verdict, keep, recall};
use wasmail_policy::{Body, Notes};
use wasmail_queue::Outcome;
use wasmail_spool::{Message, RecipientState};

use super::attempt::Delivered;
use super::mx::by_destination;
use super::reports::Step;
use crate::body::SpooledBody;
use crate::log::Escaped;

/// Questions that are asked at once: each takes an instance of every plugin that is asked, and sessions need some, too.
const ASKED_AT_ONCE: usize = 32;
/// A plugin that puts mail off for less would have the server do nothing else.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// What is said of a bounce that a plugin gives no reason for.
const REFUSED: &str = "5.7.1 policy refuses to deliver this message";
pub(super) const PUT_OFF: &str = "4.7.0 policy puts this message off";
const UNTOLD: &str = "4.3.0 the plugin does not say what became of this recipient";

/// Asks the plugins of delivery.
pub(crate) struct Hooks {
    chain: Arc<Chain>,
    /// JSON Pointers to the notes that are kept.
    notes: Vec<String>,
    /// Longest body that the spool keeps in memory.
    inline_max: u64,
    /// How long a message is tried.
    lifetime: Duration,
    places: Arc<Semaphore>,
}

/// What plugins want before an attempt.
#[derive(Default)]
pub(super) struct Before {
    /// Those whom the host is to try, by position.
    pub(super) left: Vec<usize>,
    /// Those of whom all is said.
    pub(super) settled: Vec<Delivered>,
    /// Those who go by another route, and its name.
    pub(super) elsewhere: Vec<(String, Vec<usize>)>,
}

/// Recipients of one domain, by position, and the message on its way to them.
struct Parcel {
    recipients: Vec<usize>,
    consignment: Consignment,
}

impl Hooks {
    pub(crate) fn new(chain: Arc<Chain>, inline_max: u64, lifetime: Duration) -> Self {
        let notes = chain.notes();
        Self { chain, notes, inline_max, lifetime, places: Arc::new(Semaphore::new(ASKED_AT_ONCE)) }
    }

    /// What is kept of a transaction's notes, because a plugin of delivery wants to see it.
    pub(crate) fn keep(&self, notes: &Notes) -> Option<String> {
        if notes.is_empty() { None } else { keep(notes, &self.notes) }
    }

    /// Whether anybody wants to be asked before an attempt.
    pub(super) fn come_before(&self) -> bool {
        self.chain.listens(Hook::PreSend) || self.chain.listens(Hook::Send)
    }

    /// Whether anybody wants to know of any attempt at all.
    pub(super) fn are_none(&self) -> bool {
        !Hook::ALL.into_iter().any(|hook| self.chain.listens(hook))
    }

    /// Asks whether these recipients are tried now, and whether a plugin delivers.
    pub(super) async fn before(&self, message: &Message, recipients: &[usize]) -> Before {
        let (mut before, mut asked) = (Before::default(), JoinSet::new());
        for parcel in self.parcels(message, recipients) {
            let (chain, places) = (Arc::clone(&self.chain), Arc::clone(&self.places));
            asked.spawn(async move {
                let mut decision = ask(&chain, &places, Hook::PreSend, &parcel.consignment, &[]).await;
                if decision.verdict == Verdict::Next {
                    decision = ask(&chain, &places, Hook::Send, &parcel.consignment, &[]).await;
                }
                (parcel.recipients, decision)
            });
        }
        for (recipients, decision) in asked.join_all().await {
            before.take(recipients, decision);
        }
        before
    }

    /// Asks for the servers of a domain.
    pub(super) async fn exchanges(&self, message: &Message, recipients: &[usize]) -> Verdict {
        if !self.chain.listens(Hook::GetMx) {
            return Verdict::Next;
        }
        match self.parcels(message, recipients).pop() {
            Some(parcel) => ask(&self.chain, &self.places, Hook::GetMx, &parcel.consignment, &[]).await.verdict,
            None => Verdict::Next,
        }
    }

    /// Lets plugins say when those are tried again who could not be reached for now, or that they are given up.
    pub(super) async fn deferred(&self, message: &Message, delivered: &mut [Delivered]) {
        let is_deferred = |done: &Delivered| matches!(done.outcome, Outcome::Deferred | Outcome::PutOff(_));
        for parcel in self.parcels_of(Hook::Deferred, message, delivered.iter().filter(|done| is_deferred(done))) {
            let mut said = said_of(&parcel, delivered.iter());
            // A recipient stands in one parcel alone, and once.
            said.sort_by_key(|said| said.target);
            let decision = ask(&self.chain, &self.places, Hook::Deferred, &parcel.consignment, &said).await;
            let outcome = match decision.verdict {
                Verdict::Delay(wait) => put_off(wait),
                Verdict::Bounce(_) => Outcome::Failed,
                _ => continue,
            };
            for done in delivered.iter_mut().filter(|done| parcel.recipients.contains(&done.recipient)) {
                done.outcome = outcome;
            }
        }
    }

    /// Lets plugins say that a sender is not told of a failure.
    pub(super) async fn bounced(&self, message: &Message, steps: &mut [Step<'_>]) {
        let is_failed = |step: &&Step<'_>| matches!(step.state, RecipientState::Failed { .. });
        let failed = steps.iter().filter(is_failed).map(|step| step.done);
        for parcel in self.parcels_of(Hook::Bounce, message, failed) {
            let said = said_of(&parcel, steps.iter().map(|step| step.done));
            let decision = ask(&self.chain, &self.places, Hook::Bounce, &parcel.consignment, &said).await;
            if decision.verdict != Verdict::Silence {
                continue;
            }
            for step in steps.iter_mut().filter(|step| parcel.recipients.contains(&step.position)) {
                let reply = step.done.reply.clone();
                step.state = RecipientState::Bounced { reply };
            }
        }
    }

    /// Tells plugins who has the message.
    pub(super) async fn delivered(&self, message: &Message, delivered: &[Delivered]) {
        let has_it = |done: &&Delivered| done.outcome == Outcome::Delivered;
        for parcel in self.parcels_of(Hook::Delivered, message, delivered.iter().filter(has_it)) {
            let said = said_of(&parcel, delivered.iter());
            ask(&self.chain, &self.places, Hook::Delivered, &parcel.consignment, &said).await;
        }
    }

    fn parcels_of<'a>(&self, hook: Hook, message: &Message, done: impl Iterator<Item = &'a Delivered>) -> Vec<Parcel> {
        if !self.chain.listens(hook) {
            return Vec::new();
        }
        let recipients: Vec<_> = done.map(|done| done.recipient).collect();
        if recipients.is_empty() { Vec::new() } else { self.parcels(message, &recipients) }
    }

    /// The message as plugins see it, once for each domain.
    fn parcels(&self, message: &Message, recipients: &[usize]) -> Vec<Parcel> {
        let header = Arc::new(header(message.header()));
        let body: Arc<dyn Body> = Arc::new(SpooledBody::new(message.body().clone(), self.inline_max));
        let envelope = message.envelope();
        let notes = Arc::new(envelope.handling.notes.as_deref().map(recall).unwrap_or_default());
        let begin =
            envelope.handling.not_before.map_or(message.accepted_at(), |start| start.max(message.accepted_at()));
        let target = |at: &usize| {
            let recipient = envelope.recipients.get(*at)?.clone();
            let attempts = match message.recipients().get(*at) {
                Some(RecipientState::Deferred(deferral)) => deferral.attempts,
                _ => 0,
            };
            Some(Target { recipient, attempts })
        };
        let parcel = |(destination, recipients): (String, Vec<usize>)| Parcel {
            consignment: Consignment {
                queue_id: message.id().to_string(),
                uuid: envelope.uuid.clone(),
                reverse_path: envelope.reverse_path.clone(),
                parameters: envelope.parameters.clone(),
                smtputf8: envelope.smtputf8,
                accepted: message.accepted_at(),
                expires: begin + self.lifetime,
                destination,
                route: envelope.handling.route.clone(),
                targets: recipients.iter().filter_map(target).collect(),
                notes: Arc::clone(&notes),
                header: Arc::clone(&header),
                body: Arc::clone(&body),
            },
            recipients,
        };
        by_destination(envelope, recipients).into_iter().map(parcel).collect()
    }
}

impl Before {
    /// Takes in what was decided of these recipients.
    fn take(&mut self, recipients: Vec<usize>, decision: Decision) {
        let by = decision.by.as_deref().unwrap_or_default();
        match decision.verdict {
            Verdict::Delay(wait) => self.settled.extend(Delivered::all(&recipients, put_off(wait), PUT_OFF)),
            Verdict::Bounce(text) => {
                self.settled.extend(Delivered::all(&recipients, Outcome::Failed, &refusal(text.as_deref())));
            }
            Verdict::Route(name) => self.elsewhere.push((name, recipients)),
            Verdict::Done(said) => self.settled.extend(done(&recipients, &said, by)),
            Verdict::Next | Verdict::Exchanges(_) | Verdict::Silence => self.left.extend(recipients),
        }
    }
}

/// Asks when there is a place, and logs what was decided.
async fn ask(chain: &Chain, places: &Semaphore, hook: Hook, consignment: &Consignment, said: &[Said]) -> Decision {
    // It is never closed.
    let _place = places.acquire().await;
    let decision = chain.ask(hook, consignment, said).await;
    if let Some(plugin) = &decision.by {
        tracing::info!(
            target: "wasmail::delivery", queue_id = %consignment.queue_id, uuid = %consignment.uuid,
            destination = %Escaped(&consignment.destination), %hook, %plugin, verdict = decision.verdict.name(),
            fault = decision.fault, "policy decides"
        );
    }
    decision
}

pub(super) fn put_off(wait: Option<Duration>) -> Outcome {
    wait.map_or(Outcome::Deferred, |wait| Outcome::PutOff(wait.max(WAIT_MIN)))
}

/// A plugin's reason with an enhanced status code in front.
pub(super) fn refusal(text: Option<&str>) -> String {
    let Some(text) = text else { return REFUSED.to_owned() };
    let code = text.split(' ').next().and_then(EnhancedStatus::parse);
    if code.is_some_and(|code| code.class() == 5) { text.to_owned() } else { format!("5.7.1 {text}") }
}

/// What became of those whom a plugin has delivered to, or tried to.
fn done(recipients: &[usize], said: &[Said], by: &str) -> Vec<Delivered> {
    let of = |(target, recipient): (usize, &usize)| {
        let Some(said) = said.iter().find(|said| said.target == target) else {
            return Delivered::new(*recipient, Outcome::Deferred, UNTOLD);
        };
        let outcome = match said.code {
            Some(200..=299) => Outcome::Delivered,
            Some(500..=599) => Outcome::Failed,
            _ => Outcome::Deferred,
        };
        let code = said.code.map(|code| code.to_string());
        let words =
            code.into_iter().chain(said.enhanced.map(|code| code.to_string())).chain(said.lines.iter().cloned());
        let reply = format!("plugin {by}: {}", words.collect::<Vec<_>>().join(" "));
        Delivered { said: Some(said.clone()), ..Delivered::new(*recipient, outcome, reply) }
    };
    recipients.iter().enumerate().map(of).collect()
}

/// What was said of the recipients of a parcel, in their order.
fn said_of<'a>(parcel: &Parcel, all: impl Iterator<Item = &'a Delivered> + Clone) -> Vec<Said> {
    let of = |(target, recipient): (usize, &usize)| {
        let done = all.clone().find(|done| done.recipient == *recipient)?;
        let untold = || match done.reply.split_once(' ') {
            Some((code, text)) if EnhancedStatus::parse(code).is_some() => {
                Said { enhanced: EnhancedStatus::parse(code), lines: vec![text.to_owned()], ..Said::default() }
            }
            _ => Said { lines: vec![done.reply.clone()], ..Said::default() },
        };
        Some(Said { target, ..done.said.clone().unwrap_or_else(untold) })
    };
    parcel.recipients.iter().enumerate().filter_map(of).collect()
}

/// The header section as it was accepted.
fn header(octets: &[u8]) -> HeaderSection {
    let mut section = HeaderSection::default();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if !section.push_line(line) {
            break;
        }
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_code_in_front() {
        assert_eq!(refusal(None), REFUSED);
        assert_eq!(refusal(Some("not today")), "5.7.1 not today");
        assert_eq!(refusal(Some("5.2.1 moved away")), "5.2.1 moved away");
        assert_eq!(refusal(Some("4.2.1 later")), "5.7.1 4.2.1 later");
    }

    #[test]
    fn each_recipient_has_what_the_plugin_says_of_it() {
        let said = |target, code, text: &str| Said {
            target,
            code: Some(code),
            lines: vec![text.to_owned()],
            ..Said::default()
        };
        let done = done(&[4, 7, 9], &[said(1, 550, "no"), said(0, 250, "ok")], "webhook");
        let outcomes: Vec<_> = done.iter().map(|done| (done.recipient, done.outcome, done.reply.as_str())).collect();
        assert_eq!(
            outcomes,
            [
                (4, Outcome::Delivered, "plugin webhook: 250 ok"),
                (7, Outcome::Failed, "plugin webhook: 550 no"),
                (9, Outcome::Deferred, UNTOLD)
            ]
        );
    }

    #[test]
    fn who_wants_to_wait_less_than_a_second_waits_one() {
        assert_eq!(put_off(Some(Duration::ZERO)), Outcome::PutOff(WAIT_MIN));
        assert_eq!(put_off(Some(Duration::from_secs(7))), Outcome::PutOff(Duration::from_secs(7)));
        assert_eq!(put_off(None), Outcome::Deferred);
    }
}
