"""What ordinary mail notices of a hostile plugin that another listener's chain has, in the same server.

`smtp-source` keeps ordinary mail flowing; one more session of our own sends a message after the other and takes the
time of each, from connecting to the reply to QUIT. First nobody disturbs, then clients of another listener have their
EHLO judged by a hostile guest, again and again; then nobody again, and so on for a number of rounds.
"""

import argparse
import contextlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .load import Load
from .peers.peer import Peer, lacking
from .peers.wasmail import ROOT, binary, build
from .server import LOOPBACK, Failed, Server, free_port, running

#: Guests that take something at EHLO: time, memory, room in the log; and `good`, which shows what the clients cost.
GUESTS = [
    "good", "loop", "fill-flood", "recursion", "mutual-recursion", "memory-bomb", "memory-kept", "table-bomb", "huge-list",
    "amplifier", "call-flood", "log-flood", "unreachable", "realloc-loops", "post-return-loops", "deny-crlf",
]  # fmt: skip
LOAD = Load("ordinary", 1024, 2)
#: Enough that one batch outlasts the looks at the clock between two.
BATCH = 200
BODY = b"From: a@example.org\r\nTo: b@example.test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n" + b"hello\r\n" * 150
CONFIG = """
[log]
level = "error"
[dns]
reverse = "off"
[spool]
sync = false
[delivery]
kind = "discard"
[connections]
per_address = 1000
[server]
data_dir = "{home}/data"
[[listener]]
name = "ordinary"
address = "127.0.0.1:{port}"
plugins = ["local-domains"]
[[listener]]
name = "hostile"
address = "127.0.0.1:{hostile}"
plugins = ["guest", "local-domains"]
[[plugin]]
name = "local-domains"
module = "builtin:local-domains"
grants = ["accept-recipients"]
config = {{ domains = ["example.test"] }}
[[plugin]]
name = "guest"
module = "{guest}"
"""


class Disturbed(Peer):
    """wasmail with an ordinary listener, and one whose chain has a hostile guest."""

    def __init__(self, guest: Path):
        self.name = f"disturbed-{guest.stem}"
        self.guest = guest
        self.hostile_port = free_port()

    def missing(self) -> str | None:
        return build()

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        config = home / "wasmail.toml"
        config.write_text(CONFIG.format(home=home, port=port, hostile=self.hostile_port, guest=self.guest))
        return [str(binary()), "serve", "--config", str(config)], {}


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurement and prints its table; 1 when a guest could not be measured."""
    options = parse(arguments)
    if reason := lacking("smtp-source") or build():
        print(f"tests/bench/disturbed: {reason}", file=sys.stderr)
        return 2
    work = Path(tempfile.mkdtemp(prefix="wasmail-disturbed-", dir=options.work))
    try:
        write = ["cargo", "run", "--release", "--quiet", "-p", "wasmail-hostile", "--example", "write", "--", str(work)]
        subprocess.run(write, cwd=ROOT, check=True)
        print(f"{options.clients} hostile clients, {options.rounds} × {options.seconds} s each way; milliseconds a message\n")
        print("| guest | undisturbed: median | p99 | messages | disturbed: median | p99 | messages | p99 ratio | hostile calls/s |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
        return max([measured(work / f"{guest}.wasm", options) for guest in options.guests.split(",")])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/disturbed", description=__doc__.splitlines()[0])
    parser.add_argument("--guests", default=",".join(GUESTS), help="comma-separated names of tests/hostile/wat")
    parser.add_argument("--clients", type=int, default=8, help="clients that the guest judges at once (8)")
    parser.add_argument("--pause", type=float, default=10, help="milliseconds that such a client waits after a reply (10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (3)")
    parser.add_argument("--rounds", type=int, default=2, help="measurements each way (2)")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="on the disk to use (/var/tmp)")
    return parser.parse_args(arguments)


def measured(guest: Path, options: argparse.Namespace) -> int:
    """Measures one guest and prints its row."""
    calm: list[float] = []
    rough: list[float] = []
    calls = 0
    try:
        peer = Disturbed(guest)
        with running(peer, guest.parent) as server, flowing(server):
            times(server.port, options.seconds / 2)  # Nobody looks at these: buffers and instances are made.
            for _ in range(options.rounds):
                calm += times(server.port, options.seconds)
                with hostile(peer.hostile_port, options.clients, options.pause / 1000) as count:
                    rough += times(server.port, options.seconds)
                calls += count()
    except (Failed, OSError) as error:
        print(f"tests/bench/disturbed: {guest.stem}: {error}", file=sys.stderr)
        return 1
    ratio = p99(rough) / p99(calm)
    rate = calls / options.rounds / options.seconds
    print(f"| `{guest.stem}` | {cells(calm)} | {cells(rough)} | {ratio:.2f} | {rate:.0f} |", flush=True)
    return 0


def cells(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.2f} | {1000 * p99(seconds):.2f} | {len(seconds)}"


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


@contextlib.contextmanager
def flowing(server: Server) -> Iterator[None]:
    """Keeps `smtp-source` sending ordinary mail; every message must be accepted."""
    over, failed = threading.Event(), []

    def send() -> None:
        while not over.is_set() and not failed:
            ended = subprocess.run(LOAD.command(server.port, BATCH), capture_output=True, text=True)
            if ended.returncode:
                failed.append(f"smtp-source: {ended.stderr.strip()}")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise Failed(f"{failed[0]}\n{server.log_end()}")


def times(port: int, seconds: float) -> list[float]:
    """How long each message of one session after another takes, for so many seconds."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        with socket.create_connection((LOOPBACK, port), timeout=60) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            said(client, None, b"220")
            said(client, b"EHLO client.example.org\r\n", b"250")
            said(client, b"MAIL FROM:<a@example.org>\r\n", b"250")
            said(client, b"RCPT TO:<b@example.test>\r\n", b"250")
            said(client, b"DATA\r\n", b"354")
            said(client, BODY + b".\r\n", b"250")
            said(client, b"QUIT\r\n", b"221")
        found.append(time.monotonic() - start)
    return found


def said(client: socket.socket, octets: bytes | None, code: bytes) -> None:
    if octets:
        client.sendall(octets)
    reply = client.recv(4096)
    if not reply.startswith(code):
        raise Failed(f"{code.decode()} expected, {reply!r} said")


@contextlib.contextmanager
def hostile(port: int, clients: int, pause: float) -> Iterator:
    """Clients that have the guest called, and again a moment after it has answered; tells how often that was."""
    over, counts = threading.Event(), [0] * clients

    def greet(number: int) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=60) as client:
                client.recv(4096)
                # The server hangs up on a client that is refused too often.
                while not over.is_set():
                    client.sendall(b"EHLO client.example.org\r\n")
                    reply = client.recv(4096)
                    counts[number] += 1
                    if not reply or reply.startswith(b"421"):
                        break
                    time.sleep(pause)

    threads = [threading.Thread(target=greet, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(counts)
    finally:
        over.set()
        for thread in threads:
            thread.join()
