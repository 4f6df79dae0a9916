//! From wasmtime's errors to policy's faults.

use wasmail_policy::Fault;
use wasmtime::{Error, Trap, WasmBacktrace};

use crate::state::State;
use crate::text::escaped;

/// Octets of a fault's text: one log line.
const TEXT_MAX: usize = 1_024;
/// Frames of a backtrace that are shown; the innermost say the most.
const FRAMES_MAX: usize = 5;

/// Why a call failed.
pub(crate) fn of_call(error: &Error, state: &mut State) -> Fault {
    common(error, state).unwrap_or_else(|| Fault::BadAnswer(escaped(&format!("{error:#}"), TEXT_MAX)))
}

/// Why an instance could not be made.
pub(crate) fn of_start(error: &Error, state: &mut State) -> Fault {
    common(error, state).unwrap_or_else(|| Fault::Instance(escaped(&format!("{error:#}"), TEXT_MAX)))
}

/// What happened inside the guest; none if the host could not make sense of what came out of it.
fn common(error: &Error, state: &mut State) -> Option<Fault> {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return Some(Fault::CpuDeadline);
    }
    // A guest that is refused memory usually panics; one that went on without has not failed because of it.
    if state.limiter.take_refused() {
        return Some(Fault::Memory);
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    // Without a backtrace no guest was running: the host was lifting what it had returned.
    backtrace.map(|backtrace| Fault::Trap(explain(error, trap.copied(), backtrace, &state.log.last_words())))
}

fn explain(error: &Error, trap: Option<Trap>, backtrace: &WasmBacktrace, last_words: &str) -> String {
    let cause = match trap {
        Some(Trap::UnreachableCodeReached) => "unreachable".to_owned(),
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    };
    let mut text = cause;
    let said = last_words.trim();
    if !said.is_empty() {
        text = format!("{text}: {}", one_line(said));
    }
    let frames: Vec<_> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(FRAMES_MAX).collect();
    if !frames.is_empty() {
        text = format!("{text} (in {})", frames.join(" < "));
    }
    escaped(&text, TEXT_MAX)
}

/// Joins the lines of a panic and leaves out the advice on environment variables, which a guest has not.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: run with"));
    lines.collect::<Vec<_>>().join(" ")
}
