//! Properties of a session whose plugins say anything anywhere: it stays in order whatever they say.

mod common;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Native, bind, block_on, config, connection, local_domains, now};
use proptest::prelude::*;
use wasmail_policy::{Chain, Hook, Mutation, Outcome, Question, Verdict};
use wasmail_smtp::Rehearsal;

/// What clients say, in any order.
const LINES: [&str; 12] = [
    "EHLO client.example\r\n",
    "HELO client.example\r\n",
    "MAIL FROM:<a@client.example>\r\n",
    "RCPT TO:<b@example.test>\r\n",
    "RCPT TO:<c@elsewhere.example>\r\n",
    "DATA\r\n",
    "Subject: x\r\n\r\nhello\r\n.\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "VRFY a\r\n",
    "XUNKNOWN\r\n",
    "QUIT\r\n",
];

/// Lines that a plugin may want an unknown one to be read as: sense and nonsense.
const READ_AS: [&str; 5] = ["NOOP", "QUIT", "RCPT TO:<b@example.test>", "XUNKNOWN", "DATA"];

/// A plugin that says what a seed, the hook and the number of the question make it say; mostly nothing, so that
/// sessions come far.
fn moody(seed: u64) -> Arc<Chain> {
    let asked = AtomicU64::new(0);
    let judge = move |question: &Question<'_>| {
        let mut hasher = DefaultHasher::new();
        (seed, question.hook, asked.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
        let mood = hasher.finish();
        let verdict = match mood % 40 {
            0 => Verdict::Deny(None),
            1 => Verdict::DenySoft(None),
            2 => Verdict::DenyDisconnect(None),
            3 => Verdict::DenySoftDisconnect(None),
            4 => Verdict::Disconnect,
            5..=14 => Verdict::Accept(None),
            15 | 16 if question.hook == Hook::UnrecognizedCommand => {
                Verdict::ReadAs(READ_AS[(mood >> 32) as usize % READ_AS.len()].to_owned())
            }
            _ => Verdict::Next,
        };
        let mutations = match (mood >> 16) % 20 {
            0 => vec![Mutation::SetRelaying(mood & 1 == 0)],
            1 => vec![Mutation::RemoveRecipient { position: 0 }],
            2 => vec![Mutation::AddCapability("X-MOOD".to_owned())],
            _ => Vec::new(),
        };
        Outcome { verdict, mutations }
    };
    Arc::new(Chain::new(vec![bind("moody", Native(&Hook::ALL, judge)), local_domains()]))
}

/// Plays a session to its end.
fn play(seed: u64, lines: &[usize]) -> (Rehearsal, String) {
    let mut rehearsal = Rehearsal::new(config(), moody(seed), connection(), now());
    let mut replies = block_on(rehearsal.greeting());
    for line in lines {
        if !rehearsal.is_closed() {
            replies.extend(block_on(rehearsal.send(LINES[*line].as_bytes())));
        }
    }
    block_on(rehearsal.hang_up());
    (rehearsal, String::from_utf8(replies).expect("replies are text"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_session_stays_in_order_whatever_plugins_say(
        seed: u64, lines in proptest::collection::vec(0..LINES.len(), 0..60),
    ) {
        let (rehearsal, replies) = play(seed, &lines);
        prop_assert!(rehearsal.is_closed(), "it ends when the client has gone");
        let context = rehearsal.context();
        prop_assert!(context.transaction.is_none(), "no transaction is left behind");
        let begun = context.connection.counters.transactions as usize;
        prop_assert_eq!(rehearsal.ended().len(), begun, "every transaction ends once");
        let queued = rehearsal.ended().iter().filter(|ended| matches!(ended.fate, wasmail_smtp::Fate::Queued(_)));
        prop_assert_eq!(queued.count(), rehearsal.messages().len(), "what is queued is told of, and nothing else");
        let acknowledged = replies.matches("250 2.0.0 Queued as ").count();
        prop_assert_eq!(acknowledged, rehearsal.messages().len(), "each message is acknowledged once");
        for message in rehearsal.messages() {
            prop_assert!(!message.envelope.recipients.is_empty(), "no message is for nobody");
        }
        let asked = rehearsal.ended().iter().flat_map(|ended| ended.transaction.trail.steps());
        let resets = asked.filter(|step| step.hook == Hook::ResetTransaction).count();
        prop_assert_eq!(resets, begun, "everybody hears once of each end");
    }
}
