//! Waits for a guest, but not for ever.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use wasmail_policy::Fault;

/// Runs a call under a wall-clock budget.
///
/// Nearly every call is done when it is first polled; only one that is not needs a timer. It comes pinned, for to move it costs
/// more than to poll it: a call has kilobytes.
pub(crate) async fn within<T>(
    limit: Duration,
    mut call: Pin<&mut impl Future<Output = Result<T, Fault>>>,
) -> Result<T, Fault> {
    let first = poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    });
    match first.await {
        Some(done) => done,
        None => tokio::time::timeout(limit, call).await.unwrap_or(Err(Fault::WallClock)),
    }
}
