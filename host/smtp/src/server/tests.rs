//! What the session holds, and for how long.

use super::*;
use crate::fixture::{config, connection, now};
use wasmail_policy::{Decision, Verdict};

fn session() -> Session {
    Session::new(Arc::new(config()), connection(), now())
}

/// Steps with these octets until the session wants more; everybody says next, but RCPT is accepted.
fn feed(session: &mut Session, octets: &[u8], mut each: impl FnMut(&Session, &Step)) {
    let now = now();
    let mut input = octets;
    loop {
        let step = session.step(&mut input, now);
        each(session, &step);
        match step {
            Step::Read | Step::Close => return,
            Step::Ask(Hook::Rcpt) => {
                session.answer(Decision::host(Verdict::Accept(None)), now);
            }
            Step::Ask(_) => session.answer(Decision::next(), now),
            Step::Commit(_) => session.committed(Ok("id".into()), now),
            Step::Verifier(_) => session.verifier(None, now),
            Step::Pause(_) => session.paused(now),
            Step::Body | Step::Discard | Step::StartTls => {}
        }
    }
}

const TO_DATA: &[u8] = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

#[test]
fn the_body_is_handed_over_in_large_pieces() {
    let mut session = session();
    feed(&mut session, TO_DATA, |_, _| {});
    let line = [[b'x'; 70].as_slice(), b"\r\n"].concat();
    let body: Vec<u8> = line.repeat(5000);
    let mut pieces = Vec::new();
    let mut take = |session: &Session, step: &Step| {
        if *step == Step::Body {
            pieces.push(session.body().to_vec());
        }
    };
    feed(&mut session, b"Subject: x\r\n\r\n", &mut take);
    for chunk in body.chunks(4000) {
        feed(&mut session, chunk, &mut take);
    }
    feed(&mut session, b".\r\n", &mut take);
    assert_eq!(pieces.concat(), body);
    let small = pieces[..pieces.len() - 1].iter().filter(|piece| piece.len() < 64 * 1024).count();
    assert_eq!(small, 0, "a piece before the last one was small");
}

#[test]
fn a_question_is_asked_again_until_it_is_answered_and_nothing_is_consumed() {
    let mut session = session();
    let mut input: &[u8] = b"EHLO a\r\n";
    for _ in 0..3 {
        assert_eq!(session.step(&mut input, now()), Step::Ask(Hook::ConnectInit));
        assert_eq!(input.len(), 8);
    }
}

#[test]
fn a_commit_is_offered_until_it_is_answered() {
    let mut session = session();
    feed(&mut session, TO_DATA, |_, _| {});
    let now = now();
    let mut input: &[u8] = b".\r\nNOOP\r\n";
    for _ in 0..3 {
        let step = session.step(&mut input, now);
        session.answer(Decision::next(), now);
        assert!(matches!(step, Step::Ask(Hook::Part | Hook::DataPost | Hook::Queue)));
    }
    let first = session.step(&mut input, now);
    assert!(matches!(first, Step::Commit(_)));
    assert_eq!(session.step(&mut input, now), first);
    assert_eq!(input, b"NOOP\r\n");
}

#[test]
fn no_message_makes_the_session_hold_more_than_a_header_section_and_a_piece_of_body() {
    let mut session = session();
    let mut most = 0;
    let mut watch = |session: &Session, _: &Step| most = most.max(session.held());
    feed(&mut session, TO_DATA, |_, _| {});
    let chunk = b"X-Header: and so on\r\n".repeat(3000);
    for _ in 0..20 {
        feed(&mut session, &chunk, &mut watch);
    }
    feed(&mut session, b"\r\n.\r\n", &mut watch);
    feed(&mut session, TO_DATA, |_, _| {});
    for _ in 0..600 {
        feed(&mut session, &[b'x'; 100_000], &mut watch);
    }
    assert!(most < 1024 * 1024, "held {most} octets");
}

#[test]
fn an_idle_session_holds_next_to_nothing() {
    let mut session = session();
    feed(&mut session, TO_DATA, |_, _| {});
    feed(&mut session, b"Subject: x\r\n\r\nx\r\n.\r\n", |_, _| {});
    std::mem::take(session.take_output());
    assert!(session.held() < 256, "holds {} octets", session.held());
}

#[test]
fn a_pipelined_group_is_answered_in_one_write() {
    let mut session = session();
    feed(&mut session, b"EHLO a\r\n", |_, _| {});
    session.take_output().clear();
    let mut waits = 0;
    feed(&mut session, &TO_DATA[8..], |_, step| waits += usize::from(*step == Step::Read));
    let replies = String::from_utf8(std::mem::take(session.take_output())).unwrap();
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!((waits, codes.as_slice()), (1, &["250", "250", "354"][..]));
}
