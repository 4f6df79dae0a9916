//! Messages that come in by no session: plugins make them.

use std::sync::Arc;
use std::time::SystemTime;

use wasmail_smtp::own::{OwnMessage, Wish};
use wasmail_smtp::{CommitFailure, SessionConfig};
use wasmail_spool::SpoolId;

use crate::server::House;

/// Takes messages of plugins into the spool, as long as the server runs.
#[derive(Clone)]
pub struct Injector {
    house: Arc<House>,
    config: Arc<SessionConfig>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// What is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// The disk is full.
    #[error("there is no room")]
    Full,
    /// It could not be written; the operator's log says why.
    #[error("it cannot be stored")]
    Io,
}

impl Injector {
    pub(crate) fn new(house: Arc<House>, config: Arc<SessionConfig>) -> Self {
        Self { house, config }
    }

    /// Stores a message. When this returns its name in the queue, it is durable.
    ///
    /// # Errors
    /// When it is no message, or cannot be stored.
    pub async fn inject(&self, wish: Wish<'_>) -> Result<SpoolId, InjectError> {
        let (uuid, now) = (uuid::Uuid::now_v7().to_string(), SystemTime::now());
        let message = OwnMessage::new(&self.config, wish, uuid, now).map_err(InjectError::Invalid)?;
        let OwnMessage { envelope, mut header, body } = message;
        let mut draft = self.house.spool.draft();
        let drafted = |error| failed(crate::connection::receiving::failed_to_draft(&error));
        draft.append(&body).await.map_err(drafted)?;
        let sealed = draft.seal().await.map_err(drafted)?;
        let signed = self.house.sign(&mut header, sealed.body()).await;
        signed.map_err(|error| failed(crate::connection::receiving::failed_to_sign(&envelope.uuid, &error)))?;
        let (uuid, recipients, handling) =
            (envelope.uuid.clone(), envelope.recipients.len(), envelope.handling.clone());
        let id = sealed.commit(envelope, header.into()).await;
        let id = id.map_err(|error| failed(crate::connection::receiving::failed_to_commit(&uuid, &error)))?;
        self.house.delivery.accepted(id, recipients, &handling, now);
        let size = body.len();
        tracing::info!(target: "wasmail::message", uuid, plugin = wish.by, recipients, size, queue_id = %id, "injected");
        Ok(id)
    }
}

fn failed(failure: CommitFailure) -> InjectError {
    match failure {
        CommitFailure::Full => InjectError::Full,
        CommitFailure::Io => InjectError::Io,
    }
}
