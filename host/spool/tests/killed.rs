//! A process that commits mail is killed with SIGKILL, again and again; the next start finds what it had acknowledged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};
use wasmail_spool::{Options, Spool, SpoolId};

const ROUNDS: usize = 25;

fn options() -> Options {
    Options { segment_size: 256 * 1024, inline_max: 4096, ..Options::default() }
}

fn envelope(number: u64) -> Envelope {
    let path = ForwardPath::parse(&format!("<recipient{number}@example.test>")).unwrap();
    Envelope {
        uuid: format!("child.{number}"),
        reverse_path: ReversePath::Null,
        parameters: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: vec![Recipient { path, parameters: Vec::new() }],
        handling: Default::default(),
    }
}

/// Some bodies lie in the journal, some in files of their own.
fn body(number: u64) -> Vec<u8> {
    let length = number as usize * 977 % 8192;
    (0..length).map(|at| (at as u64 * 31 + number) as u8).collect()
}

/// The other half of this story: commits for ever and says so, eight sessions at once, and finishes every other one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started, and killed, by the test below"]
async fn the_child_that_commits() {
    let Some(dir) = std::env::var_os("SPOOL_CHILD_DIR") else { return };
    let (spool, _) = Spool::open(Path::new(&dir), options()).unwrap();
    let sessions: Vec<_> = (0..8u64).map(|session| tokio::spawn(commit_for_ever(spool.clone(), session))).collect();
    for session in sessions {
        session.await.unwrap();
    }
}

async fn commit_for_ever(spool: Spool, session: u64) {
    for number in (session..).step_by(8) {
        let mut draft = spool.draft();
        draft.append(&body(number)).await.unwrap();
        let sealed = draft.seal().await.unwrap();
        let id = sealed.commit(envelope(number), format!("X-Number: {number}\r\n\r\n").into()).await.unwrap();
        say(&format!("committed {id} {number}"));
        if number % 16 < 8 {
            say(&format!("finishing {id} {number}"));
            spool.finish(id).await.unwrap();
            say(&format!("finished {id} {number}"));
        }
    }
}

/// One write a line, so that a kill leaves no half lines but the last.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[derive(Default)]
struct Said {
    committed: BTreeSet<(SpoolId, u64)>,
    finishing: BTreeSet<SpoolId>,
    finished: BTreeSet<SpoolId>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [verb, id, number] = words[..] else { return };
        let (Ok(id), Ok(number)) = (id.parse(), number.parse()) else { return };
        match verb {
            "committed" => drop(self.committed.insert((id, number))),
            "finishing" => drop(self.finishing.insert(id)),
            "finished" => drop(self.finished.insert(id)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..ROUNDS {
        // After so many lines, wherever it is then.
        run_and_kill(dir.path(), 40 + round * 13, &mut said);
        let (spool, found) = Spool::open(dir.path(), options()).unwrap();
        let ids: BTreeSet<SpoolId> = found.iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), found.len(), "nothing is there twice");
        for (id, number) in &said.committed {
            assert!(ids.contains(id) || said.finishing.contains(id), "round {round}: {id} ({number}) is lost");
        }
        assert!(said.finished.iter().all(|id| !ids.contains(id)), "round {round}: a finished message is back");
        for id in ids {
            check_whole(&spool, id).await;
            spool.finish(id).await.unwrap();
            said.finishing.insert(id);
            said.finished.insert(id);
        }
    }
    assert!(said.committed.len() > ROUNDS * 20, "only {} commits", said.committed.len());
}

fn run_and_kill(dir: &Path, lines: usize, said: &mut Said) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_that_commits", "--ignored", "--nocapture"])
        .env("SPOOL_CHILD_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    output.by_ref().take(lines).for_each(|line| said.hear(&line.unwrap()));
    child.kill().unwrap();
    // What it had said before it died was said.
    output.map_while(Result::ok).for_each(|line| said.hear(&line));
    child.wait().unwrap();
}

async fn check_whole(spool: &Spool, id: SpoolId) {
    let message = spool.message(id).await.unwrap();
    let number: u64 = message.envelope().uuid.strip_prefix("child.").unwrap().parse().unwrap();
    assert_eq!(message.envelope(), &envelope(number));
    assert_eq!(message.header()[..], *format!("X-Number: {number}\r\n\r\n").as_bytes());
    let (mut chunks, mut octets) = (message.body().chunks(), Vec::new());
    while let Some(chunk) = chunks.next().await.unwrap() {
        octets.extend(chunk);
    }
    assert!(octets == body(number), "the body of {id} is torn");
}
