//! The interface `message`: the message as the session holds it, read lazily.

use std::sync::Arc;

use wasmail_mail::{Field, HeaderSection};
use wasmail_mime::{Tree, view};
use wasmail_policy::outbound::Consignment;
use wasmail_policy::{Body, BoxFuture, Content, Hook, Parts, Question, Subject, header_of};

use crate::bindings::wasmail::policy::message::{self as wit, Field as WitField, Host};
use crate::state::State;

mod told;

use told::Parameter;

/// Octets that one read of the body gives at most.
const READ_MAX: usize = 65_536;
/// Parts that a guest can read in turns without decoding anew.
const READING_MAX: usize = 8;

/// A message that a guest may read during one call.
pub(crate) struct Message {
    header: Arc<HeaderSection>,
    body: Option<Arc<dyn Body>>,
    parts: Parts,
    /// How far the content of parts has been read, the part read last at the end.
    reading: Vec<(u32, Content)>,
}

impl Message {
    /// The message of a question, at the hooks where guests may read it.
    pub(crate) fn of(question: &Question<'_>) -> Option<Self> {
        if !matches!(question.hook, Hook::Part | Hook::DataPost | Hook::Queue | Hook::QueueOutbound) {
            return None;
        }
        let transaction = question.context.transaction.as_ref();
        let header = transaction.map(|transaction| Arc::clone(&transaction.facts.header)).unwrap_or_default();
        let parts = transaction.map(|transaction| transaction.parts.clone()).unwrap_or_default();
        Some(Self { header, body: question.body.cloned(), parts, reading: Vec::new() })
    }

    /// The message of a question about delivery.
    pub(crate) fn on_its_way(consignment: &Consignment) -> Self {
        let (header, body) = (Arc::clone(&consignment.header), Some(Arc::clone(&consignment.body)));
        Self { header, body, parts: Parts::default(), reading: Vec::new() }
    }

    /// All of it, as it stands.
    pub(crate) fn whole(&self) -> (&HeaderSection, Option<&Arc<dyn Body>>) {
        (&self.header, self.body.as_ref())
    }

    fn field(&self, position: u32) -> Option<&Field> {
        self.header.fields().get(position as usize)
    }

    async fn tree(&self, body: &dyn Body) -> Result<Arc<Tree>, String> {
        self.parts.tree(&self.header, body).await.map_err(|why| unreadable(&why))
    }

    /// Where a part's content was read to, or its beginning.
    fn take_content(&mut self, number: u32, tree: &Tree) -> Result<Content, String> {
        let known = self.reading.iter().position(|(known, _)| *known == number);
        if let Some(at) = known {
            return Ok(self.reading.remove(at).1);
        }
        let part = tree.parts.get(number as usize).ok_or_else(|| no_part(number, tree))?;
        if part.has_parts {
            return Err(format!("part {number} is made of parts: read those, or its octets with read-body"));
        }
        Ok(Content::new(part))
    }

    fn keep_content(&mut self, number: u32, content: Content) {
        if self.reading.len() >= READING_MAX {
            self.reading.remove(0);
        }
        self.reading.push((number, content));
    }
}

impl Message {
    async fn fields_of(&self, number: u32, body: &dyn Body) -> Result<Vec<WitField>, String> {
        let tree = self.tree(body).await?;
        let part = tree.parts.get(number as usize).ok_or_else(|| no_part(number, &tree))?;
        if number == 0 {
            return Ok(self.header.fields().iter().map(field).collect());
        }
        let section = header_of(part, body).await.map_err(|why| unreadable(&why))?;
        Ok(section.fields().iter().map(field).collect())
    }

    async fn read_part(&mut self, body: &dyn Body, number: u32, offset: u64, len: usize) -> Result<Vec<u8>, String> {
        let tree = self.tree(body).await?;
        let mut content = self.take_content(number, &tree)?;
        let octets = content.read(body, offset, len).await.map_err(|why| unreadable(&why))?;
        self.keep_content(number, content);
        Ok(octets)
    }
}

/// The body of a message that has none.
struct Nothing;

impl Body for Nothing {
    fn len(&self) -> u64 {
        0
    }

    fn read_at(&self, _: u64, _: usize) -> BoxFuture<'_, std::io::Result<Vec<u8>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn no_part(number: u32, tree: &Tree) -> String {
    format!("there is no part {number}: the message has {}", tree.parts.len())
}

