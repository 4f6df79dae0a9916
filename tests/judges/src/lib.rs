//! A guest that says about delivery what it is told to, and logs what it is asked.

use std::collections::HashMap;

use serde::Deserialize;
use wasmail_guest::{
    Answer, BounceVerdict, Connection, Consignment, DeferredVerdict, Exchange, ExchangesVerdict, Message, Outcome,
    Plugin, PreSendVerdict, Scope, SendVerdict, Transaction, log, plugin,
};

/// What to say, by hook and domain, as `pre-send example.org`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Judges(HashMap<String, String>);

impl Judges {
    /// A verdict's name and what stands behind it, at the first attempt; later it has no opinion.
    fn at(&self, hook: &str, c: &Consignment) -> (&str, &str) {
        let targets: Vec<_> =
            c.targets.iter().map(|target| format!("{}#{}", target.address, target.attempts)).collect();
        let note: Option<String> = c.note("/judges/subject");
        log::info(&format!(
            "{hook} {} [{}] from {:?}, noted {note:?}",
            c.destination,
            targets.join(" "),
            c.reverse_path
        ));
        let fresh = c.targets.iter().all(|target| target.attempts == 0) || hook == "bounce";
        let saying = self.0.get(&format!("{hook} {}", c.destination)).filter(|_| fresh);
        saying.map_or(("next", ""), |saying| saying.split_once(' ').unwrap_or((saying, "")))
    }
}

fn seconds(text: &str) -> Option<u32> {
    text.parse().ok()
}

#[plugin(reads_notes = ["/judges/subject"], needs = ["take-messages", "route"])]
impl Plugin for Judges {
    type Config = Self;

    fn data_post(&self, _: &Connection, _: &Transaction, m: &Message) -> Outcome {
        Outcome::next().set_note(Scope::Transaction, "/judges/subject", m.value("Subject"))
    }

    fn pre_send(&self, c: &Consignment, m: &Message) -> PreSendVerdict {
        log::info(&format!("{} octets about {:?}", m.size(), m.value("Subject")));
        assert_eq!(m.size(), c.size, "the size that it is said to have");
        match self.at("pre-send", c) {
            ("delay", wait) => PreSendVerdict::Delay(seconds(wait)),
            ("bounce", why) => PreSendVerdict::Bounce(Some(why.to_owned())),
            ("route", name) => PreSendVerdict::Route(name.to_owned()),
            ("trap", _) => panic!("told to"),
            _ => PreSendVerdict::Next,
        }
    }

    fn send(&self, c: &Consignment, m: &Message) -> SendVerdict {
        match self.at("send", c) {
            ("done", text) => {
                let (code, text) = text.split_once(' ').unwrap_or((text, ""));
                let code = code.parse().expect("a reply code");
                let text = format!("{text} {}", m.value("Subject").unwrap_or_default());
                let answer = |at| Answer::new(at, code, &text);
                SendVerdict::Done((0..c.targets.len()).map(answer).collect())
            }
            _ => SendVerdict::Next,
        }
    }

    fn get_mx(&self, c: &Consignment) -> ExchangesVerdict {
        match self.at("get-mx", c) {
            ("exchange", place) => {
                let (host, port) = place.rsplit_once(':').expect("host:port");
                let exchange = Exchange { preference: 10, host: host.to_owned(), port: port.parse().ok() };
                ExchangesVerdict::Exchanges(vec![exchange])
            }
            ("delay", wait) => ExchangesVerdict::Delay(seconds(wait)),
            _ => ExchangesVerdict::Next,
        }
    }

    fn delivered(&self, c: &Consignment, answers: &[Answer]) {
        self.at("delivered", c);
        answers.iter().for_each(|answer| log::info(&format!("delivered: {}", answer.text())));
    }

    fn deferred(&self, c: &Consignment, answers: &[Answer]) -> DeferredVerdict {
        answers.iter().for_each(|answer| log::info(&format!("deferred: {}", answer.text())));
        match self.at("deferred", c) {
            ("delay", wait) => DeferredVerdict::Delay(seconds(wait).expect("seconds")),
            ("bounce", _) => DeferredVerdict::Bounce,
            _ => DeferredVerdict::Next,
        }
    }

    fn bounce(&self, c: &Consignment, _: &Message, answers: &[Answer]) -> BounceVerdict {
        answers.iter().for_each(|answer| log::info(&format!("bounces: {}", answer.text())));
        match self.at("bounce", c) {
            ("silence", _) => BounceVerdict::Silence,
            _ => BounceVerdict::Next,
        }
    }
}
