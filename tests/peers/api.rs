//! The HTTP API, spoken to by curl.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;
use std::time::Duration;

use serde_json::Value;

use super::programs::{Guard, command, run, start};
use crate::support::Server;

/// Longest wait for an answer: a component is compiled meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// The API of a server, with a token.
#[derive(Clone)]
pub(crate) struct Api {
    base: String,
    token: String,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, of an answer that says that it is so.
    ///
    /// # Panics
    /// When it is a refusal.
    pub(crate) fn well(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// Server-sent events, as curl hears them.
pub(crate) struct Watching {
    _curl: Guard,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    /// The next one's data.
    pub(crate) fn next_event(&mut self) -> Value {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("curl goes on") > 0 {
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("the data are JSON");
            }
            line.clear();
        }
        panic!("the stream ended")
    }
}

impl Api {
    /// Watches a stream of events, which has begun when this returns.
    pub(crate) fn watch(&self, path: &str) -> Watching {
        let mut curl = command("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--max-time", "100", "--include"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.arg(format!("{}/v1{path}", self.base));
        let mut child = start(&mut curl);
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while lines.read_line(&mut line).expect("curl goes on") > 0 && !line.trim().is_empty() {
            line.clear();
        }
        Watching { _curl: Guard(child), lines }
    }

    /// The operator's, as the banner and the data directory tell.
    pub(crate) fn of(server: &Server) -> Self {
        let line = server.banner().lines().find_map(|line| line.strip_prefix("the API answers on "));
        let base = line.and_then(|line| line.split("/v1").next()).expect("the banner names the API").to_owned();
        let token = std::fs::read_to_string(server.data().join("api.token")).expect("there is a first token");
        Self { base, token: token.trim().to_owned() }
    }

    /// The same with another token.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Asks with octets as the body.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut curl = command("curl");
        curl.args(["--silent", "--show-error", "--max-time", "100", "--request", method]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.args(["--header", "Expect:", "--write-out", "\n%{http_code}", "--data-binary", "@-"]);
        curl.arg(format!("{}/v1{path}", self.base));
        let said = run(&mut curl, body, PATIENCE).text();
        let (body, status) = said.rsplit_once('\n').unwrap_or((&said, ""));
        Answer { status: status.parse().unwrap_or_default(), body: body.to_owned() }
    }

    /// Asks with JSON as the body, or without one.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(method, path, &body)
    }
}
