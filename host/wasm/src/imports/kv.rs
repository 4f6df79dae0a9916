//! The interface `kv`.

use wasmail_services::Failure;
use wasmail_services::kv::{Entry, Page, Space};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::kv as wit;
use crate::state::State;

type Answer<T> = wasmtime::Result<Result<T, WitFailure>>;

impl State {
    /// The binding's space, and what this call has used of it.
    fn space(&mut self) -> wasmtime::Result<Result<(&Space, &mut u32), Failure>> {
        self.count_host_call()?;
        let space = self.capabilities.kv.as_ref().ok_or(Failure::NotGranted);
        Ok(space.map(|space| (space, &mut self.used.kv)))
    }
}

/// Asks the space, if it was granted.
macro_rules! ask {
    ($state:ident, $method:ident ( $($argument:expr),* )) => {
        match $state.space()? {
            Ok((space, used)) => Ok(space.$method(used, $($argument),*).await.map_err(Into::into)),
            Err(failure) => Ok(Err(failure.into())),
        }
    };
}

impl wit::Host for State {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        ask!(self, get(&key))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl: Option<u32>) -> Answer<()> {
        ask!(self, set(&key, value, ttl))
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        ask!(self, delete(&key))
    }

    async fn increment(&mut self, key: String, by: i64, ttl: Option<u32>) -> Answer<i64> {
        ask!(self, increment(&key, by, ttl))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl: Option<u32>,
    ) -> Answer<bool> {
        ask!(self, compare_and_set(&key, expected, value, ttl))
    }

    async fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> Answer<wit::Page> {
        let page: Answer<Page> = ask!(self, scan(&prefix, after.as_deref(), limit));
        Ok(page?.map(Into::into))
    }
}

impl From<Page> for wit::Page {
    fn from(page: Page) -> Self {
        let entry = |Entry { key, value }| wit::Entry { key, value };
        Self { entries: page.entries.into_iter().map(entry).collect(), next: page.next }
    }
}
