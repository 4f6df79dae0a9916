//! A server that says anything, to a client that has a message to send.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use wasmail_mail::{BodyType, ForwardPath, Parameter, Recipient, ReversePath};
use wasmail_smtp::client::{Client, ClientStep, Outgoing, StartTls, Wishes};

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.dots\r\n";

fn message(choice: u8) -> Outgoing {
    let recipient = |to: &str| Recipient {
        path: ForwardPath::parse(to).expect("it is a path"),
        parameters: vec![Parameter::parse("NOTIFY=DELAY").expect("it is a parameter")],
    };
    let body = [BodyType::SevenBit, BodyType::EightBitMime, BodyType::BinaryMime][usize::from(choice) % 3];
    Outgoing {
        reverse_path: ReversePath::parse("<a@client.example>").expect("it is a path"),
        recipients: vec![recipient("<b@example.test>"), recipient("<c@example.test>")],
        parameters: Vec::new(),
        size: CONTENT.len() as u64,
        body,
        smtputf8: choice & 8 != 0,
        require_tls: choice & 16 != 0,
    }
}

// The first octet chooses what we want, the second where the rest is cut.
fuzz_target!(|octets: &[u8]| {
    let [choice, cut, said @ ..] = octets else { return };
    let now = Instant::now();
    let wishes = Wishes {
        lmtp: choice & 32 != 0,
        tls: if choice & 64 != 0 { StartTls::IfOffered } else { StartTls::Never },
        ..Wishes::new("us.example")
    };
    let mut client = Client::new(wishes, now);
    let (first, second) = said.split_at(usize::from(*cut).min(said.len()));
    let (mut sent, mut done) = (0, 0);
    for piece in [first, second] {
        let mut input = piece;
        // Each step consumes octets, or moves on: so many are enough for all of them.
        for _ in 0..piece.len() + 64 {
            match client.step(&mut input, now) {
                ClientStep::Read => break,
                ClientStep::Ready if sent < 4 => {
                    client.send(message(*choice), now);
                    sent += 1;
                }
                ClientStep::Ready => client.quit(now),
                ClientStep::Content => {
                    let _ = client.content(CONTENT, now);
                    let _ = client.end_content(now);
                }
                ClientStep::StartTls => client.secured(now),
                ClientStep::Done(fates) => {
                    assert_eq!(fates.len(), 2, "one fate for each recipient");
                    done += 1;
                }
                ClientStep::Refused(_) => {}
                ClientStep::Close => return,
            }
            let output = client.output();
            assert!(!output.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'), "a bare LF goes out");
            output.clear();
        }
    }
    assert!(done <= sent, "a message ends once");
});
