//! Writes down what the spool promised, and holds it to that.

use crate::storage::{Folder, Storage};
use crate::{CommitError, Options, RecipientState, Spool, SpoolId};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};

/// A spool so small that a handful of messages uses every mechanism.
pub(super) fn tiny() -> Options {
    Options { segment_size: 4096, inline_max: 600, min_free: 0, ..Options::default() }
}

/// What a message looks like: all of it follows from its number.
pub(super) fn envelope(number: u32) -> Envelope {
    let path = |text: String| ForwardPath::parse(&text).unwrap();
    let recipient = |text| Recipient { path: path(text), parameters: Vec::new() };
    Envelope {
        uuid: format!("connection.{number}"),
        reverse_path: ReversePath::parse(&format!("<sender{number}@example.org>")).unwrap(),
        parameters: Vec::new(),
        body: BodyType::EightBitMime,
        smtputf8: false,
        recipients: vec![recipient(format!("<one{number}@example.test>")), recipient("<two@example.test>".to_owned())],
        handling: Default::default(),
    }
}

fn header(number: u32) -> Bytes {
    format!("Subject: {number}\r\nX-Octets: \u{fe}\u{0}\r\n\r\n").into()
}

fn body(number: u32, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(number).to_be_bytes()[0]).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    Nothing,
    Tried,
    Done,
}

#[derive(Debug, Clone)]
struct Entry {
    number: u32,
    length: usize,
    committed: Promise,
    finished: Promise,
    /// The last state of the first recipient that was promised, and those that were tried after.
    states: Vec<RecipientState>,
    /// Likewise of its route.
    routes: Vec<Option<String>>,
    /// Of whose first recipient it tells what.
    tells: Option<(SpoolId, RecipientState)>,
}

/// What was promised so far. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<SpoolId, Entry>>>);

impl Ledger {
    fn update(&self, id: SpoolId, change: impl FnOnce(&mut Entry)) {
        change(self.0.lock().get_mut(&id).expect("the ledger knows every message"));
    }

    /// A ledger of its own with the same entries.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    pub(super) async fn commit(&self, spool: &Spool, number: u32, length: usize) -> Option<SpoolId> {
        self.try_commit(spool, number, length).await.ok()
    }

    pub(super) async fn try_commit(&self, spool: &Spool, number: u32, length: usize) -> Result<SpoolId, CommitError> {
        self.write(spool, number, length, None).await
    }

    /// Commits a message that tells what became of another's first recipient.
    pub(super) async fn tell(
        &self,
        spool: &Spool,
        number: u32,
        length: usize,
        of: Option<SpoolId>,
        state: RecipientState,
    ) {
        let Some(of) = of else { return };
        self.update(of, |entry| entry.states.push(state.clone()));
        if self.write(spool, number, length, Some((of, state.clone()))).await.is_ok() {
            self.update(of, |entry| entry.states = vec![state]);
        }
    }

    async fn write(
        &self,
        spool: &Spool,
        number: u32,
        length: usize,
        tells: Option<(SpoolId, RecipientState)>,
    ) -> Result<SpoolId, CommitError> {
        let mut draft = spool.draft();
        let (id, states) = (draft.id(), vec![RecipientState::Pending]);
        let entry = Entry {
            number,
            length,
            committed: Promise::Nothing,
            finished: Promise::Nothing,
            states,
            routes: vec![None],
            tells: tells.clone(),
        };
        assert!(self.0.lock().insert(id, entry).is_none(), "the id {id} was given twice");
        for part in body(number, length).chunks(1000) {
            draft.append(part).await?;
        }
        let sealed = draft.seal().await?;
        self.update(id, |entry| entry.committed = Promise::Tried);
        let committed = match tells {
            None => sealed.commit(envelope(number), header(number)).await?,
            Some((of, state)) => sealed.commit_settling(envelope(number), header(number), of, vec![(0, state)]).await?,
        };
        assert_eq!(committed, id);
        self.update(id, |entry| entry.committed = Promise::Done);
        Ok(id)
    }

    pub(super) async fn record(&self, spool: &Spool, id: Option<SpoolId>, state: RecipientState) {
        let Some(id) = id else { return };
        self.update(id, |entry| entry.states.push(state.clone()));
        if spool.record(id, vec![(0, state.clone())]).await.is_ok() {
            self.update(id, |entry| entry.states = vec![state]);
        }
    }

    pub(super) async fn reroute(&self, spool: &Spool, id: Option<SpoolId>, route: Option<&str>) {
        let (Some(id), route) = (id, route.map(str::to_owned)) else { return };
        self.update(id, |entry| entry.routes.push(route.clone()));
        if spool.reroute(id, route.clone()).await.is_ok() {
            self.update(id, |entry| entry.routes = vec![route]);
        }
    }

    pub(super) async fn finish(&self, spool: &Spool, id: Option<SpoolId>) {
        let Some(id) = id else { return };
        self.update(id, |entry| entry.finished = Promise::Tried);
        if spool.finish(id).await.is_ok() {
            self.update(id, |entry| entry.finished = Promise::Done);
        }
    }

    /// The number of messages that must be there.
    pub(super) fn owed(&self) -> usize {
        self.0.lock().values().filter(|entry| entry.is_owed()).count()
    }

    /// Whatever was promised is there, whole and once, and nothing is there that was not at least tried.
    pub(super) async fn check(&self, spool: &Spool, found: &[crate::Recovered], story: &str) {
        let ids: BTreeSet<SpoolId> = found.iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), found.len(), "{story}: a message was recovered twice");
        let entries = self.0.lock().clone();
        for (id, entry) in &entries {
            assert!(!entry.is_owed() || ids.contains(id), "{story}: {id} is lost: {entry:?}");
        }
        let state_of = |id| found.iter().find(|message| message.id == id).map(|message| &message.recipients[0]);
        for (id, entry) in &entries {
            if let Some((of, told)) = &entry.tells
                && let Some(state) = state_of(*of)
            {
                assert_eq!(state == told, ids.contains(id), "{story}: {of} is {state:?}, and {id} tells of it");
            }
        }
        for message in found {
            let entry = entries.get(&message.id).unwrap_or_else(|| panic!("{story}: {} was never sent", message.id));
            assert!(entry.may_be_there(), "{story}: {} should not be there: {entry:?}", message.id);
            assert!(entry.states.contains(&message.recipients[0]), "{story}: {entry:?} is {message:?}");
            assert_eq!(message.recipients[1], RecipientState::Pending, "{story}");
            let route = message.route.as_deref().map(str::to_owned);
            assert!(entry.routes.contains(&route), "{story}: {entry:?} is {message:?}");
            entry.check_whole(spool, message, story).await;
        }
    }

    /// After a recovery a message is there or is not, and stays so.
    pub(super) fn settle(&self, found: &[crate::Recovered]) {
        let ids: BTreeMap<SpoolId, &crate::Recovered> = found.iter().map(|message| (message.id, message)).collect();
        self.0.lock().retain(|id, entry| {
            let Some(message) = ids.get(id) else { return false };
            (entry.committed, entry.finished) = (Promise::Done, Promise::Nothing);
            entry.states = vec![message.recipients[0].clone()];
            entry.routes = vec![message.route.as_deref().map(str::to_owned)];
            true
        });
    }
}

