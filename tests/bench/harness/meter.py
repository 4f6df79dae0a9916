"""What a server's processes have used: CPU time, all of them and those that have ended; memory, those alive.

Two ways to know the processes: a control group of the server's own (cgroup v2, needs root), or the process tree under
the one we started. Both count processes that came and went, such as Postfix's daemons: the control group by
definition, the tree because a parent that waits for a child inherits its times.
"""

import os
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Stat:
    """The fields of `/proc/<pid>/stat` that we use (proc(5)): parent, and CPU seconds with waited-for children."""

    def __init__(self, line: str):
        # The command name stands in parentheses and may itself hold spaces and parentheses: cut at the last one.
        fields = line.rpartition(")")[2].split()
        self.parent = int(fields[1])
        self.cpu_seconds = sum(map(int, fields[11:15])) / TICKS_PER_SECOND


def stat(pid: int) -> Stat | None:
    """The process's `stat`, or `None` when it has gone."""
    try:
        return Stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


class Tree:
    """The process we started and all its living descendants."""

    kind = "/proc, a tick of 1/%d s" % TICKS_PER_SECOND

    def __init__(self, root: int):
        self.root = root

    def pids(self) -> list[int]:
        """The root and its living descendants; empty when the root has gone."""
        parents = {pid: found.parent for pid in all_pids() if (found := stat(pid))}
        members = [self.root] if self.root in parents else []
        for pid in members:
            members.extend(child for child, parent in parents.items() if parent == pid)
        return members

    def cpu_seconds(self) -> float:
        """User and system time of the living members and of the dead whom they waited for."""
        return sum(found.cpu_seconds for pid in self.pids() if (found := stat(pid)))

    def close(self) -> None:
        """Nothing to remove."""


class Group:
    """A cgroup v2 of the server's own: exact to the microsecond, whatever becomes of parents and children."""

    kind = "cgroup v2, cpu.stat"

    def __init__(self, path: Path):
        self.path = path
        path.mkdir()

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def cpu_seconds(self) -> float:
        """`usage_usec`: user and system time of every process that was ever in the group."""
        for line in (self.path / "cpu.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) / 1e6
        raise OSError(f"{self.path}/cpu.stat has no usage_usec")

    def close(self) -> None:
        """Removes the group; the caller has ended its processes."""
        self.path.rmdir()


def new_group(name: str) -> Group | None:
    """A new group under our own, or `None` where we may not have one: then a `Tree` must do."""
    for mount in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if not (mount / "cgroup.controllers").exists():
            continue
        try:
            group = Group(mount / own_group().lstrip("/") / name)
            group.cpu_seconds()
            return group
        except OSError:
            return None
    return None


def own_group() -> str:
    """Our own cgroup v2 path: the line `0::` of `/proc/self/cgroup`."""
    for line in (PROC / "self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]


def status_octets(pid: int, key: str, file: str = "status") -> int:
    """A `kB` line of `/proc/<pid>/status` (`VmRSS`, `VmHWM`) or `smaps_rollup` (`Pss`), in octets; 0 once gone."""
    try:
        for line in (PROC / str(pid) / file).read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return 0


class Memory:
    """The largest sum of resident sets seen, and the proportional set at the end.

    A page that several processes share counts once for each in RSS and once in all in PSS: for one process the two
    are nearly equal, for Postfix PSS is the fair one.
    """

    def __init__(self, processes: Tree | Group):
        self.processes = processes
        self.peak_rss = 0

    def sample(self) -> None:
        """Looks once; called some ten times a second while the load runs."""
        pids = self.processes.pids()
        # A single process's high-water mark misses nothing between two samples; marks of several can't be added up,
        # because they needn't have been reached at the same time.
        key = "VmHWM" if len(pids) == 1 else "VmRSS"
        self.peak_rss = max(self.peak_rss, sum(status_octets(pid, key) for pid in pids))

    def rss(self) -> int:
        """The sum of the resident sets now, in octets."""
        return sum(status_octets(pid, "VmRSS") for pid in self.processes.pids())

    def pss(self) -> int:
        """The sum of the proportional sets now, in octets. Slow on a large process, so not for every sample."""
        return sum(status_octets(pid, "Pss", "smaps_rollup") for pid in self.processes.pids())


class Machine:
    """CPU seconds of the whole machine since it was made: tells whether others were busy beside the measurement."""

    def __init__(self):
        self.start = self.busy()

    @staticmethod
    def busy() -> float:
        """All but idle and iowait of the first line of `/proc/stat`: what a hypervisor gave to others (steal) too."""
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, (PROC / "stat").read_text().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND

    def used(self) -> float:
        return self.busy() - self.start
