"""Records of runs: metadata.json, the ledger and diagnostics, with fake machines and with real guests. test_ledger.py
has the ledger by itself."""

import os
import re
import signal
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest

import harness
from records import metadata_of, read_ledger, validator

RECORD = harness.ERROR_OF + "from test_driver import diagnostics, run_record\n"
LEDGER = "notes/vm-run-ledger.jsonl"
# A guest that does not answer delays the end of a run by a few limits of seconds; without them it would never end. The
# rest is for a busy host.
MOST_SECONDS = 180


def record(script, vms=None, *, status=0, seconds=MOST_SECONDS, env=None, **named):
    """Does a run; returns its result, the metadata of its records, and the lines of its ledger, which are the same."""
    with harness.Run(RECORD + harness.textwrap.dedent(script), vms, seconds=seconds, env=env, **named) as run:
        result = run.finish()
        if result.status != status:
            run.fail(f"exit status {result.status}, expected {status}")
        found = metadata_of(run.directory / "out")
        result.texts = [{kind: text_of(paths) for kind, paths in metadata["diagnostics"].items()} for metadata in found]
        path = run.directory / LEDGER
        lines = read_ledger(path) if path.exists() else []
        assert sorted(line["run"] for line in lines) == sorted(m["run"] for m in found if m["ledger"])
        return result, found, lines


def text_of(paths):
    """The text of a file; of several, {path: text}."""
    if isinstance(paths, str):
        return Path(paths).read_text(errors="replace")
    return {path: Path(path).read_text(errors="replace") for path in paths}


def missing(metadata):
    return dict(text.rsplit(": ", 1) if text.count(": ") == 1 else text.split(": ", 1) for text in metadata["missing"])


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# ---- times


def test_a_run_that_passes(fake):
    result, (metadata,), (line,) = record("""
        import json
        with run_record.recording(machine, build_seconds=12.5, pytest_args=["-k", "it"]) as record:
            assert json.loads((record.directory / "metadata.json").read_text())["verdict"] == "running"
            machine.start()
            machine.succeed("sleep 0.4")
            record.login()
            machine.succeed("sleep 0.3; echo one >&2")
            record.ssh("192.0.2.1", 2222)
            record.login()  # only the first counts
            record.note("mine")
            machine.wait_for_console_text("one")
        assert record.end(failed=True) is record.metadata and record.metadata["verdict"] == "passed"
    """, fake)
    assert line["metadata"] == f"{metadata['directory']}/metadata.json"
    assert metadata["verdict"] == "passed" and metadata["machine"] == "machine" and metadata["kind"] == "qemu"
    assert metadata["build_seconds"] == 12.5 and metadata["pytest_args"] == ["-k", "it"]
    assert metadata["notes"] == ["mine"] and not metadata["ceiling_exceeded"]
    assert (metadata["ssh_host"], metadata["ssh_port"]) == ("192.0.2.1", 2222)
    login, ssh, total = (metadata[f"{name}_seconds"] for name in ("boot_to_login", "boot_to_ssh", "total"))
    assert 0.4 <= login <= ssh - 0.3 and ssh <= total
    # The clock of the times of day may be set meanwhile, but hardly so.
    assert abs(moment(metadata["end"]) - moment(metadata["start"]) - total) < 1
    assert re.sub("[-:]|\\..*", "", metadata["start"]) + "Z" == metadata["run"]
    assert metadata["start_command"].startswith(fake["machine"]) and metadata["qemu_version"] is None
    assert set(metadata["diagnostics"]) == {"console", "dmesg"} and metadata["missing"] == []
    assert result.texts[0]["console"] == "connecting to host...\none\n"


def test_a_machine_that_runs_already(fake):
    """The time of the boot begins with the machine's process, not with the record."""
    _, (metadata,), _ = record("""
        machine.succeed("sleep 1")
        record = run_record.begin(machine)
        record.login()
        record.end()
    """, fake)
    assert metadata["boot_to_login_seconds"] >= 1 and metadata["boot_to_ssh_seconds"] is None


def test_a_run_that_takes_long(fake):
    result, found, lines = record("""
        run_record.CEILING_SECONDS = 100
        for build_seconds in None, 99.9:
            with run_record.recording(machine, build_seconds=build_seconds):
                machine.succeed("sleep 0.2")
    """, fake)
    for entries in found, lines:
        assert [entry["ceiling_exceeded"] for entry in entries] == [False, True]
        assert [len(entry["notes"]) for entry in entries] == [0, 1]
    assert "took 100 s, more than 100 s" in found[1]["notes"][0]


