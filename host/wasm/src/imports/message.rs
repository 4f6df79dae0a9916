//! The interface `message`: the message as the session holds it, read lazily.

use std::sync::Arc;

use wasmail_mail::{Field, HeaderSection};
use wasmail_policy::{Body, Question};
use wasmtime::component::Resource;

use crate::bindings::wasmail::policy::message::{Field as WitField, Host, HostMessage};
use crate::state::State;

/// Octets that one read of the body gives at most.
const READ_MAX: usize = 65_536;

/// A message that a guest may read during one call.
#[allow(unreachable_pub, reason = "the generated bindings re-export it, and they are public in their module")]
pub struct Message {
    header: Arc<HeaderSection>,
    body: Option<Arc<dyn Body>>,
}

impl Message {
    /// The message of a question; an empty one where there is none.
    pub(crate) fn of(question: &Question<'_>) -> Self {
        let transaction = question.context.transaction.as_ref();
        let header = transaction.map(|transaction| Arc::clone(&transaction.facts.header)).unwrap_or_default();
        Self { header, body: question.body.cloned() }
    }
}

impl Host for State {}

impl HostMessage for State {
    fn body_size(&mut self, message: Resource<Message>) -> wasmtime::Result<u64> {
        Ok(self.message(&message)?.body.as_ref().map_or(0, |body| body.len()))
    }

    fn fields(&mut self, message: Resource<Message>) -> wasmtime::Result<Vec<WitField>> {
        Ok(self.message(&message)?.header.fields().iter().map(field).collect())
    }

    fn values(&mut self, message: Resource<Message>, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(self.message(&message)?.header.named(&name).map(|field| field.value().into_owned()).collect())
    }

    fn raw_field(&mut self, message: Resource<Message>, position: u32) -> wasmtime::Result<Option<Vec<u8>>> {
        let message = self.message(&message)?;
        Ok(message.header.fields().get(position as usize).map(|field| field.raw().to_vec()))
    }

    async fn read_body(
        &mut self,
        message: Resource<Message>,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let Some(body) = self.message(&message)?.body.clone() else { return Ok(Ok(Vec::new())) };
        let octets = body.read_at(offset, (len as usize).min(READ_MAX)).await;
        Ok(octets.map_err(|why| {
            // The guest need not know our paths.
            tracing::warn!(%why, "failed to read a message back for a plugin");
            "the message cannot be read back".to_owned()
        }))
    }

    fn drop(&mut self, message: Resource<Message>) -> wasmtime::Result<()> {
        // Guests only borrow messages, so this is never called; were it, the message would just be gone.
        self.table.delete(message)?;
        Ok(())
    }
}

impl State {
    fn message(&mut self, message: &Resource<Message>) -> wasmtime::Result<&Message> {
        self.count_host_call()?;
        Ok(self.table.get(message)?)
    }
}

fn field(field: &Field) -> WitField {
    WitField { name: field.name().to_owned(), value: field.value().into_owned() }
}
