"""Tests of the harness itself: `python3 -m unittest discover -s tests/bench -t tests/bench`."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import unittest
from pathlib import Path
from unittest import mock

from harness import idle, load, measure, meter, report, rows
from harness.peers import haraka, peer
from harness.peers.wasmail import Wasmail
from harness.server import Failed, running

# The kernel tells user and system time in whole ticks, of 10 ms each: some are lost.
BURN = "import time\nwhile time.process_time() < 0.25: pass\n"


def sample(**changes) -> measure.Sample:
    """A thousand messages in two seconds, for one of CPU time."""
    fields = dict(
        messages=1000, accept_seconds=2.0, done_seconds=4.0, cpu_seconds=1.0, client_cpu_seconds=0.5,
        other_cpu_seconds=0.0, peak_rss=10 * report.MEBI, pss=5 * report.MEBI,
    )
    return measure.Sample(**{**fields, **changes})


class Meters(unittest.TestCase):
    def test_a_command_name_with_spaces_and_parentheses_does_not_shift_the_fields(self):
        fields = ["S", "7", *["0"] * 9, "100", "50", "20", "30", "0"]
        found = meter.Stat(f"42 (a) b (c)) {' '.join(fields)}\n")
        self.assertEqual(found.parent, 7)
        self.assertAlmostEqual(found.cpu_seconds, 200 / meter.TICKS_PER_SECOND)

    def test_the_tree_counts_a_child_that_has_ended(self):
        self.check_counts_ended_child(lambda pid: meter.Tree(pid))

    def test_the_group_counts_a_child_that_has_ended(self):
        group = meter.new_group(f"wasmail-bench-test-{time.monotonic_ns()}")
        if not group:
            self.skipTest("no control group of our own here")
        self.addCleanup(group.close)
        self.check_counts_ended_child(lambda _pid: group, f"echo $$ > {group.path}/cgroup.procs; ")

    def check_counts_ended_child(self, meter_of, prelude=""):
        script = f'{prelude}"{sys.executable}" -c "$0"; echo done; read -r _'
        parent = subprocess.Popen(["sh", "-c", script, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with parent:
            self.assertEqual(parent.stdout.readline(), b"done\n")
            processes = meter_of(parent.pid)
            self.assertEqual(processes.pids(), [parent.pid], "the child has gone")
            self.assertGreaterEqual(processes.cpu_seconds(), 0.2)
            parent.communicate(b"\n")

    def test_memory_that_was_given_back_still_counts_as_peak(self):
        code = "block = bytearray(64 << 20); del block; print('done', flush=True); input()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            child.stdout.readline()
            memory = meter.Memory(meter.Tree(child.pid))
            memory.sample()
            self.assertGreater(memory.peak_rss, 64 << 20)
            self.assertLess(memory.rss(), 64 << 20)
            child.communicate(b"\n")


class Servers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.work = Path(scratch.name)

    def test_a_server_that_dies_at_start_is_reported_with_its_last_words(self):
        with self.assertRaisesRegex(Failed, "status 3(?s:.*)no such setting"):
            with running(Script("import sys; print('no such setting'); sys.exit(3)"), self.work):
                self.fail("it never greeted")

    def test_a_server_that_accepts_foreign_mail_is_not_measured(self):
        with running(rows.select(["smtp-sink"])[0], self.work) as server:
            server.peer = Script("")  # Claims to refuse relaying; smtp-sink refuses nothing.
            with self.assertRaisesRegex(Failed, "foreign domain should be refused"):
                measure.prove(server)

    def test_nothing_of_a_server_outlives_its_measurement(self):
        with running(rows.select(["smtp-sink"])[0], self.work) as server:
            pids = server.processes.pids()
            self.assertTrue(pids)
        self.assertEqual([pid for pid in pids if meter.stat(pid)], [])
        self.assertEqual(list(self.work.iterdir()), [])

    def test_a_refused_message_fails_the_load(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=refuse_once, args=(listener,), daemon=True).start()
            with self.assertRaisesRegex(Failed, "554"):
                load.send(load.Load("1 KB", 1024, sessions=1), listener.getsockname()[1], 1)


class Script(peer.Peer):
    """A server of a few lines of Python, to see the harness cope."""

    name = "script"

    def __init__(self, code: str):
        self.code = code

    def prepare(self, home, port):
        return [sys.executable, "-c", self.code], {}


def refuse_once(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client, contextlib.suppress(ConnectionError):
        client.sendall(b"554 5.7.1 no mail here\r\n")
        client.recv(512)


class Templates(unittest.TestCase):
    def test_every_row_names_the_durability_of_its_250(self):
        for row in rows.ROWS:
            self.assertRegex(row.durability, "^(none|page cache|synced)", row.name)

    def test_no_placeholder_is_left_in_a_prepared_configuration(self):
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "smtp.ini"
            peer.fill(haraka.SOURCE / "config/smtp.ini", target, PORT=2525)
            self.assertIn("listen=127.0.0.1:2525", target.read_text())
            with self.assertRaisesRegex(ValueError, "PORT"):
                peer.fill(haraka.SOURCE / "config/smtp.ini", target)

    def test_every_wasmail_row_prepares_a_configuration_that_is_toml(self):
        for row in (row for row in rows.ROWS if isinstance(row, Wasmail)):
            with tempfile.TemporaryDirectory() as scratch, mock.patch.dict("os.environ", WASMAIL_BIN="/bin/true"):
                command, _ = row.prepare(Path(scratch), 2525)
                config = tomllib.loads(Path(command[-1]).read_text())
            self.assertEqual(len(config["plugin"]), 8 if row.plugins else 0, row.name)
            self.assertEqual(config["spool"]["sync"], row.durability.startswith("synced"), row.name)

    def test_the_lock_file_names_no_registry(self):
        self.assertNotIn('"resolved"', (haraka.SOURCE / "package-lock.json").read_text())


class Idle(unittest.TestCase):
    def test_a_reply_is_complete_with_its_last_line(self):
        self.assertFalse(idle.complete(b"250-mx.example.test\r\n"))
        self.assertFalse(idle.complete(b"250-mx.example.test\r\n250 SIZE"))
        self.assertTrue(idle.complete(b"250-mx.example.test\r\n250 SIZE\r\n"))
        self.assertTrue(idle.complete(b"220 mx.example.test\r\n"))

    def test_a_refused_connection_does_not_count_as_idle(self):
        with self.assertRaisesRegex(Failed, "421 too many"):
            idle.Dialogue().hear(b"421 too many\r\n")


class Report(unittest.TestCase):
    def setUp(self):
        self.load = load.Load("1 KB", 1024, 20)
        self.results = report.Results()

    def put(self, row: str, *samples: measure.Sample):
        self.results.samples[(row, self.load)] = list(samples)

    def test_the_median_ignores_the_one_round_that_was_disturbed(self):
        self.put("smtp-sink", sample(), sample(cpu_seconds=9.0), sample())
        self.assertEqual(self.results.median("smtp-sink", self.load).cpu_micros, 1000)

    def test_ratios_are_taken_against_floor_rival_and_durable_rival(self):
        self.put("smtp-sink", sample(cpu_seconds=0.5))
        self.put("haraka-8", sample(cpu_seconds=6.0))
        self.put("postfix", sample(accept_seconds=4.0))
        self.assertEqual(report.ratios(self.results, self.load, sample()), ["2.00", "6.00", "2.00"])

    def test_a_missing_rival_leaves_a_dash(self):
        self.assertEqual(report.ratios(self.results, self.load, sample()), ["—", "—", "—"])

    def test_an_aim_that_is_missed_says_so(self):
        self.put("haraka-8", sample(cpu_seconds=4.9))
        self.put("wasmail-8", sample())
        [line] = report.load_aims(self.results, self.load)
        self.assertIn("| 4.90 | > 5 | **missed** |", line)

    def test_a_busy_machine_is_called_busy(self):
        self.put("smtp-sink", sample(other_cpu_seconds=3.0))
        self.assertIn("busy", "".join(report.busy_note(self.results, self.load)))
        self.put("smtp-sink", sample())
        self.assertEqual(report.busy_note(self.results, self.load), [])

    def test_fewer_idle_connections_are_held_to_their_share_of_the_aim(self):
        self.results.idle["wasmail-8"] = idle.Idle(1000, 0, 40 * report.MEBI, 0)
        self.assertIn("| 40.00 | < 30 | **missed** |", report.aims(self.results, []))


if __name__ == "__main__":
    unittest.main()
