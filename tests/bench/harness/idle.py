"""Memory of idle connections: thousands of clients that have said EHLO and then say nothing."""

import resource
import selectors
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .load import CLIENT_NAME
from .peers.peer import Peer
from .server import Failed, running

# Descriptors besides the connections: the server's files, the harness's own.
# From <linux/in.h>; Python names it from 3.12 on.
IP_BIND_ADDRESS_NO_PORT = 24
SPARE_DESCRIPTORS = 1000
# Below the kernel's default range of 28,000 local ports for one pair of addresses.
CONNECTIONS_PER_ADDRESS = 20_000
# At once in the handshake: within every server's listen queue.
BATCH = 200
BATCH_SECONDS = 60


@dataclass(frozen=True)
class Idle:
    """What the connections cost; octets."""

    connections: int
    rss_before: int
    rss: int
    pss: int

    @property
    def per_connection(self) -> float:
        """Growth of the resident set for each connection, in octets."""
        return (self.rss - self.rss_before) / self.connections

    def as_json(self) -> dict:
        return asdict(self)


def measure(peer: Peer, connections: int, work: Path, keep: bool) -> Idle:
    """Opens the connections (fewer where the server takes no more) and reads the memory while all are open."""
    wanted = min(connections, peer.idle_limit or connections)
    allow_descriptors(wanted + SPARE_DESCRIPTORS)
    with running(peer, work, keep) as server:
        before = server.memory.rss()
        clients: list[socket.socket] = []
        try:
            while len(clients) < wanted:
                clients += open_batch(server.port, len(clients), min(BATCH, wanted - len(clients)))
            all_alive(clients)
            return Idle(wanted, before, server.memory.rss(), server.memory.pss())
        finally:
            for client in clients:
                client.close()


def allow_descriptors(wanted: int) -> None:
    """Raises the limit of open files, which the server inherits. Raises `Failed` where that isn't allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError) as error:
        raise Failed(f"{wanted} open files are not allowed here (hard limit {hard})") from error


def open_batch(port: int, opened: int, count: int) -> list[socket.socket]:
    """Connects `count` clients at once and takes each through its EHLO."""
    clients = []
    with selectors.DefaultSelector() as selector:
        for number in range(opened, opened + count):
            client = connect(f"127.0.1.{1 + number // CONNECTIONS_PER_ADDRESS}", port)
            clients.append(client)
            selector.register(client, selectors.EVENT_READ, Dialogue())
        converse(selector)
    return clients


def connect(source: str, port: int) -> socket.socket:
    """A connection from this address. Raises `Failed` when there is no port left for it, or nobody answers.

    The port is chosen when the connection is made, not before: ports that the load has just used are still waiting to
    be forgotten (RFC 9293 section 3.6.1), and a port of its own for each address there are not enough of.
    """
    client = socket.socket()
    try:
        client.settimeout(BATCH_SECONDS)
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
        client.connect(("127.0.0.1", port))
    except OSError as error:
        client.close()
        raise Failed(f"no connection from {source}: {error}") from error
    client.setblocking(False)
    return client


class Dialogue:
    """Greeting, EHLO, its reply; then nothing more."""

    def __init__(self):
        self.received = b""
        self.greeted = False

    def hear(self, octets: bytes) -> bytes | None:
        """What to say next; `b""` while a reply is incomplete; `None` when the client has fallen silent."""
        self.received += octets
        if not complete(self.received):
            return b""
        if not self.received.startswith(b"250" if self.greeted else b"220"):
            raise Failed(f"an idle connection was refused: {self.received.decode(errors='replace').strip()}")
        if self.greeted:
            return None
        self.received, self.greeted = b"", True
        return f"EHLO {CLIENT_NAME}\r\n".encode()


def complete(reply: bytes) -> bool:
    """Whether the last line of a reply has come: code and space, and CRLF at the end (RFC 5321 section 4.2.1)."""
    lines = reply.split(b"\r\n")
    return len(lines) > 1 and lines[-1] == b"" and lines[-2][3:4] != b"-"


def converse(selector: selectors.BaseSelector) -> None:
    """Serves the registered clients until each has had the reply to its EHLO."""
    deadline = time.monotonic() + BATCH_SECONDS
    while selector.get_map():
        if time.monotonic() > deadline:
            raise Failed(f"{len(selector.get_map())} clients got no answer within {BATCH_SECONDS} s")
        for key, _ in selector.select(timeout=1):
            octets = key.fileobj.recv(4096)
            if not octets:
                raise Failed("the server closed an idle connection")
            answer = key.data.hear(octets)
            if answer is None:
                selector.unregister(key.fileobj)
            elif answer:
                key.fileobj.sendall(answer)


def all_alive(clients: list[socket.socket]) -> None:
    """Raises `Failed` when the server has meanwhile said anything to a silent client, or has closed its connection."""
    for client in clients:
        try:
            said = client.recv(512)
        except BlockingIOError:
            continue
        raise Failed(f"an idle connection did not stay idle: {said!r}")
