"""The command line: which rows, how long, how often; then the rounds, then the report."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import idle, measure, meter, report, rows
from .load import Load
from .peers.peer import Peer, lacking
from .server import Failed


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark and prints the report; 1 when a row that was asked for failed."""
    options = parse(arguments)
    if reason := lacking("smtp-source", "postconf"):
        print(f"tests/bench/run: {reason}: apt-get install postfix", file=sys.stderr)
        return 2
    options.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that the servers are ended then too.
    work = Path(tempfile.mkdtemp(prefix="wasmail-bench-", dir=options.work))
    work.chmod(0o755)
    try:
        return benchmark(options, work)
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    what = "wasmail beside smtp-sink, Haraka and Postfix."
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=what)
    parser.add_argument("--quick", action="store_true", help="about a minute: one short round, fewer rows and loads")
    parser.add_argument("--rows", help=f"comma-separated, of: {', '.join(peer.name for peer in rows.ROWS)}")
    parser.add_argument("--rounds", type=int, help="times each row is measured; medians are printed (5; quick 1)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (5; quick 1)")
    parser.add_argument("--sessions", type=int, default=rows.SESSIONS, help=f"SMTP sessions at once ({rows.SESSIONS})")
    parser.add_argument("--idle", type=int, help="idle connections, 0 for none (10,000; quick 1,000)")
    parser.add_argument("--json", type=Path, help="also writes every sample there")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="on the disk to measure (/var/tmp)")
    parser.add_argument("--keep", action="store_true", help="keeps the servers' directories, logs and configurations")
    options = parser.parse_args(arguments)
    quick, full = {"rounds": 1, "seconds": 1.0, "idle": 1000}, {"rounds": 5, "seconds": 5.0, "idle": 10_000}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    try:
        options.peers = rows.select(chosen(options))
    except KeyError as error:
        parser.error(f"no row is called {error}")
    return options


def chosen(options: argparse.Namespace) -> list[str]:
    if options.rows:
        return options.rows.split(",")
    return rows.QUICK_ROWS if options.quick else [peer.name for peer in rows.ROWS]


def benchmark(options: argparse.Namespace, work: Path) -> int:
    results = report.Results()
    peers = present(options.peers, results)
    loads = rows.loads(options.sessions, options.quick)
    print(head(options, peers, work), flush=True)
    for number in range(options.rounds):
        for load in loads:
            for peer in peers:
                progress(f"round {number + 1} of {options.rounds}: {load.title()}: {peer.title}")
                measure_row(results, peer, load, options.seconds, work, options.keep)
        save(options, results)
    for peer in peers if options.idle else []:
        progress(f"idle connections: {peer.title}")
        measure_idle(results, peer, options.idle, work, options.keep)
    save(options, results)
    print_report(results, peers, loads)
    return 1 if results.failures else 0


def save(options: argparse.Namespace, results: report.Results) -> None:
    """Writes what was measured so far: half an hour is not lost when something goes wrong near its end."""
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1))


def present(peers: list[Peer], results: report.Results) -> list[Peer]:
    """Those that can be measured here; the others are named in the report and make the command fail."""
    able = []
    for peer in peers:
        progress(f"preparing {peer.title}")
        if reason := peer.missing() or speechless(peer):
            results.failures.append(f"{peer.title}: {reason}")
        else:
            able.append(peer)
    return able


def speechless(peer: Peer) -> str | None:
    """Why it can't say its version, or `None`: what can't do that won't serve mail either."""
    try:
        peer.version()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


def measure_row(results: report.Results, peer: Peer, load: Load, seconds: float, work: Path, keep: bool) -> None:
    try:
        sample = measure.measure(peer, load, seconds, work, keep)
        results.samples.setdefault((peer.name, load), []).append(sample)
    except Failed as error:
        results.failures.append(f"{peer.title}, {load.title()}: {error}")


def measure_idle(results: report.Results, peer: Peer, connections: int, work: Path, keep: bool) -> None:
    try:
        results.idle[peer.name] = idle.measure(peer, connections, work, keep)
    except Failed as error:
        results.failures.append(f"{peer.title}, idle connections: {error}")


def head(options: argparse.Namespace, peers: list[Peer], work: Path) -> str:
    """What was measured, with what, on what: without it a table means nothing."""
    versions = {f"{type(peer).__name__} {peer.version()}" for peer in peers}
    lines = [
        f"{os.cpu_count()} × {processor()}, Linux {platform.release()}; {time.strftime('%Y-%m-%d')}",
        f"{options.rounds} round(s) of {options.seconds:g} s, medians; {'; '.join(sorted(versions))}",
        f"disk: {filesystem(work)}, {sync_micros(work):.0f} µs to sync a new file of 1 KB",
        f"CPU time: {meter_kind()}",
    ]
    return "\n".join(f"- {line}" for line in lines) + "\n"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def filesystem(path: Path) -> str:
    """The type of the file system that holds the queues. On tmpfs a sync costs nothing and proves nothing."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    # The longest mount point above `path` is the one it lies on; of equals the last mounted covers the others.
    over = [(len(point), kind) for _, point, kind, *_ in mounts if path.resolve().is_relative_to(point)]
    kind = max(over, key=lambda found: found[0])[1]
    return f"{kind} (NOT A DISK: the durable rows are worthless)" if kind in ("tmpfs", "ramfs") else kind


def sync_micros(work: Path) -> float:
    """What one create, write and fsync costs here, in microseconds: the mean of fifty."""
    start = time.monotonic()
    for number in range(50):
        with open(work / f"sync-{number}", "wb") as file:
            file.write(bytes(1024))
            file.flush()
            os.fsync(file.fileno())
    return (time.monotonic() - start) / 50 * 1e6


def meter_kind() -> str:
    group = meter.new_group(f"wasmail-bench-probe-{os.getpid()}")
    if group:
        group.close()
    return (group or meter.Tree).kind


def print_report(results: report.Results, peers: list[Peer], loads: list[Load]) -> None:
    progress("")
    for load in loads:
        print(report.load_table(results, peers, load) + "\n")
    if results.idle:
        print(report.idle_table(results, peers) + "\n")
    print(report.aims(results, loads))
    for failure in results.failures:
        print(f"FAILED {failure}", file=sys.stderr)


def progress(text: str) -> None:
    """One line that overwrites itself on a terminal and stays out of a redirected report."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
