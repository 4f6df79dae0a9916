//! What it tries with services that it may speak with: `tcp WHAT ENDPOINT`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use wasmail_guest::bindings::wasmail::policy::tcp::{self, Content, Framing};

/// The number of a connection of an earlier call.
static KEPT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn attempt(text: &str) -> Vec<String> {
    let mut words = text.split(' ').skip(1);
    let (what, endpoint) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match what {
        "keep" => keep(endpoint),
        "flood" => flood(endpoint),
        "panic" => panic!("with {:?}", tcp::connect(endpoint)),
        "hang" => {
            let connected = tcp::connect(endpoint);
            thread::sleep(Duration::from_secs(3_600));
            vec![format!("{connected:?}")]
        }
        other => vec![format!("unknown: {other}")],
    }
}

/// Connects, and keeps the number. In a later call it uses that one, and those around it.
fn keep(endpoint: &str) -> Vec<String> {
    let kept = KEPT.load(Ordering::Relaxed);
    let connected = tcp::connect(endpoint);
    KEPT.store(connected.clone().unwrap_or_default(), Ordering::Relaxed);
    if kept == 0 {
        return vec![format!("connected: {}", connected.is_ok())];
    }
    let send = |number| tcp::send(number, b"SUCCESS");
    let told = [
        send(kept),
        send(kept.wrapping_sub(1)),
        send(u32::MAX),
        tcp::send_message(kept, Content::Message, Framing::None).map(drop),
        tcp::receive(kept, 10).map(drop),
        tcp::receive_until(kept, b"x", 10).map(drop),
        tcp::finish(kept),
        tcp::close(kept),
    ];
    let own = connected.and_then(|own| tcp::send_message(own, Content::Message, Framing::None)).map(drop);
    told.into_iter().chain([own]).map(|told| format!("{told:?}")).collect()
}

/// Connects as often as it can, and closes nothing.
fn flood(endpoint: &str) -> Vec<String> {
    let connected: Vec<_> = (0..9_000).map(|_| tcp::connect(endpoint)).collect();
    let (good, bad): (Vec<_>, Vec<_>) = connected.into_iter().partition(Result::is_ok);
    vec![format!("connected: {}", good.len()), format!("{:?}", bad.last())]
}
