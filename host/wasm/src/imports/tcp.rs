//! The interface `tcp`.

use std::sync::Arc;

use wasmail_policy::Body;
use wasmail_services::tcp::{Client, Conversations, Octets, Source};
use wasmail_services::{Failure, tcp};

use super::message::Message;
use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::tcp as wit;
use crate::state::State;

impl State {
    fn tcp(&mut self) -> wasmtime::Result<Result<(&Client, &mut Conversations), Failure>> {
        self.count_host_call()?;
        let Self { capabilities, conversations, .. } = self;
        Ok(capabilities.tcp.as_ref().map(|client| (client, conversations)).ok_or(Failure::NotGranted))
    }
}

/// Answers with what a capability says, or that it was not granted.
macro_rules! ask {
    ($self:ident, |$client:ident, $all:ident| $asked:expr) => {{
        let answer = match $self.tcp()? {
            Ok(($client, $all)) => $asked,
            Err(failure) => Err(failure),
        };
        Ok(answer.map_err(Into::into))
    }};
}

impl wit::Host for State {
    async fn connect(&mut self, endpoint: String) -> wasmtime::Result<Result<u32, WitFailure>> {
        ask!(self, |client, all| client.connect(all, &endpoint).await)
    }

    async fn send(&mut self, connection: u32, octets: Vec<u8>) -> wasmtime::Result<Result<(), WitFailure>> {
        ask!(self, |client, all| client.send(all, connection, &octets).await)
    }

    async fn send_message(
        &mut self,
        connection: u32,
        what: wit::Content,
        framing: wit::Framing,
    ) -> wasmtime::Result<Result<u64, WitFailure>> {
        let source = self.message.as_ref().map(|message| Sent::of(message, what));
        ask!(self, |client, all| match source {
            Some(mut source) => client.send_source(all, connection, &mut source, framing.into()).await,
            None => Err(Failure::Invalid("there is no message at this hook".to_owned())),
        })
    }

    async fn receive(&mut self, connection: u32, at_most: u32) -> wasmtime::Result<Result<Vec<u8>, WitFailure>> {
        ask!(self, |client, all| client.receive(all, connection, at_most as usize).await)
    }

    async fn receive_until(
        &mut self,
        connection: u32,
        delimiter: Vec<u8>,
        at_most: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, WitFailure>> {
        ask!(self, |client, all| client.receive_until(all, connection, &delimiter, at_most as usize).await)
    }

    async fn finish(&mut self, connection: u32) -> wasmtime::Result<Result<(), WitFailure>> {
        ask!(self, |client, all| client.finish(all, connection).await)
    }

    fn close(&mut self, connection: u32) -> wasmtime::Result<Result<(), WitFailure>> {
        ask!(self, |_client, all| all.close(connection))
    }
}

impl From<wit::Framing> for tcp::Framing {
    fn from(framing: wit::Framing) -> Self {
        match framing {
            wit::Framing::None => Self::None,
            wit::Framing::LengthPrefixedChunks => Self::LengthPrefixedChunks,
        }
    }
}

/// What is sent of a message: the octets that the guest would read.
struct Sent {
    head: Vec<u8>,
    body: Option<Arc<dyn Body>>,
}

impl Sent {
    fn of(message: &Message, what: wit::Content) -> Self {
        let (header, body) = message.whole();
        match what {
            wit::Content::Message => Self { head: header.to_octets(), body: body.cloned() },
            wit::Content::HeaderSection => Self { head: header.to_octets(), body: None },
            wit::Content::Body => Self { head: Vec::new(), body: body.cloned() },
        }
    }
}

impl Source for Sent {
    fn len(&self) -> u64 {
        self.head.len() as u64 + self.body.as_ref().map_or(0, |body| body.len())
    }

    fn read(&mut self, offset: u64, max: usize) -> Octets<'_> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.head.get(offset..)).unwrap_or_default();
        match &self.body {
            Some(body) if rest.is_empty() => body.read_at(offset - self.head.len() as u64, max),
            _ => {
                let octets = rest[..rest.len().min(max)].to_vec();
                Box::pin(async move { Ok(octets) })
            }
        }
    }
}
