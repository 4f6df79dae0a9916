//! The soak: clients push mail, the next hop refuses, stalls and hangs up by chance, the disk fills up, and the server is killed. Each
//! copy of a message that was acknowledged ends once: delivered, or told to its sender; what a lost reply or a kill explains is counted.
//!
//! The seed is printed; `WASMAIL_TEST_SEED` repeats it, and `WASMAIL_SOAK_ROUNDS` goes on for longer.

mod peers;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use peers::ledger::Ledger;
use peers::load::Load;
use peers::maildir::{self, Delivered, messages};
use peers::next_hop::NextHop;
use peers::random::Random;
use peers::small_disk::SmallDisk;
use support::{Home, Server};

/// For all that is in the queue to end, once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(180);
const MAILBOXES: &[&str] = &["alice@example.test", "bob@example.test", "carol@example.test"];
const CLIENTS: u64 = 6;
/// Of a thousand steps of the next hop.
const FAULTS: u64 = 60;
/// Octets of the spool's disk: what waits for the next hop, and as much again.
const DISK: usize = 96 << 20;
/// Our own name, as the environment sets it: each start has another one, which the next hop hears and reports show.
const NAME: &str = "WASMAIL__SERVER__HOSTNAME";

/// What was told of a copy: by which start of the server.
type Reports = BTreeMap<(String, String), Vec<String>>;

fn home(next_hop: &NextHop) -> Home {
    Home::new(&format!(
        "[spool]\nsegment_size = \"256KiB\"\ninline_max = \"16KiB\"\nmin_free = \"1MiB\"\n\
         [dns]\nreverse = \"off\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n\
         [delivery.retry]\nfirst = \"100ms\"\nlongest = \"1s\"\n\
         [[route]]\nname = \"there\"\nkind = \"smtp\"\nnext_hop = \"{}\"\ndomains = [\"example.test\"]\n",
        next_hop.address()
    ))
    .with_shared_cache()
}

fn start(mut home: Home, load: &Load, starts: &mut usize) -> Server {
    *starts += 1;
    home.set(NAME, &format!("start-{starts}.example.net"));
    let server = home.start();
    load.is_at(Some(server.address()));
    server
}

/// What senders were told, by message and recipient.
fn reports(server: &Server) -> Reports {
    let (mut reports, mut seen) = (Reports::new(), BTreeSet::new());
    for report in messages(&maildir::of(&server.maildirs(), "a@example.org")) {
        // A file that a killed server has put there is known by its name, which ends with the server's: here alone that changes.
        let name = report.path.file_name().expect("it is a file").to_string_lossy().into_owned();
        if !seen.insert(name.split('.').nth(1).map(str::to_owned)) {
            continue;
        }
        let text = String::from_utf8_lossy(&report.raw).into_owned();
        let value = |name: &'static str| {
            text.lines()
                .filter_map(move |line| line.trim_end().strip_prefix(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let id = value("X-Story: ").pop().unwrap_or_else(|| panic!("of what is this a report?\n{text}"));
        let by = value("Reporting-MTA: dns; ").pop().expect("a report says whose it is");
        for to in value("Final-Recipient: rfc822; ") {
            reports.entry((id.clone(), to)).or_default().push(by.clone());
        }
    }
    reports
}

/// What all copies came to.
#[derive(Debug, Default)]
struct Sums {
    delivered: usize,
    told: usize,
    /// Of messages whose sender heard nothing of us: neither delivered nor told is right, too.
    unanswered: usize,
    /// There is more than one end, and the next hop's last reply was lost on the way.
    after_a_lost_reply: usize,
    /// Likewise, and a kill came before the first end was written down.
    after_a_kill: usize,
}

/// Looks how each copy ended.
fn settle(ledger: &Ledger, next_hop: &NextHop, reports: &Reports) -> Sums {
    let mut sums = Sums::default();
    for to in MAILBOXES {
        let mut arrived: BTreeMap<String, Vec<(Delivered, bool)>> = BTreeMap::new();
        for (mail, told) in next_hop.arrivals_told(to) {
            arrived.entry(mail.field("X-Story").expect("only our load sends")).or_default().push((mail, told));
        }
        for (id, recipients, acknowledged) in ledger.sent() {
            if !recipients.contains(to) {
                continue;
            }
            let copies = arrived.remove(&id).unwrap_or_default();
            let bounced = reports.get(&(id.clone(), (*to).to_owned())).map(Vec::as_slice).unwrap_or_default();
            assert!(bounced.len() < 2, "of {id} for {to} its sender was told by {bounced:?}");
            sums.unanswered += usize::from(!acknowledged);
            assert!(!acknowledged || copies.len() + bounced.len() > 0, "{id} for {to} was acknowledged, and is lost");
            sums.delivered += usize::from(!copies.is_empty());
            sums.told += bounced.len();
            if copies.len() + bounced.len() < 2 {
                continue;
            }
            let mails: Vec<_> = copies.iter().map(|(mail, _)| mail).collect();
            let by_whom = next_hop.senders(&mails);
            if copies.iter().any(|(_, told)| !told) {
                sums.after_a_lost_reply += 1;
            } else {
                let mut all: Vec<_> = by_whom.iter().chain(bounced).collect();
                all.sort();
                let ends = all.len();
                all.dedup();
                assert_eq!(
                    all.len(),
                    ends,
                    "{id} for {to} ended more than once within one life of the server: {all:?}"
                );
                sums.after_a_kill += 1;
            }
        }
        assert!(arrived.is_empty(), "never sent to {to}: {:?}", arrived.keys());
    }
    sums
}

#[test]
#[allow(clippy::print_stderr, reason = "what a story of chance came to is worth a line")]
fn each_message_ends_once_whatever_goes_wrong() {
    let rounds = std::env::var("WASMAIL_SOAK_ROUNDS").ok();
    let rounds: u64 = rounds.map_or(20, |text| text.parse().expect("WASMAIL_SOAK_ROUNDS is a number"));
    let (mut random, began, mut starts) = (Random::seeded(), Instant::now(), 0);
    let next_hop = NextHop::fickle(random.fork(1_000), FAULTS);
    let mut home = home(&next_hop);
    let Some(disk) = SmallDisk::mount(&home.data().join("spool"), DISK) else { return };
    let load = Load::start(CLIENTS, &random, MAILBOXES);
    for round in 0..rounds {
        let server = start(home, &load, &mut starts);
        std::thread::sleep(Duration::from_millis(random.within(50..600)));
        if round % 4 == 3 {
            disk.fill();
            std::thread::sleep(Duration::from_millis(random.within(20..200)));
            // Some of the kills find a full disk.
            if random.within(0..2) == 0 {
                disk.clear();
                std::thread::sleep(Duration::from_millis(random.within(20..200)));
                home = server.kill();
            } else {
                home = server.kill();
                disk.clear();
            }
        } else {
            home = server.kill();
        }
        load.is_at(None);
    }
    let server = start(home, &load, &mut starts);
    let (settled, put_off) = load.finish_put_off();
    next_hop.behave();
    // A report for which there was no room is put off for minutes.
    peers::eventually("the queue empties", PATIENCE, || {
        server.run(&["queue", "retry", "--all"]);
        server.queue_is_empty().then_some(())
    });
    let reports = reports(&server);
    server.stop();
    let sums = settle(settled.ledger(), &next_hop, &reports);
    eprintln!("soak: {rounds} kills in {:?}: {sums:?}, {put_off} put off at the door", began.elapsed());
    assert!(sums.delivered > 100 && sums.told > 10, "hardly anything happened: the story told nothing");
}
