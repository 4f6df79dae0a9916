"""Many tenants: what a server with them costs at its start, at each recipient, and when something is uploaded."""

import argparse
import http.client
import json
import shutil
import signal
import smtplib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from . import cli, load, server
from .load import Load
from .peers.edge import EdgeWasmail
from .peers.peer import lacking
from .report import MEBI, row
from .server import LOOPBACK, free_port

DOMAINS_EACH = 10
BINDINGS_EACH = 5
#: Connections and messages of the load, which no quota shall disturb.
MANY = 1_000_000_000
UPLOADS = 20
#: Enough of them that the median of first messages means something.
WOKEN = 200


class Hosting(EdgeWasmail):
    """wasmail with an API, which throws mail away once it is durable."""

    def __init__(self, api: int):
        more = f'[api]\nlisten = "{LOOPBACK}:{api}"\n[log]\nlevel = "error"\n'
        super().__init__("hosting", "wasmail", "synced to disk, then discarded", more)
        self.api_port = api

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        command = super().prepare(home, port)
        config = home / "wasmail.toml"
        # Recipients are for tenants to accept.
        config.write_text(config.read_text().replace("relaying = true", ""))
        return command


class Api:
    """The API of a server, over one connection."""

    def __init__(self, peer: Hosting, home: Path):
        [token] = home.rglob("api.token")
        self.headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        self.port = peer.api_port
        self.connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=120)

    def ask(self, method: str, path: str, body: object = None) -> dict:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        while True:
            try:
                self.connection.request(method, f"/v1{path}", octets, self.headers)
                answer = self.connection.getresponse()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                # It was idle for too long.
                self.connection.close()
                continue
            said = answer.read()
            if answer.status != 429:
                break
            time.sleep(int(answer.headers["Retry-After"]))
        if answer.status >= 300:
            raise server.Failed(f"{method} {path}: {answer.status} {said.decode()}")
        return json.loads(said) if said else {}

    def tokens(self) -> None:
        """A token of its own for the next thousand requests: each may make so many in a minute."""
        made = self.ask("POST", "/tokens", {"label": "benchmark"})
        self.headers = {"Authorization": f"Bearer {made['token']}"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000, help="tenants, each with ten domains and five bindings (1000)")
    parser.add_argument("--module", type=Path, required=True, help="a component: wasmail_opinion.wasm of tests/opinion")
    parser.add_argument("--rounds", type=int, default=3, help="times the load is measured (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (3)")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="on the disk to measure (/var/tmp)")
    options = parser.parse_args()
    if reason := lacking("smtp-source"):
        print(f"tests/bench/tenants: {reason}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(tempfile.mkdtemp(prefix="wasmail-tenants-", dir=options.work))
    try:
        run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


def run(options: argparse.Namespace, work: Path) -> None:
    peer = Hosting(free_port())
    if reason := peer.missing():
        raise server.Failed(reason)
    print(cli.head(options, [peer], work), flush=True)
    home = work / "home"
    home.mkdir()
    running = start(peer, home)
    try:
        module = options.module.read_bytes()
        api = Api(peer, home)
        hash_ = tenant(api, "t0", ["example.test"], module, bindings=0)
        alone = rate(running, options)
        began = time.monotonic()
        for number in range(1, options.tenants):
            if number % 40 == 0:
                api.tokens()
            cli.progress(f"tenant {number} of {options.tenants}")
            domains = [f"d{index}.t{number}.example" for index in range(DOMAINS_EACH)]
            tenant(api, f"t{number}", domains, module, BINDINGS_EACH)
        filled = time.monotonic() - began
        among = rate(running, options)
        running.stop()
        began = time.monotonic()
        running = start(peer, home)
        started, rss = time.monotonic() - began, running.memory.rss()
        woken = [first_message(running.port, f"d0.t{number}.example") for number in range(1, min(WOKEN, options.tenants))]
        awake = running.memory.rss()
        uploads = upload(Api(peer, home), running.port, module)
    finally:
        running.stop()
    cells = [
        (f"{options.tenants:,} tenants made by the API, s", f"{filled:.0f}"),
        ("start with them, from a warm cache, s", f"{started:.2f}"),
        ("RSS after the start, MB", f"{rss / MEBI:.0f}"),
        (f"first message of a tenant that sleeps: five plugins are started, ms (median of {len(woken)})", f"{statistics.median(woken) * 1e3:.1f}"),
        (f"RSS with {len(woken)} tenants awake, MB", f"{awake / MEBI:.0f}"),
        ("CPU µs a message, one domain known", f"{alone:.0f}"),
        (f"CPU µs a message, {options.tenants * DOMAINS_EACH:,} domains known", f"{among:.0f}"),
        (f"upload of {len(module) // 1024} KB to the first filtered message, s (median of {len(uploads)})", f"{statistics.median(uploads):.3f}"),
    ]
    print("\n".join([row(["", ""]), row(["---", "--:"]), *(row(list(cell)) for cell in cells)]) + "\n")


def start(peer: Hosting, home: Path) -> server.Server:
    for name in ("wasmail.toml",):
        (home / name).unlink(missing_ok=True)
    running = server.start(peer, home)
    running.wait_ready()
    return running


def tenant(api: Api, name: str, domains: list[str], module: bytes, bindings: int) -> str:
    at = f"/tenants/{name}"
    quotas = {"messages-per-minute": MANY, "connections-per-minute": MANY, "transactions": MANY, "cpu-ms-per-minute": MANY}
    api.ask("PUT", at, {"title": name, "quotas": quotas})
    for domain in domains:
        api.ask("PUT", f"{at}/domains/{domain}")
    hash_ = api.ask("POST", f"{at}/modules", module)["hash"] if bindings else ""
    for number in range(bindings):
        api.ask("PUT", f"{at}/bindings/b{number}", {"module": hash_})
    return hash_


def rate(running: server.Server, options: argparse.Namespace) -> float:
    """CPU microseconds a message to a tenant without plugins."""
    kind = Load("1 KB", 1024, 20, keep_connections=True)
    _, per_second = load.warm_up(kind, running.port, min(2.0, options.seconds))
    found = []
    for _ in range(options.rounds):
        count, before = int(per_second * options.seconds), running.processes.cpu_seconds()
        load.send(kind, running.port, count)
        running.drain(count)
        found.append((running.processes.cpu_seconds() - before) / count * 1e6)
    return statistics.median(found)


def first_message(port: int, domain: str) -> float:
    """Seconds of the first RCPT of a tenant."""
    with smtplib.SMTP(LOOPBACK, port, local_hostname="client.example", timeout=60) as client:
        client.ehlo()
        client.mail("a@client.example")
        began = time.monotonic()
        code, text = client.rcpt(f"inbox@{domain}")
        took = time.monotonic() - began
    if code != 250:
        raise server.Failed(f"{domain}: {code} {text.decode()}")
    return took


def upload(api: Api, port: int, module: bytes) -> list[float]:
    """Seconds from the upload of a module that nobody has seen to the first message that it refuses."""
    found = []
    for number in range(UPLOADS):
        name = f"u{number}"
        api.ask("PUT", f"/tenants/{name}", {"title": name})
        api.ask("PUT", f"/tenants/{name}/domains/{name}.example")
        # A custom section of another text makes it another module, which is compiled.
        text = f"upload {number} {time.monotonic_ns()}".encode()
        fresh = module + bytes([0, len(text) + 2, 1, ord("n")]) + text
        began = time.monotonic()
        hash_ = api.ask("POST", f"/tenants/{name}/modules", fresh)["hash"]
        api.ask("PUT", f"/tenants/{name}/bindings/filter", {"module": hash_, "config": {"rcpt": "deny no"}})
        with smtplib.SMTP(LOOPBACK, port, local_hostname="client.example", timeout=60) as client:
            client.ehlo()
            client.mail("a@client.example")
            code, _ = client.rcpt(f"inbox@{name}.example")
        found.append(time.monotonic() - began)
        if code != 550:
            raise server.Failed(f"{name}: the module was not asked: {code}")
    return found
