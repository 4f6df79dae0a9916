//! Messages of a plugin's own. What takes them stands elsewhere: here are the quotas.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::Failure;
use crate::rate::Rate;

/// A message that a plugin made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Without angle brackets; empty for the null path.
    pub reverse_path: String,
    /// Without angle brackets.
    pub recipients: Vec<String>,
    /// Header section, empty line, body; lines end with CRLF or LF.
    pub content: Vec<u8>,
}

/// The name of a message in the queue, or why it was not taken.
pub type Taken<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send + 'a>>;

/// Takes messages and makes them durable.
pub trait Sink: Send + Sync {
    /// Takes one, on behalf of a binding.
    fn take<'a>(&'a self, binding: &'a str, message: NewMessage) -> Taken<'a>;
}

/// Where the messages of all bindings go: nowhere until the server has opened its spool.
#[derive(Clone, Default)]
pub struct Outlet(Arc<OnceLock<Arc<dyn Sink>>>);

impl Outlet {
    /// Has messages go there from now on. The first sink stays.
    pub fn open(&self, sink: Arc<dyn Sink>) {
        let _ = self.0.set(sink);
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("open", &self.0.get().is_some()).finish()
    }
}

/// How much one binding may inject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Messages in one hook call.
    pub messages: u32,
    /// Messages in a minute.
    pub rate: u32,
    /// Recipients of one message.
    pub recipients: usize,
    /// Octets of one message.
    pub size: usize,
    /// For one message.
    pub timeout: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        Self { messages: 5, rate: 60, recipients: 50, size: 1024 * 1024, timeout: Duration::from_secs(3) }
    }
}

/// What one binding injects by. Clones share the quotas.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outlet: Outlet,
    binding: String,
    quota: Quota,
    rate: Rate,
}

impl Client {
    /// The client of a binding.
    #[must_use]
    pub fn new(outlet: Outlet, binding: &str, quota: Quota) -> Self {
        let rate = Rate::per_minute(quota.rate, Instant::now());
        Self(Arc::new(Inner { outlet, binding: binding.to_owned(), quota, rate }))
    }

    /// Puts a message into the queue; its name there. `used` counts the messages of the hook call.
    ///
    /// # Errors
    /// When quotas or the time are used up, the message makes no sense, or nothing can be stored for now. After
    /// [`Failure::TimedOut`] it may still be in the queue.
    pub async fn send(&self, used: &mut u32, message: NewMessage) -> Result<String, Failure> {
        let Inner { outlet, binding, quota, rate } = &*self.0;
        let octets = message.content.len();
        if octets > quota.size {
            return Err(Failure::Invalid(format!(
                "the message has {octets} octets; inject.size allows {}",
                quota.size
            )));
        }
        let recipients = message.recipients.len();
        if recipients == 0 || recipients > quota.recipients {
            let allowed = quota.recipients;
            return Err(Failure::Invalid(format!(
                "{recipients} recipients; one is needed, inject.recipients allows {allowed}"
            )));
        }
        if *used >= quota.messages {
            return Err(Failure::QuotaExceeded("inject.messages"));
        }
        if !rate.take(Instant::now()) {
            return Err(Failure::QuotaExceeded("inject.rate"));
        }
        *used += 1;
        let Some(sink) = outlet.0.get() else {
            return Err(Failure::Unavailable("the server does not take messages yet".to_owned()));
        };
        // The message belongs to a task of its own: a guest that is interrupted leaves no half of it.
        let (sink, binding) = (Arc::clone(sink), binding.clone());
        let taken = tokio::spawn(async move { sink.take(&binding, message).await });
        match timeout(quota.timeout, taken).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) => Err(Failure::Unavailable("the message could not be stored".to_owned())),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// Keeps what it takes; what is addressed to `never` it does not finish.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, NewMessage)>>);

    impl Sink for Kept {
        fn take<'a>(&'a self, binding: &'a str, message: NewMessage) -> Taken<'a> {
            Box::pin(async move {
                if message.recipients == ["never"] {
                    std::future::pending::<()>().await;
                }
                self.0.lock().push((binding.to_owned(), message));
                Ok("1".to_owned())
            })
        }
    }

    fn to(recipients: &[&str]) -> NewMessage {
        let recipients = recipients.iter().map(|&text| text.to_owned()).collect();
        NewMessage { reverse_path: String::new(), recipients, content: b"From: a\n\n".to_vec() }
    }

    #[tokio::test]
    async fn quotas_hold() {
        let (outlet, kept) = (Outlet::default(), Arc::new(Kept::default()));
        let quota = Quota { messages: 2, rate: 3, recipients: 1, size: 100, ..Quota::default() };
        let client = Client::new(outlet.clone(), "vacation", quota);
        let early = client.send(&mut 0, to(&["a"])).await;
        assert!(matches!(early, Err(Failure::Unavailable(_))), "{early:?}");
        outlet.open(Arc::clone(&kept) as _);
        let mut used = 0;
        assert_eq!(client.send(&mut used, to(&["a"])).await, Ok("1".to_owned()));
        for (wrong, text) in [(to(&[]), "0 recipients"), (to(&["a", "b"]), "2 recipients")] {
            let refused = client.send(&mut used, wrong).await;
            assert!(matches!(&refused, Err(Failure::Invalid(why)) if why.starts_with(text)), "{refused:?}");
        }
        let long = NewMessage { content: vec![b'x'; 101], ..to(&["a"]) };
        assert!(matches!(client.send(&mut used, long).await, Err(Failure::Invalid(_))));
        assert!(client.send(&mut used, to(&["a"])).await.is_ok());
        assert_eq!(client.send(&mut used, to(&["a"])).await, Err(Failure::QuotaExceeded("inject.messages")));
        assert_eq!(client.send(&mut 0, to(&["a"])).await, Err(Failure::QuotaExceeded("inject.rate")));
        let kept = kept.0.lock();
        assert_eq!((kept.len(), kept[0].0.as_str()), (2, "vacation"));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let outlet = Outlet::default();
        outlet.open(Arc::new(Kept::default()));
        let quota = Quota { timeout: Duration::from_millis(20), ..Quota::default() };
        let client = Client::new(outlet, "vacation", quota);
        assert_eq!(client.send(&mut 0, to(&["never"])).await, Err(Failure::TimedOut));
    }
}
