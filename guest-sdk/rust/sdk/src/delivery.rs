//! How answers about delivery are written.

#[cfg(not(target_family = "wasm"))]
use crate::Consignment;
use crate::{Answer, EnhancedStatus, Exchange, ExchangesVerdict};

impl Answer {
    /// What became of a target, by its index: 2yz where the recipient has the message now, 4yz where it is to be tried again, 5yz
    /// where it will never get it.
    #[must_use]
    pub fn new(target: usize, code: u16, text: impl AsRef<str>) -> Self {
        Self {
            target: u32::try_from(target).unwrap_or(u32::MAX),
            code: Some(code),
            enhanced: None,
            lines: text.as_ref().lines().map(str::to_owned).collect(),
            host: None,
        }
    }

    /// Sets the enhanced status code, as `5.7.1`; its class must fit the code.
    ///
    /// # Panics
    /// When the text is no status code. Parse texts that are not your own into an [`EnhancedStatus`].
    #[must_use]
    pub fn with_status(mut self, status: &str) -> Self {
        let status: EnhancedStatus = status.parse().expect("a status code is written as 5.7.1");
        self.enhanced = Some(status);
        self
    }

    /// All that was said, in one line, with the codes in front.
    #[must_use]
    pub fn text(&self) -> String {
        let codes = self.code.map(|code| code.to_string()).into_iter();
        let codes = codes.chain(
            self.enhanced.map(|EnhancedStatus { class, subject, detail }| format!("{class}.{subject}.{detail}")),
        );
        codes.chain(self.lines.iter().cloned()).collect::<Vec<_>>().join(" ")
    }
}

impl ExchangesVerdict {
    /// These servers, the best first, each a host name or an address.
    #[must_use]
    pub fn hosts<T: Into<String>>(hosts: impl IntoIterator<Item = T>) -> Self {
        let exchange = |(preference, host): (u16, T)| Exchange { preference, host: host.into(), port: None };
        Self::Exchanges((0..).zip(hosts).map(exchange).collect())
    }
}

#[cfg(not(target_family = "wasm"))]
impl Consignment {
    /// A message from somebody to recipients of one domain, at its first attempt.
    ///
    /// # Panics
    /// When there is no recipient.
    #[must_use]
    pub fn example(reverse_path: &str, to: &[&str]) -> Self {
        let target =
            |address: &&str| crate::Target { address: (*address).to_owned(), parameters: Vec::new(), attempts: 0 };
        let (_, domain) = to.first().expect("there is a recipient").rsplit_once('@').unwrap_or_default();
        Self {
            queue_id: "0000000000000001".to_owned(),
            uuid: "019ab1f6-9c0e-7d00-8000-000000000001.1".to_owned(),
            reverse_path: reverse_path.to_owned(),
            parameters: Vec::new(),
            smtputf8: false,
            size: 1_000,
            accepted: 1_795_000_000,
            expires: 1_795_000_000 + 5 * 24 * 3_600,
            destination: domain.to_ascii_lowercase(),
            route: None,
            targets: to.iter().map(target).collect(),
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_a_reply() {
        let answer = Answer::new(0, 550, "no such user\nhere").with_status("5.1.1");
        assert_eq!(answer.text(), "550 5.1.1 no such user here");
    }

    #[test]
    fn servers_are_preferred_in_their_order() {
        let ExchangesVerdict::Exchanges(all) = ExchangesVerdict::hosts(["a.example", "192.0.2.1"]) else { panic!() };
        assert_eq!(all.iter().map(|exchange| exchange.preference).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn an_example_is_for_one_domain() {
        let consignment = Consignment::example("a@example.org", &["b@Example.NET", "c@example.net"]);
        assert_eq!((consignment.destination.as_str(), consignment.targets.len()), ("example.net", 2));
    }
}