fn unreadable(why: &std::io::Error) -> String {
    // The guest need not know our paths.
    tracing::warn!(%why, "failed to read a message back for a plugin");
    "the message cannot be read back".to_owned()
}

/// The part that a question is about, with its parameters from [`parameters`].
pub(crate) fn part<'a>(question: &'a Question<'_>, parameters: &'a [Parameter<'a>]) -> Option<wit::MimePartParam<'a>> {
    match &question.context.subject {
        Subject::Part { number, tree } => Some(told::lent(*number, tree.parts.get(*number)?, parameters)),
        _ => None,
    }
}

/// The parameters of the part that a question is about.
pub(crate) fn parameters<'a>(question: &'a Question<'_>) -> Vec<Parameter<'a>> {
    match &question.context.subject {
        Subject::Part { number, tree } => tree.parts.get(*number).map(told::lent_parameters).unwrap_or_default(),
        _ => Vec::new(),
    }
}

impl Host for State {
    fn size(&mut self) -> wasmtime::Result<u64> {
        let (header, body) = self.message()?.whole();
        // The empty line is CRLF.
        Ok(header.len() as u64 + 2 + body.map_or(0, |body| body.len()))
    }

    fn body_size(&mut self) -> wasmtime::Result<u64> {
        Ok(self.message()?.body.as_ref().map_or(0, |body| body.len()))
    }

    fn fields(&mut self) -> wasmtime::Result<Vec<WitField>> {
        Ok(self.message()?.header.fields().iter().map(field).collect())
    }

    fn values(&mut self, name: String) -> wasmtime::Result<Vec<String>> {
        Ok(self.message()?.header.named(&name).map(|field| field.value().into_owned()).collect())
    }

    fn raw_field(&mut self, position: u32) -> wasmtime::Result<Option<Vec<u8>>> {
        let message = self.message()?;
        Ok(message.header.fields().get(position as usize).map(|field| field.raw().to_vec()))
    }

    async fn read_body(&mut self, offset: u64, len: u32) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let Some(body) = self.message()?.body.clone() else { return Ok(Ok(Vec::new())) };
        let octets = body.read_at(offset, (len as usize).min(READ_MAX)).await;
        Ok(octets.map_err(|why| unreadable(&why)))
    }

    fn decoded_field(&mut self, position: u32) -> wasmtime::Result<Option<String>> {
        Ok(self.message()?.field(position).map(view::text))
    }

    fn addresses(&mut self, position: u32) -> wasmtime::Result<Vec<wit::Address>> {
        let addresses = self.message()?.field(position).map(view::addresses).unwrap_or_default();
        Ok(addresses.into_iter().map(told::address).collect())
    }

    fn date(&mut self, position: u32) -> wasmtime::Result<Option<wit::DateTime>> {
        Ok(self.message()?.field(position).and_then(view::date).map(told::date))
    }

    fn message_ids(&mut self, position: u32) -> wasmtime::Result<Vec<String>> {
        Ok(self.message()?.field(position).map(view::message_ids).unwrap_or_default())
    }

    fn media_type(&mut self, position: u32) -> wasmtime::Result<Option<wit::MediaResult>> {
        let media = self.message()?.field(position).and_then(view::media_type);
        Ok(media.map(|media| told::media(media.name, media.parameters)))
    }

    async fn read_structure(&mut self) -> wasmtime::Result<Result<wit::Structure, String>> {
        let message = self.message()?;
        let body = message.body.clone().unwrap_or_else(|| Arc::new(Nothing));
        Ok(message.tree(&*body).await.map(|tree| told::structure(&tree)))
    }

    async fn part_fields(&mut self, part: u32) -> wasmtime::Result<Result<Vec<WitField>, String>> {
        let message = self.message()?;
        let body = message.body.clone().unwrap_or_else(|| Arc::new(Nothing));
        Ok(message.fields_of(part, &*body).await)
    }

    async fn read_part(&mut self, part: u32, offset: u64, len: u32) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let message = self.message()?;
        let body = message.body.clone().unwrap_or_else(|| Arc::new(Nothing));
        Ok(message.read_part(&*body, part, offset, (len as usize).min(READ_MAX)).await)
    }
}

impl State {
    fn message(&mut self) -> wasmtime::Result<&mut Message> {
        self.count_host_call()?;
        self.message.as_mut().ok_or_else(|| wasmtime::Error::msg("the message was read at a hook where there is none"))
    }
}

fn field(field: &Field) -> WitField {
    WitField { name: field.name().to_owned(), value: field.value().into_owned() }
}
