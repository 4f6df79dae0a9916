"""The mail edge: durable intake and delivery beside Postfix and OpenSMTPD, TLS, and a queue of many messages."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import cli, load, measure, server
from .load import Load
from .peers import edge
from .peers.peer import lacking
from .report import MEBI, judge, row

#: Threads of the client with TLS: it is the slower part.
TLS_SESSIONS = 4
#: A message of the queue, header and all, is so long.
QUEUED_OCTETS = 1024


@dataclass(frozen=True)
class SmtplibLoad(Load):
    """The same mail from smtplib, with TLS or without."""

    tls: bool = False

    def command(self, port: int, count: int) -> list[str]:
        client = str(Path(__file__).with_name("tls_client.py"))
        kind = "tls" if self.tls else "clear"
        return [sys.executable, client, str(port), str(count), str(self.octets), str(self.sessions), kind]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/edge", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="times each row is measured, in turns (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement (5)")
    parser.add_argument("--queue", type=int, default=1_000_000, help="messages to queue, 0 for none (1,000,000)")
    parser.add_argument("--only", help="comma-separated, of: durable, delivery, tls, queue")
    parser.add_argument("--json", type=Path, help="also writes every sample there")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="on the disk to measure (/var/tmp)")
    options = parser.parse_args()
    if reason := lacking("smtp-source", "smtp-sink", "postconf", "openssl"):
        print(f"tests/bench/edge: {reason}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="wasmail-edge-", dir=options.work))
    work.chmod(0o755)
    try:
        return run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run(options: argparse.Namespace, work: Path) -> int:
    wanted = options.only.split(",") if options.only else ["durable", "delivery", "tls", "queue"]
    rows = edge.durable()
    for peer in rows:
        if reason := peer.missing():
            print(f"tests/bench/edge: {reason}", file=sys.stderr)
            return 2
    print(cli.head(options, rows, work), flush=True)
    samples = {}
    plain = Load("1 KB", 1024, 20)
    if "durable" in wanted:
        for kind in (plain, Load("1 KB", 1024, 20, keep_connections=True)):
            samples[f"intake: {kind.title()}"] = in_turns(options, work, edge.durable(kind.keep_connections), kind)
    if "delivery" in wanted:
        with edge.sink() as port:
            samples[f"delivery: {plain.title()}"] = in_turns(options, work, edge.delivering(port), plain)
    if "tls" in wanted:
        for tls in (False, True):
            kind = SmtplibLoad("1 KB", 1024, TLS_SESSIONS, tls=tls)
            name = "TLS: STARTTLS for each message" if tls else "TLS: off, the same client"
            samples[name] = in_turns(options, work, edge.secured(), kind)
    tell(samples)
    if "queue" in wanted and options.queue:
        queue(options, work)
    if options.json:
        found = {name: {who: [one.as_json() for one in all_] for who, all_ in of.items()} for name, of in samples.items()}
        options.json.write_text(json.dumps(found, indent=1))
    return 0


def in_turns(options: argparse.Namespace, work: Path, peers: list, kind: Load) -> dict[str, list]:
    found = {peer.title: [] for peer in peers}
    for number in range(options.rounds):
        for peer in peers:
            cli.progress(f"round {number + 1}: {kind.title()}: {peer.title}")
            found[peer.title].append(measure.measure(peer, kind, options.seconds, work, keep=False))
    return found


def tell(samples: dict) -> None:
    """A table for each kind, and the aims of those that have one."""
    aims = []
    for name, of in samples.items():
        medians = {who: measure.median(all_) for who, all_ in of.items()}
        theirs = medians["Postfix"]
        cells = ["server", "msg/s", "delivered/s", "CPU µs/msg", "msg per CPU s ÷ Postfix", "delivered/s ÷ Postfix"]
        print(f"#### {name}\n\n{row(cells)}\n{row(['---'] + ['--:'] * 5)}")
        for who, one in medians.items():
            figures = [f"{one.per_second:.0f}", f"{one.delivered_per_second:.0f}", f"{one.cpu_micros:.0f}"]
            ratios = [theirs.cpu_micros / one.cpu_micros, one.delivered_per_second / theirs.delivered_per_second]
            print(row([who, *figures, *(f"{ratio:.2f}" for ratio in ratios)]))
        print(f"\nothers used up to {max(one.other_share for one in medians.values()):.2f} of a core\n", flush=True)
        ours = medians["wasmail, no plugin"]
        if name.startswith("intake"):
            aims.append(judge(f"{name}: messages per CPU second, times Postfix's", theirs.cpu_micros / ours.cpu_micros, ">", 3))
        if name.startswith("delivery"):
            rate = ours.delivered_per_second / theirs.delivered_per_second
            aims.append(judge(f"{name}: delivered per second, times Postfix's", rate, ">", 2))
    if aims:
        print("\n".join([row(["aim", "measured", "wanted", ""]), row(["---", "--:", "--:", "---"]), *aims]) + "\n")


def queue(options: argparse.Namespace, work: Path) -> None:
    """Fills the queue of a server whose next hop is away, and starts it again with a tenth of them and with all."""
    peer, kind = edge.queueing(), Load("1 KB", QUEUED_OCTETS, 20, keep_connections=True)
    print(f"#### A queue of messages of 1 KB\n\n{row(['messages', 'RSS MB', 'octets a message', 'restart, s', 'RSS MB after it'])}")
    print(row(["--:"] * 5), flush=True)
    home = Path(tempfile.mkdtemp(prefix="queue-", dir=work))
    home.chmod(0o755)
    running = start(peer, home)
    empty, queued = running.memory.rss(), 0
    try:
        for target in (options.queue // 10, options.queue):
            while queued < target:
                count = min(20_000, target - queued)
                load.send(kind, running.port, count)
                queued += count
            wait_quiet(running)
            full = running.memory.rss()
            running.stop()
            began = time.monotonic()
            running = start(peer, home)
            took = time.monotonic() - began
            wait_quiet(running)
            again = running.memory.rss()
            cells = [f"{queued:,}", f"{full / MEBI:.0f}", f"{(full - empty) / queued:.0f}", f"{took:.1f}", f"{again / MEBI:.0f}"]
            print(row(cells), flush=True)
    finally:
        running.stop()
    print()


def start(peer, home: Path) -> server.Server:
    running = server.start(peer, home)
    running.wait_ready()
    return running


def wait_quiet(running: server.Server) -> None:
    """Until every message has been tried once."""
    used = running.processes.cpu_seconds()
    while True:
        time.sleep(2)
        using = running.processes.cpu_seconds()
        if using - used < 0.2:
            return
        used = using
