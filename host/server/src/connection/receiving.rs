//! A message on its way from the session to the spool, and to those who judge it.

use std::io;
use std::sync::Arc;

use wasmail_policy::{Body, Pieces};
use wasmail_smtp::{Commit, CommitFailure};
use wasmail_spool::{CHUNK_LEN, CommitError, Draft, SealedDraft, Spool, SpoolId};

use crate::body::SpooledBody;
use crate::server::House;

/// What there is of the message.
#[derive(Default)]
pub(super) enum Receiving {
    #[default]
    Nothing,
    Draft(Box<Draft>),
    Sealed(Box<SealedDraft>, Option<Arc<dyn Body>>),
    Failed(CommitFailure),
}

impl Receiving {
    /// Adds octets of the body.
    pub(super) async fn append(&mut self, spool: &Spool, octets: &[u8]) -> Result<(), CommitFailure> {
        if let Self::Nothing = self {
            *self = Self::Draft(Box::new(spool.draft()));
        }
        let appended = match self {
            Self::Draft(draft) => draft.append(octets).await.map_err(|error| failed_to_draft(&error)),
            Self::Failed(failure) => Err(*failure),
            // The session gives no body after the end of the data.
            Self::Nothing | Self::Sealed(..) => Ok(()),
        };
        appended.inspect_err(|failure| *self = Self::Failed(*failure))
    }

    /// The body as plugins read it; none when it could not be kept, which the commit will say.
    pub(super) async fn body(&mut self, house: &House) -> Option<Arc<dyn Body>> {
        self.seal(&house.spool).await;
        let Self::Sealed(sealed, shown) = self else { return None };
        let body = shown.get_or_insert_with(|| Arc::new(SpooledBody::new(sealed.body().clone(), house.inline_max)));
        Some(Arc::clone(body))
    }

    async fn seal(&mut self, spool: &Spool) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::sealed(spool.draft()).await,
            Self::Draft(draft) => Self::sealed(*draft).await,
            other => other,
        };
    }

    async fn sealed(draft: Draft) -> Self {
        match draft.seal().await {
            Ok(sealed) => Self::Sealed(Box::new(sealed), None),
            Err(error) => Self::Failed(failed_to_draft(&error)),
        }
    }

    /// Makes the message durable, with the body as it came or as plugins have edited it.
    pub(super) async fn commit(
        &mut self,
        house: &House,
        commit: Commit,
        edited: Option<Arc<Pieces>>,
    ) -> Result<SpoolId, CommitFailure> {
        self.seal(&house.spool).await;
        let as_it_came = std::mem::take(self);
        let ready = match edited {
            Some(edited) if matches!(as_it_came, Self::Sealed(..)) => Self::written_anew(&house.spool, &edited).await,
            _ => as_it_came,
        };
        match ready {
            Self::Sealed(sealed, _) => {
                let Commit { mut header, envelope, ours } = commit;
                let uuid = envelope.uuid.clone();
                if ours {
                    house.sign(&mut header, sealed.body()).await.map_err(|error| failed_to_sign(&uuid, &error))?;
                }
                let committed = sealed.commit(envelope, header.into()).await;
                committed.map_err(|error| failed_to_commit(&uuid, &error))
            }
            Self::Failed(failure) => Err(failure),
            Self::Nothing | Self::Draft(_) => Err(CommitFailure::Io),
        }
    }

    /// Writes an edited body into a draft of its own, piece by piece, while the one that came is still there.
    async fn written_anew(spool: &Spool, edited: &Pieces) -> Self {
        let mut draft = spool.draft();
        let mut offset = 0;
        loop {
            let appended = match edited.read_at(offset, CHUNK_LEN).await {
                Ok(chunk) if chunk.is_empty() => return Self::sealed(draft).await,
                Ok(chunk) => {
                    offset += chunk.len() as u64;
                    draft.append(&chunk).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = appended {
                return Self::Failed(failed_to_draft(&error));
            }
        }
    }

    /// Forgets the message.
    pub(super) fn discard(&mut self) {
        *self = Self::Nothing;
    }
}

pub(crate) fn failed_to_draft(error: &io::Error) -> CommitFailure {
    tracing::error!(%error, "failed to keep a message's body");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CommitFailure::Full,
        _ => CommitFailure::Io,
    }
}

pub(crate) fn failed_to_sign(uuid: &str, error: &io::Error) -> CommitFailure {
    tracing::error!(uuid, %error, "failed to sign a message");
    CommitFailure::Io
}

pub(crate) fn failed_to_commit(uuid: &str, error: &CommitError) -> CommitFailure {
    tracing::error!(uuid, %error, "failed to commit a message");
    match error {
        CommitError::Full(_) => CommitFailure::Full,
        CommitError::Io(_) => CommitFailure::Io,
    }
}
