"""The load: `smtp-source` of the postfix package, the same for every server."""

import os
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from .server import LOOPBACK, Failed

CLIENT_NAME = "client.example.org"
REVERSE_PATH = "sender@example.org"
FORWARD_PATH = "inbox@example.test"
# Often enough to see the peak of memory, seldom enough to cost under one per cent of a core.
SAMPLE_SECONDS = 0.1
# No load is planned for longer than a minute; a server this late is stuck.
TIMEOUT_SECONDS = 300
# V8 compiles for speed what it has run some hundred times; a batch that only took long hasn't warmed anything.
WARM_MESSAGES = 500


@dataclass(frozen=True)
class Load:
    """One kind of mail: `octets` of body through `sessions` at once, and whether a connection carries many messages."""

    name: str
    octets: int
    sessions: int
    keep_connections: bool = False

    def title(self) -> str:
        """For the head of a table."""
        connections = "connections kept" if self.keep_connections else "one message a connection"
        return f"{self.name}, {self.sessions} sessions, {connections}"

    def command(self, port: int, count: int) -> list[str]:
        """The client's command line. It speaks lock-step SMTP: no pipelining."""
        keep = ["-d"] if self.keep_connections else []
        envelope = ["-M", CLIENT_NAME, "-f", REVERSE_PATH, "-t", FORWARD_PATH, "-S", "benchmark"]
        numbers = ["-s", str(self.sessions), "-m", str(count), "-l", str(self.octets)]
        return ["smtp-source", "-4", *keep, *numbers, *envelope, f"{LOOPBACK}:{port}"]


@dataclass(frozen=True)
class Sent:
    """What the client saw: `count` messages, each answered by 250, in so many seconds, and its own CPU time."""

    count: int
    seconds: float
    client_cpu_seconds: float


def send(load: Load, port: int, count: int, sample: Callable[[], None] = lambda: None) -> Sent:
    """Sends `count` messages; calls `sample` ten times a second meanwhile.

    `smtp-source` ends with an error at the first reply that is not the expected one, so a return means that every
    message was accepted.
    """
    start = time.monotonic()
    client = subprocess.Popen(load.command(port, count), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait(client, start, sample)
    except BaseException:
        client.kill()
        raise
    seconds = time.monotonic() - start
    _, status, usage = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    with client.stderr as stream:
        complaint = stream.read().decode(errors="replace").strip()
    if client.returncode != 0:
        raise Failed(f"smtp-source ended with status {client.returncode}: {complaint}")
    return Sent(count, seconds, usage.ru_utime + usage.ru_stime)


def wait(client: subprocess.Popen, start: float, sample: Callable[[], None]) -> None:
    """Sleeps until the client ends, waking only to sample; kills a client that takes far too long."""
    descriptor = os.pidfd_open(client.pid)
    try:
        while not select.select([descriptor], [], [], SAMPLE_SECONDS)[0]:
            sample()
            if time.monotonic() - start > TIMEOUT_SECONDS:
                client.kill()
        sample()
    finally:
        os.close(descriptor)


def warm_up(load: Load, port: int, seconds: float) -> tuple[int, float]:
    """Sends batches, each twice the last, until one takes `seconds` and has `WARM_MESSAGES`.

    Returns the messages of all batches, and the messages per second of the last.

    So every server's caches are filled, Haraka's code is compiled by V8, Postfix's daemons are running, and the
    measurement that follows can be given a length in seconds.
    """
    count, total = 5 * load.sessions, 0
    while True:
        sent = send(load, port, count)
        total += count
        if sent.seconds >= seconds and count >= WARM_MESSAGES:
            return total, count / sent.seconds
        count *= 2
