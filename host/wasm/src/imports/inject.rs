//! The interface `inject`.

use wasmail_services::Failure;
use wasmail_services::inject::NewMessage;

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::inject as wit;
use crate::state::State;

impl wit::Host for State {
    async fn send(&mut self, message: wit::NewMessage) -> wasmtime::Result<Result<String, WitFailure>> {
        self.count_host_call()?;
        let Self { capabilities, used, .. } = self;
        let wit::NewMessage { reverse_path, recipients, content } = message;
        let message = NewMessage { reverse_path, recipients, content };
        let taken = match &capabilities.inject {
            Some(client) => client.send(&mut used.inject, message).await,
            None => Err(Failure::NotGranted),
        };
        Ok(taken.map_err(Into::into))
    }
}
