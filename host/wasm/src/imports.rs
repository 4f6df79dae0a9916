//! What a guest may call: the message, the log, capabilities that answer without their grant with an error, and WASI 0.2
//! with nothing behind it.

mod capability;
mod clock;
mod dns;
mod geo;
mod http;
mod inject;
mod kv;
mod log;
mod mail_auth;
mod message;
mod secret;
mod stdio;
mod tcp;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::bindings::wasmail::policy;
use crate::state::State;

pub(crate) use log::GuestLog;
pub(crate) use mail_auth::case;
pub(crate) use message::{Message, parameters, part};

/// Links everything that a guest may import.
///
/// Of WASI the whole of 0.2 is there, because the standard libraries of guest languages import it: there are no
/// arguments, no environment, no standard input, no directory and thus no file; sockets and name lookup are refused
/// with an error. Randomness is real, a bounded part at a time; clocks are, too, and coarse.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    policy::types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::delivery::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::message::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::capability::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::dns::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::secret::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::public_suffix::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::inject::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::kv::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::http::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::geo::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::tcp::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    policy::mail_auth::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// WASI for one instance.
pub(crate) fn wasi(log: &GuestLog, max_random: u64) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(stdio::Stdio::stdout(log))
        .stderr(stdio::Stdio::stderr(log))
        .max_random_size(max_random)
        .wall_clock(clock::WallClock)
        .monotonic_clock(clock::MonotonicClock::start())
        .build()
}

impl policy::types::Host for State {}

impl policy::delivery::Host for State {}
