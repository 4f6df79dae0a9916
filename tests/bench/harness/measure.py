"""One measurement: a server started afresh, proved, warmed up, loaded, drained, and read."""

import smtplib
import statistics
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from . import load as loads
from . import meter
from .peers.peer import Peer
from .server import LOOPBACK, Failed, Server, running

# The last warm-up batch takes so long, all of them twice that: V8 has compiled Haraka, Postfix has its daemons.
WARM_SECONDS = 2.0
LISTED_SENDER = "spammer@example.net"
STRANGER = "someone@elsewhere.test"


@dataclass(frozen=True)
class Sample:
    """What one measurement found. Times in seconds, memory in octets."""

    messages: int
    #: From the first connection until the client had its last 250.
    accept_seconds: float
    #: Until the last message was delivered as well.
    done_seconds: float
    #: User and system time of all the server's processes, delivery included.
    cpu_seconds: float
    #: The same of `smtp-source`.
    client_cpu_seconds: float
    #: CPU time that neither the server nor the client used: the harness, the kernel's own threads, other people.
    other_cpu_seconds: float
    peak_rss: float
    pss: float

    @property
    def per_second(self) -> float:
        """Messages accepted per second."""
        return self.messages / self.accept_seconds

    @property
    def delivered_per_second(self) -> float:
        return self.messages / self.done_seconds

    @property
    def cpu_micros(self) -> float:
        """The server's CPU time for one message, in microseconds."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def other_share(self) -> float:
        """CPU time of others as a share of one core: well above 0.1, and the figures are worth little."""
        return self.other_cpu_seconds / self.done_seconds

    def as_json(self) -> dict:
        return asdict(self)


def median(samples: list[Sample]) -> Sample:
    """Each field's median over the rounds."""
    return Sample(*(statistics.median(getattr(sample, field.name) for sample in samples) for field in fields(Sample)))


def measure(peer: Peer, load: loads.Load, seconds: float, work: Path, keep: bool) -> Sample:
    """Measures about `seconds` of the load against a fresh server. Raises `Failed` with the reason."""
    with running(peer, work, keep) as server:
        prove(server)
        warmed, rate = loads.warm_up(load, server.port, min(WARM_SECONDS, seconds))
        server.drain(warmed)
        return measure_running(server, load, warmed, max(load.sessions, int(rate * seconds)))


def measure_running(server: Server, load: loads.Load, before: int, count: int) -> Sample:
    """Measures `count` messages on a server that has accepted `before`."""
    machine, used_before = meter.Machine(), server.processes.cpu_seconds()
    sent = loads.send(load, server.port, count, server.memory.sample)
    pss = server.memory.pss()
    drained = server.drain(before + count)
    used = server.processes.cpu_seconds() - used_before
    return Sample(
        messages=sent.count,
        accept_seconds=sent.seconds,
        done_seconds=sent.seconds + drained,
        cpu_seconds=used,
        client_cpu_seconds=sent.client_cpu_seconds,
        other_cpu_seconds=max(0.0, machine.used() - used - sent.client_cpu_seconds),
        peak_rss=server.memory.peak_rss,
        pss=pss,
    )


def prove(server: Server) -> None:
    """Makes sure that the row does what its title says: one that judges nothing would win every comparison."""
    peer = server.peer
    expect(server, "our mail", loads.REVERSE_PATH, loads.FORWARD_PATH, refused=False)
    expect(server, "mail to a foreign domain", loads.REVERSE_PATH, STRANGER, refused=peer.refuses_relaying)
    expect(server, "mail from a listed sender", LISTED_SENDER, loads.FORWARD_PATH, refused=peer.refuses_listed)


def expect(server: Server, what: str, reverse_path: str, forward_path: str, refused: bool) -> None:
    """Speaks as far as RCPT: some servers refuse a sender only there (Postfix's `smtpd_delay_reject`)."""
    try:
        with smtplib.SMTP(LOOPBACK, server.port, local_hostname=loads.CLIENT_NAME, timeout=30) as client:
            client.ehlo()
            code, text = client.mail(reverse_path)
            if code < 400:
                code, text = client.rcpt(forward_path)
    except (OSError, smtplib.SMTPException) as error:
        raise Failed(f"the dialogue before the measurement broke off: {error}\n{server.log_end()}") from error
    if refused != (code >= 400):
        wanted = "refused" if refused else "accepted"
        raise Failed(f"{what} should be {wanted}, but the server said {code} {text.decode(errors='replace')}")