# ---- directories and the ledger


def test_directories_of_the_same_second(fakes):
    """Two machines whose records begin at the same time, on threads of their own, and many directories."""
    result, found, lines = record("""
        import threading
        from pathlib import Path
        records = [run_record.begin(one) for one in (a, b)]
        threads = [threading.Thread(target=one.end) for one in records]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        made = []
        parent = driver.tmp_dir / "new/parent"
        def make(): made.extend(run_record.make_directory(parent) for _ in range(25))
        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(set(made)) == 200 == len(list(parent.iterdir())) and all(path.is_dir() for path in made)
        seconds = {path.name.partition("-")[0] for path in made}
        assert any(f"{second}-2" in {path.name for path in made} for second in seconds)
    """, fakes("a", "b"))
    assert {metadata["machine"] for metadata in found} == {"a", "b"} and len(lines) == 2


def test_where_records_and_the_ledger_are(fake, tmp_path):
    (tmp_path / "cwd").mkdir()
    harness.run(RECORD + f"""
        os.chdir({str(tmp_path)!r} + "/cwd")
        run_record.begin(machine, directory="../runs").end()
        record = run_record.begin(machine, invocation_directory={str(tmp_path)!r} + "/invoked")
        os.environ["BOOT_IMAGE_VM_LEDGER_PATH"] = "below/own.jsonl"
        record.end()
        os.environ["BOOT_IMAGE_VM_LEDGER_PATH"] = {str(tmp_path)!r} + "/absolute.jsonl"
        run_record.begin(machine).end()
        os.environ["BOOT_IMAGE_VM_DISABLE_LEDGER"] = "1"
        assert run_record.begin(machine).end()["ledger"] is None
    """.replace("\n        ", "\n"), fake, directory=tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 1
    for path in "cwd/" + LEDGER, "invoked/below/own.jsonl", "absolute.jsonl":
        line, = read_ledger(tmp_path / path)
        assert line["ledger"] == str(tmp_path / path)
    assert len(metadata_of(tmp_path / "out")) == 3


def test_patterns_that_are_no_list(fake):
    _, _, lines = record("""
        for begin in run_record.begin, lambda *words, **named: run_record.recording(*words, **named).__enter__():
            assert "several patterns, in a list" in error_of(begin, machine, log_globs="/var/log/*")
        run_record.begin(machine, log_globs=("/var/log/*",)).end()
        assert len(list((machine.out_dir / "vm-runs").iterdir())) == 1
    """, fake)
    assert len(lines) == 1


def test_a_ledger_that_cannot_be_written(fake):
    """It is no failure of the test, but it is told."""
    result, (metadata,), _ = record("""
        open("notes", "w").close()
        run_record.begin(machine).end()
    """, fake)
    assert metadata["verdict"] == "passed" and metadata["ledger"] is None
    assert re.fullmatch(r"the ledger /\S+ cannot be written: .*", metadata["notes"][0])
    assert f"machine: {metadata['notes'][0]}\n" in result.log


def test_runs_at_the_same_time(fake, tmp_path):
    """Drivers that share a ledger."""
    script = RECORD + "for _ in range(5):\n    with run_record.recording(machine):\n        machine.start()\n"
    runs = [harness.Run(script, fake, env={"BOOT_IMAGE_VM_LEDGER_PATH": tmp_path / "ledger.jsonl"}) for _ in range(4)]
    for run in runs:
        run.__enter__()
    try:
        assert [run.finish().status for run in runs] == [0] * 4
        assert len(read_ledger(tmp_path / "ledger.jsonl")) == 20
    finally:
        for run in runs:
            run.__exit__(None, None, None)


# ---- endings


@pytest.mark.parametrize("ending, status, verdict, is_quick", [
    ("machine.succeed('false')", 1, "failed", False),
    ("raise ValueError()", 1, "failed", False),
    ("raise SystemExit(0)", 0, "passed", False),
    ("raise SystemExit('why')", 1, "failed", False),
    ("os.kill(os.getpid(), 2); machine.succeed('sleep 1000')", 130, "failed", True),
    ("os.kill(os.getpid(), 15); machine.succeed('sleep 1000')", 143, "failed", True),
], ids=["check", "exception", "exit", "exit with a reason", "SIGINT", "SIGTERM"])
def test_how_runs_end(fake, ending, status, verdict, is_quick):
    _, (metadata,), (line,) = record(f"""
        machine.start()
        machine.wait_for_console_text("connecting")
        with run_record.recording(machine):
            {ending}
    """, fake, status=status)
    assert metadata["verdict"] == line["verdict"] == verdict
    expected = {"console"} if is_quick else {"console", "dmesg"}
    assert set(metadata["diagnostics"]) == expected | ({"evidence", "units"} if verdict == "failed" and not is_quick else set())


def test_a_run_that_is_killed(fake, tmp_path):
    with harness.Run(RECORD + "record = run_record.begin(machine)\nmachine.start()\nrecord.login()\nprint('now')\n"
                     "machine.wait_for_shutdown()", fake, directory=tmp_path) as run:
        run.wait_for("^now$")
        run.signal(signal.SIGKILL)
        run.finish()
    metadata, = metadata_of(tmp_path / "out")
    assert metadata["verdict"] == "running" and metadata["boot_to_login_seconds"] > 0
    assert not (tmp_path / LEDGER).exists()


# ---- diagnostics


def test_diagnostics_of_a_failure(fake, tmp_path):
    """The fake's guest is this host, in the machine's state directory."""
    logs = tmp_path / "var/log"
    (logs / "deep/er").mkdir(parents=True)
    for name, text in ("a.log", "first\n"), ("b c'.log", "\0\xff second"), ("deep/er/c.log", "third"), ("empty.log", ""), \
            ("other", "no"):
        (logs / name).write_text(text, encoding="latin-1")
    result, (metadata,), _ = record(f"""
        with run_record.recording(machine, log_globs=["{logs}/*.log", "{logs}/deep", "/no/such", "$(touch x)*"]) as record:
            machine.succeed("echo 'on the console' >&2")
            machine.wait_for_console_text("on the console")
            machine.succeed("exit 3")
    """, fake, status=1)
    texts, directory = result.texts[0], metadata["directory"]
    assert texts["console"] == "connecting to host...\non the console\n"
    assert {path.removeprefix(f"{directory}/logs{logs}/"): text for path, text in texts["logs"].items()} == {
        "a.log": "first\n", "b c'.log": "\0\ufffd second", "deep/er/c.log": "third", "empty.log": ""}
    assert {"console.log", "qmp-status.json", "processes.txt"} <= {Path(path).name for path in texts["evidence"]}
    assert missing(metadata)["/no/such"] == missing(metadata)["$(touch x)*"] == "no file matches"
    assert metadata["verdict"] == "failed" and texts["units"]


def test_sizes_are_bounded(fake, tmp_path):
    (tmp_path / "big.log").write_bytes(b"a" * 500 + b"b" * 1000)
    (tmp_path / "big2.log").write_bytes(b"c" * 500)
    result, found, _ = record(f"""
        diagnostics.GLOB_BYTES, diagnostics.TEXT_BYTES, diagnostics.CONSOLE_BYTES = 1000, 50, 7
        machine.succeed("echo the end >&2")
        machine.wait_for_console_text("the end")
        run_record.begin(machine, log_globs=["{tmp_path}/*.log"]).end()
        diagnostics.GLOB_BYTES, diagnostics.GLOB_FILES = 5000, 1
        run_record.begin(machine, log_globs=["{tmp_path}/*.log"]).end()
    """, fake)
    for texts in result.texts:
        assert texts["console"] == "he end\n" and len(texts["dmesg"]) <= 50
    assert list(result.texts[0]["logs"].values()) == ["b" * 1000]
    assert [len(text) for text in result.texts[1]["logs"].values()] == [1500]
    assert found[1]["missing"] == [f"{tmp_path}/*.log: more than 1 files match"]
    assert "only the first 0 MiB are kept" in found[0]["missing"][0]


def test_a_guest_that_lies(fake, tmp_path):
    """The names of files come from the guest; they must not lead out of the run's directory."""
    result, (metadata,), _ = record("""
        lies = [b"/../../../../etc/passwd", b"../up", b"/", b"", b"/ok/./name", b"/ok", b"/" + b"x" * 300, b"/\\xff\\n"]
        class Liar:
            name, state_dir = machine.name, machine.state_dir
            def _was_started(self): return True
            def _console_tail(self, lines): return b"console"
            def _ask(self, command, seconds):
                return (b"".join(lie + b"\\0" for lie in lies), None, False) if "globstar" in command else (b"text", None, False)
        record = run_record.begin(machine)
        record.machine.start()
        real = diagnostics.collect
        diagnostics.collect = lambda machine, *rest: real(Liar(), *rest)
        record.log_globs.append("*")
        record.end()
    """, fake)
    kept = {path.removeprefix(metadata["directory"]) for path in result.texts[0]["logs"]}
    assert kept == {"/logs/ok/name", "/logs/\udcff\n"}
    assert len(metadata["missing"]) == 6 and not os.path.exists(f"{metadata['directory']}/../up")
    assert sum("its name cannot be used here" in text for text in metadata["missing"]) == 5


@pytest.mark.parametrize("fault, why", [
    ("os.kill(machine.pid, 9)\n    while machine.booted: pass", "the QEMU process was killed by signal 9 (Killed)"),
    ("machine.crash()", "the QEMU process "),
    ("machine.execute('kill -STOP $$', check_output=False)", "the guest does not answer"),
], ids=["killed", "crashed", "stopped"])
def test_a_guest_that_is_dead_or_hangs(fake, fault, why):
    """Its console is kept, the rest is missing with the reason, and nothing is asked twice."""
    result, (metadata,), (line,) = record(f"""
with run_record.recording(machine, log_globs=["/etc/hosts", "/etc/passwd"]):
    machine.succeed("echo last words >&2")
    machine.wait_for_console_text("last words")
    {fault}
    raise ValueError("mine")
""", fake, status=1)
    assert "ValueError: mine" in result.log
    assert "last words\n" in result.texts[0]["console"]
    assert "dmesg" not in metadata["diagnostics"] and "logs" not in metadata["diagnostics"]
    for name in "dmesg.txt", "/etc/hosts", "/etc/passwd", "units.txt":
        assert missing(metadata)[name].startswith(why), metadata["missing"]
    assert line["missing"] == metadata["missing"]


def test_a_guest_that_has_not_booted(fake):
    result, (metadata,), _ = record("""
        machine.boot_timeout = 1
        with run_record.recording(machine):
            machine.connect()
    """, fake, status=1, env={"FAKE_BANNER": "no", "FAKE_OUTPUT": "stuck here"})
    assert metadata["boot_to_login_seconds"] is None and "stuck here" in result.texts[0]["console"]
    assert "dmesg.txt" in missing(metadata)


def test_a_machine_that_was_never_started(fake):
    _, (metadata,), _ = record("run_record.begin(machine).end()", fake)
    assert metadata["diagnostics"] == {} and metadata["missing"] == ["everything: the machine was never started"]
    assert metadata["start_command"] is None and metadata["qemu_command"] is None


def test_a_state_directory_that_is_gone(fake):
    """The console is kept from the driver's memory."""
    result, _, _ = record("""
        machine.succeed("echo remembered >&2")
        machine.wait_for_console_text("remembered")
        record = run_record.begin(machine)
        os.unlink(machine.state_dir / "console.log")
        record.end()
    """, fake)
    assert result.texts[0]["console"] == "connecting to host...\nremembered\n"


def test_trouble_with_one_part(fake):
    """A failure of the diagnostics is no obstacle to the rest of the record."""
    result, (metadata,), (line,) = record("""
        machine.start()
        record = run_record.begin(machine)
        (record.directory / "console.log").mkdir()
        assert record.end()["verdict"] == "passed"
    """, fake)
    assert "IsADirectoryError" in missing(metadata)["console.log"] and "dmesg" in metadata["diagnostics"]


# ---- the schema


def test_the_schema_refuses():
    good = {"format": 1, "run": "20261129T143005Z", "directory": "/d", "machine": "m", "kind": "qemu", "verdict": "passed",
            "start": "2026-11-29T14:30:05.000Z", "end": "2026-11-29T14:30:06.000Z", "build_seconds": None,
            "boot_to_login_seconds": 1, "boot_to_ssh_seconds": None, "total_seconds": 1.0, "ceiling_seconds": 3600,
            "ceiling_exceeded": False, "notes": [], "pytest_args": [], "start_command": "", "qemu_command": ["qemu"],
            "qemu_version": "7.2.1 (Debian)", "ssh_host": None, "ssh_port": None, "diagnostics": {}, "missing": [],
            "ledger": None, "metadata": "/d/metadata.json"}
    for definition in "run", "line":
        validator(definition).validate(good)
        for key in set(good) - ({"metadata"} if definition == "run" else set()):
            with pytest.raises(jsonschema.ValidationError):
                validator(definition).validate({name: value for name, value in good.items() if name != key})
        for key, value in ("end", None), ("start", "2026-11-29 14:30:05"), ("run", "x"), ("total_seconds", -1), \
                ("verdict", "x"), ("ssh_port", 0), ("diagnostics", {"logs": []}), ("diagnostics", {"console": "relative"}):
            with pytest.raises(jsonschema.ValidationError):
                validator(definition).validate({**good, key: value})
    running = {**good, "verdict": "running", "end": None, "total_seconds": None}
    validator("run").validate(running)
    with pytest.raises(jsonschema.ValidationError):
        validator("line").validate(running)


# ---- real guests


def test_a_real_qemu(tiny):
    """The command and the version of QEMU, and the port that it forwards to the guest's port 22."""
    result, (metadata,), _ = record(f"""
        from test_driver.test_vm import create_test_vm
        with create_test_vm(image="{tiny["machine"]}", qemu_options=["-netdev", "user,id=u", "-device",
                            "virtio-net-pci,netdev=u,romfile="]) as vm:
            with run_record.recording(vm, log_globs=["/proc/version"]) as record:
                vm.succeed("true")
                record.login()
                port = vm.ssh_port
                record.ssh()
                assert record.metadata["ssh_port"] == port and record.metadata["ssh_host"] == "127.0.0.1"
                vm.execute("echo goodbye > /dev/console")
                vm.wait_for_console_text("goodbye")
                vm.succeed("false")
    """, status=1)
    texts = result.texts[0]
    assert re.match(r"\d+\.\d+\.\d+", metadata["qemu_version"])
    assert os.path.basename(metadata["qemu_command"][0]).startswith("qemu-system-") and "-qmp" in metadata["qemu_command"]
    assert 0 < metadata["boot_to_login_seconds"] <= metadata["boot_to_ssh_seconds"]
    assert "goodbye" in texts["console"] and "Linux version" in texts["dmesg"]
    assert list(texts["logs"].values())[0].startswith("Linux version")
    assert missing(metadata)["units.txt"] == "exit status 3" and "the guest has no systemctl" in texts["units"]
    assert f"{metadata['directory']}/evidence/screen.png" in texts["evidence"]


def test_a_real_qemu_that_is_stopped(tiny):
    result, (metadata,), _ = record("""
with run_record.recording(machine, log_globs=["/etc/*"]) as record:
    machine.succeed("true")
    os.kill(record.machine.pid, 19)
    raise ValueError()
""", tiny, status=1, seconds=300)
    assert "connecting to host..." in result.texts[0]["console"]
    assert missing(metadata)["dmesg.txt"] == missing(metadata)["/etc/*"] == "the guest does not answer"
    assert missing(metadata)["evidence"] == "neither the guest nor QEMU answers"


def test_a_container(guests):
    """In pytest style, and with a unit that has failed."""
    result, (metadata,), _ = record("""
def test_it(machine):
    with run_record.recording(machine, log_globs=["/etc/machine-id"]) as record:
        machine.wait_for_unit("multi-user.target")
        record.login()
        machine.succeed("systemd-run --unit=broken sh -c 'echo my reason; exit 3' || true")
        machine.wait_until_succeeds("systemctl is-failed broken.service")
        machine.wait_for_unit("broken.service")
""", containers={"machine": guests.container("machine")}, status=1, seconds=240)
    assert metadata["kind"] == "container" and metadata["qemu_version"] is metadata["qemu_command"] is None
    assert metadata["boot_to_login_seconds"] > 0
    (path, journal), = result.texts[0]["journals"].items()
    assert path.endswith("/journals/1-broken.service.txt") and "my reason" in journal and "status=3" in journal
    assert "broken.service" in result.texts[0]["units"] and len(result.texts[0]["logs"]) == 1