impl Entry {
    fn is_owed(&self) -> bool {
        self.committed == Promise::Done && self.finished == Promise::Nothing
    }

    fn may_be_there(&self) -> bool {
        self.committed >= Promise::Tried && self.finished <= Promise::Tried
    }

    async fn check_whole(&self, spool: &Spool, found: &crate::Recovered, story: &str) {
        let id = found.id;
        let message = spool.message(id).await.unwrap_or_else(|error| panic!("{story}: {id}: {error}"));
        let mut envelope = envelope(self.number);
        envelope.handling.route = found.route.as_deref().map(str::to_owned);
        assert_eq!(message.envelope(), &envelope, "{story}");
        assert_eq!(message.header(), &header(self.number), "{story}");
        let (mut chunks, mut octets) = (message.body().chunks(), Vec::new());
        while let Some(chunk) = chunks.next().await.unwrap_or_else(|error| panic!("{story}: {id}: {error}")) {
            octets.extend(chunk);
        }
        assert!(octets == body(self.number, self.length), "{story}: the body of {id} is torn");
    }
}

/// Commits messages of these numbers and lengths at the same time.
pub(super) async fn commit_together(spool: &Spool, ledger: &Ledger, messages: &[(u32, usize)]) -> Vec<Option<SpoolId>> {
    let commit = |&(number, length): &(u32, usize)| {
        let (spool, ledger) = (spool.clone(), ledger.clone());
        tokio::spawn(async move { ledger.commit(&spool, number, length).await })
    };
    let tasks: Vec<_> = messages.iter().map(commit).collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap());
    }
    ids
}

/// The bodies directory holds what `found` needs and nothing else.
pub(super) fn check_no_orphans(storage: &dyn Storage, found: &[crate::Recovered], story: &str) {
    let ids: BTreeSet<String> = found.iter().map(|message| message.id.to_string()).collect();
    for name in storage.list(Folder::Bodies).unwrap() {
        assert!(ids.contains(&name), "{story}: the body {name} belongs to nobody");
    }
}
