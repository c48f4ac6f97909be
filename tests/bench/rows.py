"""The rows of the table, and the measurement of one round of each."""

import functools
import json
import os
import re
import select
import signal
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, NamedTuple, Optional

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("BUILD") or HERE.parent.parent / "build").resolve()
LOGS = BUILD / "bench"

STARTS = 20  # runs of the empty script in a round
LONG_STARTS = 5  # runs of each long script in a round
REPORT_PAIRS = 7  # runs with and without a report in a round
SECONDS = 600  # time limit of a run
THREE = ("one", "two", "three")
FLOOD_LINES = 200_000
FLOOD_LINE = "flood %06d " + 86 * "x"  # 100 bytes with the newline


class Unmeasured(Exception):
    """A measurement has failed; the text says why."""


class Driver(NamedTuple):
    name: str
    command: list


class Figure(NamedTuple):
    name: str
    text: str
    limit: Optional[float] = None
    of_peer: Optional[float] = None  # limit of the ratio to the other driver
    to_beat: Optional[float] = None
    combine: Callable = statistics.median  # makes one figure of those of all rounds


class Row(NamedTuple):
    name: str
    measure: Callable  # a function that takes a Run and returns {name: figure}
    figures: list
    guests: tuple = ("bench",)
    flavour: str = "tiny"
    in_turns: bool = False  # the drivers run at the same time, and the script takes turns by Turn()
    slowness: int = 1  # divides the number of rounds
    vlan: Optional[int] = None  # on which all guests are
    on_demand: bool = False


@functools.cache
def start_script(flavour, name, node=1, vlan=None):
    make, words = ("make-container", [name]) if flavour == "container" else ("make-vm", [flavour, name])
    network = [] if vlan is None else ["--node", str(node), "--vlan", str(vlan)]
    command = [HERE.parent / "guests" / make, *network, "--out", LOGS / "vms", *words]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Unmeasured(f"{make} cannot make a {flavour} guest")
    return made.stdout.splitlines()[-1]


running = set()


def start(command, environment, log):
    """Starts a driver as the leader of a process group, so that processes that it leaves can be ended."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise Unmeasured(str(error)) from None
    running.add(process)
    return process


def wait(process):
    """Waits by a pidfd, since Popen.wait() with a time limit is up to 50 ms late."""
    end = os.pidfd_open(process.pid)
    if not select.select([end], [], [], SECONDS + 30)[0]:
        os.killpg(process.pid, signal.SIGKILL)
    os.close(end)
    running.remove(process)
    status = process.wait()
    if status != 0:
        raise Unmeasured(f"exit status {status}")


class Run(NamedTuple):
    """Runs scripts in a driver, with its run-time state and output in `directory`."""

    driver: Driver
    row: Row
    directory: Path
    variables: dict  # {name: value}, environment variables for the script

    @property
    def log(self):
        return LOGS / f"{self.row.name}-{self.driver.name}.log"

    def execute(self, script, *options, **variables):
        """Returns the seconds from start to exit."""
        path = self.directory / "script.py"
        path.write_text(script)
        guests = [start_script(self.row.flavour, name, node, self.row.vlan)
                  for node, name in enumerate(self.row.guests, 1)]
        command = [*self.driver.command, "--start-scripts", *guests, "--vlans"]
        command += [] if self.row.vlan is None else [str(self.row.vlan)]
        if self.row.flavour == "container":
            sandbox = HERE.parent / "guests" / "container" / "sandbox"
            command = [sandbox, *self.driver.command, "--container-start-scripts", *guests, "--vlans"]
        command += [*options, "--global-timeout", str(SECONDS), "-o", self.directory, path]
        with open(self.log, "wb") as log:
            began = time.perf_counter()
            wait(start(command, self.environment() | variables, log))
            return time.perf_counter() - began

    def environment(self):
        """The environment: no display, so that QEMU opens no window; measure.py for scripts; the state in
        `directory`."""
        display = ("DISPLAY", "WAYLAND_DISPLAY")
        modules = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {name: value for name, value in os.environ.items() if name not in display} | {
            "BENCH_RESULT": f"{self.directory}/result",
            "PYTHONPATH": ":".join(modules),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
        } | self.variables


class Ring:
    """A token that goes round among the drivers: the one with the token measures, the others wait. Load
    on the host then affects all drivers alike. The token is a byte in a pipe."""

    def __init__(self, count):
        self.directory = tempfile.TemporaryDirectory(prefix="ntd-bench-")
        self.paths = [f"{self.directory.name}/{i}" for i in range(count)]
        for path in self.paths:
            os.mkfifo(path)
        self.pipes = [open(path, "r+b", buffering=0) for path in self.paths]
        self.pipes[0].write(b"x")

    def place(self, i):
        return {"BENCH_TURN": self.paths[i], "BENCH_NEXT": self.paths[(i + 1) % len(self.paths)]}

    def leave(self, i):
        """Leaves the ring: the next driver gets all tokens that it may ask for."""
        self.pipes[(i + 1) % len(self.pipes)].write(4096 * b"x")


def measure_driver(row, driver, variables):
    with tempfile.TemporaryDirectory(prefix="ntd-bench-", ignore_cleanup_errors=True) as directory:
        run = Run(driver, row, Path(directory), variables)
        try:
            figures = row.measure(run)
        except Unmeasured as why:
            figures = {"failure": why}
    if "failure" in figures:
        figures["failure"] = f"{row.name}, {driver.name}: {figures['failure']}; see {run.log}"
    return figures


def measure_round(row, drivers):
    """Returns a dictionary of figures by name for each driver; its key `failure` says why figures are missing."""
    LOGS.mkdir(parents=True, exist_ok=True)
    ring = Ring(len(drivers))

    def measure(i):
        try:
            return measure_driver(row, drivers[i], ring.place(i))
        finally:
            ring.leave(i)

    with ThreadPoolExecutor(len(drivers) if row.in_turns else 1) as pool:
        try:
            return list(pool.map(measure, range(len(drivers))))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):  # not empty after an interrupt
                os.killpg(process.pid, signal.SIGKILL)


# ---- one round of a row with one driver


def script(run, **variables):
    """Runs the script with the row's name. If the script fails, the figures that it has reported before count."""
    result, failure = run.directory / "result", {}
    try:
        run.execute((HERE / "scripts" / f"{run.row.name}.py").read_text(), **variables)
    except Unmeasured as why:
        failure = {"failure": why}
    return (json.loads(result.read_text()) if result.exists() else {}) | failure


