//! What is asked of the DNS.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Types of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of RFC 1035 and 3596")]
pub enum Kind {
    A,
    Aaaa,
    Mx,
    Txt,
    /// The name is an IP address.
    Ptr,
}

/// One record of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Ip(IpAddr),
    /// The exchange of an MX, without its final dot. They come in order of preference.
    Exchange(String),
    /// The strings of one TXT record, joined.
    Txt(Vec<u8>),
    /// The name of a PTR, without its final dot.
    Name(String),
}

/// Nobody answers now: SERVFAIL, no server, no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered;

/// No records: the name does not exist, or has none of this type.
pub type Answer = Result<Vec<Record>, Unanswered>;

/// Something that can be asked.
pub trait Dns: Send + Sync {
    /// Asks for records. A name that cannot be asked for has none.
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer>;
}

/// The texts at a name.
pub(crate) async fn texts(dns: &dyn Dns, name: &str) -> Result<Vec<Vec<u8>>, Unanswered> {
    let records = dns.ask(name, Kind::Txt).await?;
    Ok(records
        .into_iter()
        .filter_map(|record| if let Record::Txt(text) = record { Some(text) } else { None })
        .collect())
}

/// Asks for texts at several names at the same time.
pub(crate) async fn all_texts(dns: &dyn Dns, names: Vec<String>) -> Vec<Result<Vec<Vec<u8>>, Unanswered>> {
    together(names.iter().map(|name| Box::pin(texts(dns, name)) as BoxFuture<'_, _>).collect()).await
}

/// Drives futures at the same time; the outcomes are in their order.
async fn together<T: Unpin>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|task| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(task)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    // All are there, else it would still wait.
    done.into_iter().flatten().collect()
}
