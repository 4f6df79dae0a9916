"""One running server: started on a free loopback port, waited for by connecting, ended by its own pid."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import meter

LOOPBACK = "127.0.0.1"
# Haraka reads thousands of files, Postfix checks its queue directories: seconds on a busy machine.
READY_SECONDS = 60
# Ten times what the slowest orderly end took; then SIGKILL.
STOP_SECONDS = 20
# Delivery trails acceptance by moments; a minute means that it is stuck.
DRAIN_SECONDS = 60
POLL_SECONDS = 0.01
# At rest: no more than a twentieth of a core for so long. V8 and tokio never sleep quite still.
QUIET_SECONDS = 0.1
QUIET_CPU_SECONDS = QUIET_SECONDS / 20


class Failed(Exception):
    """The row can't be measured; the text says why and shows the end of the server's log."""


class Server:
    """A peer's processes, their home directory, port and meters."""

    def __init__(self, peer, home: Path, port: int, process: subprocess.Popen, processes: meter.Tree | meter.Group):
        self.peer = peer
        self.home = home
        self.port = port
        self.process = process
        self.processes = processes
        self.memory = meter.Memory(processes)

    def log_end(self) -> str:
        """The last lines the server wrote, for an error message."""
        lines = (self.home / "log").read_text(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-12:])

    def wait_ready(self) -> None:
        """Returns when the server has loaded what it needs and has greeted a client with 220."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"ended with status {self.process.returncode} before it greeted\n{self.log_end()}")
            if self.peer.settled(self.home) and greets(self.port):
                return
            time.sleep(POLL_SECONDS)
        raise Failed(f"no greeting within {READY_SECONDS} s\n{self.log_end()}")

    def drain(self, accepted: int) -> float:
        """Returns when the messages `accepted` so far are delivered and the server is at rest; seconds until then."""
        start = time.monotonic()
        quiet_since, used = start, self.processes.cpu_seconds()
        while (pending := self.peer.pending(self.home, accepted)) or time.monotonic() - quiet_since < QUIET_SECONDS:
            if time.monotonic() - start > DRAIN_SECONDS:
                raise Failed(f"{pending} undelivered, still at work after {DRAIN_SECONDS} s\n{self.log_end()}")
            time.sleep(POLL_SECONDS)
            now, using = time.monotonic(), self.processes.cpu_seconds()
            if pending or using - used > QUIET_CPU_SECONDS:
                quiet_since, used = now, using
        return quiet_since - start

    def stop(self) -> None:
        """Ends the server as its manual says, then by SIGKILL to whatever of it is left."""
        try:
            self.peer.stop(self)
            self.process.wait(STOP_SECONDS)
        except subprocess.SubprocessError:
            kill(self.processes.pids())
        if not self.all_gone():
            kill(self.processes.pids())
            self.all_gone()
        self.process.wait(STOP_SECONDS)
        with contextlib.suppress(OSError):
            self.processes.close()

    def all_gone(self) -> bool:
        """Waits for the last of the server's processes; false when some outlast the patience."""
        deadline = time.monotonic() + STOP_SECONDS
        while pids := self.processes.pids():
            if pids == [self.process.pid]:
                self.process.poll()  # It may be dead already and wait only for us to take note.
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(peer, work: Path, keep: bool = False) -> Iterator[Server]:
    """Starts the peer in a fresh directory under `work`, waits until it greets, and ends it afterwards."""
    home = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=work))
    home.chmod(0o755)  # Postfix's daemons and smtp-sink give up root and must still enter.
    try:
        server = start(peer, home)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def start(peer, home: Path) -> Server:
    port = free_port()
    command, environment = peer.prepare(home, port)
    group = meter.new_group(f"wasmail-bench-{home.name}")
    if group:
        # A shell enters the group before it becomes the server, so not one of its processes is missed.
        command = ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(group.path), *command]
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    return Server(peer, home, port, process, group or meter.Tree(process.pid))


def free_port() -> int:
    """A port nobody listens on now; the server binds it a moment later."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def greets(port: int) -> bool:
    """Whether a server answers a connection with a 220 and takes leave politely."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=READY_SECONDS) as client:
            greeting = client.recv(512)
            client.sendall(b"QUIT\r\n")
            client.recv(512)
            return greeting.startswith(b"220")
    except OSError:
        return False