def startup(run):
    wall = statistics.median(run.execute("") for _ in range(STARTS))
    return {"wall": wall * 1e3} | script(run)


def megabyte(text):
    return text * (2**20 // len(text))


LONG = {
    "plain": megabyte("x = len('abc') * 2 + 1\n"),
    "sparse": megabyte(40 * "x = len('abc') * 2 + 1\n" + "assert x == 7, 'seven'\n"),
    "dense": "x = 7\n" + megabyte("assert x == 7, 'seven'\n"),
    "functions": "".join(f"def check_{i}(value):\n    value += 1\n    assert value == {i}\n    return value\n\n"
                         for i in range(13_000)),
}


def long_scripts(run):
    def wall(text):
        return statistics.median(run.execute(text) for _ in range(LONG_STARTS)) * 1e3

    return {name: wall(text) for name, text in LONG.items()}


def from_start(run, **variables):
    """The script measures from the start of the driver. All processes have the same clock."""
    return script(run, BENCH_BEGAN=str(time.perf_counter()), **variables)


def pytest_mode(run):
    """Measures pytest, without plugins that happen to be installed here."""
    return from_start(run, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def ssh(run):
    """Measures on a guest of its own, which the script makes from an ISO."""
    made = subprocess.run([HERE.parent / "guests" / "make-image"], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Unmeasured("make-image cannot make an ISO")
    return script(run, BENCH_ISO=made.stdout.splitlines()[-1], TEST_VM_ACCEL=os.environ.get("TEST_VM_ACCEL", "tcg"))


# Tests of a machine that is started anew before each, or brought back to a snapshot.
SUITE = '''
import pytest

@pytest.fixture(scope="session")
def prepared(bench):
    bench.succeed("echo prepared > /tmp/state")

@pytest.fixture
def fresh(bench):
    if not RESTORES:
        bench.crash()
        bench.succeed("echo prepared > /tmp/state")

@pytest.mark.parametrize("number", range(20))
def test_begins_anew(prepared, fresh, bench, number):
    assert bench.succeed("cat /tmp/state") == "prepared\\n"
    bench.succeed("echo used > /tmp/state")
'''


def suite(run):
    restored = run.execute(f"RESTORES = True\n{SUITE}", "--isolation=restore")
    return {"suite": restored / run.execute(f"RESTORES = False\n{SUITE}") * 100}


def snapshot(run):
    """Measures a guest with systemd, and three on a network; three tiny ones; one in a suite of tests; clones of one."""
    tiny = run.row._replace(flavour="tiny")
    rows = {"one": run.row, "three": run.row._replace(vlan=1, guests=THREE), "tiny": tiny._replace(vlan=1, guests=THREE)}
    figures = {}
    for prefix, row in rows.items():
        figures |= script(run._replace(row=row), BENCH_PREFIX=prefix)
    if "failure" not in figures:
        figures |= suite(run._replace(row=tiny))
        figures |= script(run._replace(row=tiny._replace(name="clones")))
    return figures


def report_cost(run):
    """Runs with a report and without one take turns. Other drivers make no such report."""
    if run.driver.name != "driver":
        return {}
    with_report = run._replace(driver=Driver("driver", [*run.driver.command, "--report", "report.html"]))
    pairs = [(script(run), script(with_report)) for _ in range(REPORT_PAIRS)]
    failures = [figures["failure"] for pair in pairs for figures in pair if "failure" in figures]
    if failures:
        return {"failure": failures[0]}
    # Processor time, since the times of two runs differ by more than a report takes. The least of many runs, since it
    # varies, too: QEMU passes the console's bytes on singly or in pieces, as the host is busy.
    seconds, used, memory = [[min(pair[i][name] for pair in pairs) for i in (0, 1)]
                             for name in ("seconds", "used", "memory")]
    return {"seconds": seconds[0], "cost": max(used[1] - used[0], 0) / seconds[0] * 100, "memory": max(memory[1] - memory[0], 0)}


def lines_lost(path):
    return FLOOD_LINES - len(set(re.findall(rb"flood (\d{6}) x{86}", path.read_bytes())))


def flood(run):
    lines, raw = run.directory / "flood", run.directory / "vm-state-noisy" / "console.log"
    lines.write_text("".join(FLOOD_LINE % i + "\n" for i in range(FLOOD_LINES)))
    figures = script(run, BENCH_FLOOD=str(lines), BENCH_LINES=str(FLOOD_LINES))
    figures["log_lost"] = lines_lost(run.log)
    if raw.exists():  # the other driver may have none
        figures["raw_lost"] = lines_lost(raw)
    return figures


# Limits are for this driver on a host with two cores and emulated guests. Numbers to
# beat are those of the NixOS test driver of mid-2024 on such a host, with the same guests.
ROWS = [
    Row(
        "startup",
        startup,
        [
            Figure("wall", "start to exit, empty script, ms", limit=40, to_beat=150),
            Figure("memory", "  peak memory of its processes, MB", limit=20, to_beat=36),
        ],
    ),
    Row(
        "long",
        long_scripts,
        [
            Figure("plain", "start to exit, a script of 1 MB, ms", of_peer=1.0),
            Figure("sparse", "  with an assertion in 41 lines", of_peer=1.0),
            Figure("dense", "  nothing but assertions", of_peer=1.0),
            Figure("functions", "  functions with an assertion each", of_peer=1.0),
        ],
    ),
    Row(
        "pytest",
        pytest_mode,
        [
            Figure("first", "pytest style: start to the first test, ms", limit=350),
            Figure("each", "  a test that does nothing, pytest included, ms", limit=5),
        ],
    ),
    Row(
        "shell",
        from_start,
        [
            Figure("shell", "start to the shell of a machine, s", of_peer=1.0),
            Figure("first", "  its first command, ms"),
        ],
    ),
    Row(
        "commands",
        script,
        [
            Figure("execute", 'execute("true"), ms', of_peer=0.35, to_beat=14.9),
            Figure("succeed", 'succeed("true"), ms', of_peer=0.33, to_beat=11.5),
        ],
        in_turns=True,
    ),
    Row(
        "threads",
        script,
        [
            Figure("commands", "3 machines, 50 commands each, in threads, s", of_peer=0.4),
            Figure("sleepers", "4 threads of `sleep 1` on one machine, s", limit=1.5),
        ],
        guests=THREE,
    ),
    Row(
        "waits",
        script,
        [
            Figure("file", "wait_for_file, ms after it is there", limit=100, of_peer=0.1, to_beat=500),
            Figure("port", "wait_for_open_port, ms after it is open", limit=100, of_peer=0.1, to_beat=500),
            Figure("unix", "wait_for_open_unix_socket, ms after it", limit=100, of_peer=0.1, to_beat=500),
            Figure("console", "wait_for_console_text, ms after it", limit=100, to_beat=500),
        ],
    ),
    Row(
        "output",
        script,
        [
            Figure("quiet", "20 MB of output: time, s", of_peer=0.5),
            Figure("lost", "  3 busy threads: bytes lost", limit=0, combine=max),
            Figure("seconds", "  time, s"),
            Figure("stopped_lost", "  driver stopped for 2 s: bytes lost", limit=0, combine=max),
        ],
    ),
    Row(
        "files",
        script,
        [
            Figure("shell", "90 kB by copy_from_host_via_shell, ms", of_peer=0.15),
            Figure("large", "50 MB by copy_from_host, ms", of_peer=0.7),
        ],
        in_turns=True,
    ),
    Row(
        "flood",
        flood,
        [
            Figure("raw_lost", "20 MB on the console: lines lost, raw file", limit=0, combine=max),
            Figure("log_lost", "  lines lost, log", limit=0, combine=max),
            Figure("idle", "  extra time of commands elsewhere, ms", limit=100),
            Figure("idle_max", "    of the slowest", limit=100),
            Figure("same", "  extra time of commands there, ms", limit=100),
            Figure("same_max", "    of the slowest", limit=100),
        ],
        guests=("idle", "noisy"),
        slowness=3,
    ),
    Row(
        "report",
        report_cost,
        [
            Figure("seconds", "150 commands and 20,000 console lines, s"),
            Figure("cost", "  with --report: more processor time, % of that", limit=3),
            Figure("memory", "  with --report: more memory, MB", limit=20),
        ],
        slowness=3,
    ),
    Row(
        "systemd",
        script,
        [
            Figure("boot", "boot of a guest with systemd, s", to_beat=25),
            Figure("execute", '  execute("true"), ms', to_beat=114),
            Figure("unit", "  wait_for_unit, ms after it is active", limit=100, of_peer=0.1, to_beat=500),
        ],
        flavour="systemd",
        on_demand=True,
    ),
    Row(
        "container",
        script,
        [
            Figure("boot", "boot of a container with systemd, s"),
            Figure("execute", '  execute("true"), ms'),
            Figure("plain", "  the same by subprocess.run() and nsenter, ms"),
        ],
        flavour="container",
        on_demand=True,
    ),
    Row(
        "snapshot",
        snapshot,
        [
            Figure("one_boot", "boot of a guest with systemd, s"),
            Figure("one_save", "  a snapshot of it, % of the boot's time", limit=5),
            Figure("one_restore", "  a restore to its first answer, %", limit=5),
            Figure("three_boot", "boot of three of them on a network, s"),
            Figure("three_save", "  a snapshot of all and the switch, %", limit=10),
            Figure("three_restore", "  a restore to the first answers of all, %", limit=10),
            Figure("tiny_boot", "boot of three tiny guests on a network, s"),
            Figure("tiny_save", "  a snapshot of all and the switch, %"),
            Figure("tiny_restore", "  a restore to the first answers of all, %"),
            Figure("suite", "20 tests, each from a snapshot, % of a boot for each", limit=25),
            Figure("clones", "10 clones, each with its first answer, s", limit=10),
            Figure("clone_memory", "  their memory, that of the machine is 1", limit=3),
        ],
        guests=("bench",),
        flavour="systemd",
        on_demand=True,
    ),
    Row(
        "ssh",
        ssh,
        [
            Figure("execute", 'over SSH: execute("true"), ms'),
            Figure("ssh", "  the same by ssh with ControlMaster, ms"),
            Figure("execute_ratio", "  ratio", limit=1.0),
            Figure("put", "  a copy of 64 MB into the guest, s"),
            Figure("scp_put", "  the same by scp, s"),
            Figure("put_ratio", "  ratio", limit=1.0),
            Figure("get", "  a copy of 64 MB out of the guest, s"),
            Figure("scp_get", "  the same by scp, s"),
            Figure("get_ratio", "  ratio", limit=1.0),
        ],
        guests=(),
        on_demand=True,
    ),
]
