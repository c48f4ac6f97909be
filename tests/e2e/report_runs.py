"""Runs whose pages (--report) the tests open in a browser, and of which `make report-demo` makes pictures. Each function
does a run in a directory and returns the path of the page."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "pytest"))
import harness  # noqa: E402
from pytest_harness import PytestRun  # noqa: E402

REPORT = ["--report", "report.html", "--events", "events.jsonl"]


def _run(kind, directory, status, script, vms, **named):
    with kind(script, vms, directory=directory, options=REPORT, **named) as run:
        result = run.finish()
        if result.status != status:
            run.fail(f"exit status {result.status}, expected {status}")
    return Path(directory, "out/report.html")


# ---- (a) the README's example, on real guests; the server has another name than the script says


def readme(directory, vms):
    script = (harness.ROOT / "tests/e2e/examples/ping.py").read_text()
    failing = script.replace('name == "server"', 'name == "the server"')
    failing = failing.replace('ping -c1', 'ping -c3').replace('with subtest("the server', '''\
server.screenshot("before")
server.get_screen_text()
client.wait_for_file("/proc/version")

with subtest("the server''')
    assert failing.count("the server\"") and failing != script
    return _run(harness.Run, directory, 1, failing, vms, vlans=[1], seconds=300, env={"PYTHONHASHSEED": "7"})


# ---- (b) a run of pytest with two machines, in which a test fails

PYTEST = """
import pytest


def serve(server, text):
    server.succeed(f"echo {text} > page")


def test_the_server_serves(server):
    serve(server, "hello")
    server.wait_for_file("page")
    server.execute("echo the page is there >&2")
    server.wait_for_console_text("page is")


def test_the_client_gets_the_page(server, client):
    page = client.succeed("echo 'fetching' >&2; echo goodbye")
    assert page == "hello\\n"


@pytest.mark.skip(reason="there is no second server")
def test_the_second_server(server):
    pass


def test_the_port_opens(server):
    server.wait_until_succeeds("echo no connection; test -e no-such-file", timeout=2)
"""


def pytest_run(directory, vms):
    return _run(PytestRun, directory, 1, PYTEST, vms)


# ---- (c) a driver that is killed


def killed(directory, vms):
    script = """
        import os, threading
        with subtest("prepare"):
            machine.succeed("echo ready >&2")
        threading.Timer(1.5, os.kill, (os.getpid(), 9)).start()
        machine.wait_until_succeeds("echo the job is at $((SECONDS + 12)) %; echo still working >&2; false", timeout=60)
    """
    return _run(harness.Run, directory, 137, script, vms)


# ---- (d) much of everything, by --report-from: 200,000 console lines and 10,000 steps on two machines

LINES, STEPS = 200_000, 10_000
NEEDLE = "needle: this line is there once"


def large_events(path, lines=LINES, steps=STEPS):
    """Writes events as a run of half an hour would have made them."""
    words = random.Random(1)
    units = [f"{name}-{number}.service" for name in ("network", "sshd", "postgresql", "nginx", "backup") for number in range(9)]
    count, wall = 0, "2026-01-01T00:00:00.000000Z"
    seconds = 1800 / (lines + 2.9 * steps)  # nine steps of ten are three events, the tenth is two

    with open(path, "w") as file:
        def put(**event):
            nonlocal count
            count += 1
            if event["kind"] != "nest-end":
                event = {"id": count, **event}
            json.dump({"monotonic": round(1000 + count * seconds, 6), "wall": wall, "parent": None, "thread": 1,
                       "machine": None, **event}, file)
            file.write("\n")
            return event.get("id")

        def put_step(step, machine, text, parent, took, inside=(), failed=False):
            number = put(kind="nest-begin", step=step, machine=machine, text=text, parent=parent)
            for event in inside:
                put(parent=number, machine=machine, **event)
            put(kind="nest-end", id=number, step=step, machine=machine, text=text, parent=parent, seconds=took, failed=failed)

        json.dump({"monotonic": 1000, "wall": wall, "kind": "format", "format": "nixos-test-driver-events", "version": 1}, file)
        file.write("\n")
        run = put(kind="nest-begin", step="run", text="run the VM test script")
        every = lines // steps
        for index in range(steps):
            machine = ("alpha", "beta")[index % 2]
            for line in range(every):
                text = NEEDLE if (index, line) == (steps * 3 // 4, 0) else (
                    f"[{words.randint(0, 99999):8}.{words.randint(0, 999999):06}] systemd[1]: Started {words.choice(units)} "
                    f"after {words.randint(1, 9999)} ms, \x1b[32mOK\x1b[0m")
                put(kind="serial", machine=machine, text=text)
            failed = index == steps * 3 // 4
            if index % 10:
                end = {"kind": "command-end", "text": f"systemctl status {units[index % 45]}", "status": int(failed),
                       "bytes": 300, "seconds": seconds * 2, "attributes": {"output": f"status of {index}\n"}}
                put_step("command", machine, f"must succeed: systemctl status {units[index % 45]}", run, seconds * 2, [end], failed)
            else:
                error = {"kind": "detail", "detail": "step-error", "text": "action timed out; last seen: inactive"}
                put_step("wait", machine, f"waiting for unit {units[index % 45]}", run, seconds, [error] * failed, failed)
        put(kind="detail", detail="failure", text="RequestedAssertionFailed: the unit of step 7500 failed",
            attributes={"traceback": "Traceback"})
        put(kind="nest-end", id=run, step="run", text="run the VM test script", seconds=1800, failed=True)
        put(kind="run-end", text="exit status 1", seconds=1800, failed=True)


def from_events(events, page):
    """Makes a page of events. Returns its path."""
    subprocess.run([harness.DRIVER, "--report-from", events, "--report", page], check=True, stdout=subprocess.DEVNULL)
    return Path(page)


def large(directory):
    large_events(Path(directory, "events.jsonl"))
    return from_events(Path(directory, "events.jsonl"), Path(directory, "report.html"))


# ---- few and many: a run without machines, fifty machines, and texts of ten million characters


def without_machines(directory):
    return _run(harness.Run, directory, 0, "print('no machine')", None)


def _events(path, lines):
    """Writes a file of such events: (kind, machine, text, more)."""
    head = {"monotonic": 5, "wall": "2026-01-01T00:00:00.000000Z", "kind": "format", "format": "nixos-test-driver-events", "version": 1}
    events = [{"monotonic": 5 + number / 10, "wall": "w", "kind": kind, "id": number, "parent": None, "thread": 1, "machine": machine,
               "text": text, **more} for number, (kind, machine, text, more) in enumerate(lines, 1)]
    path.write_text("".join(json.dumps(event) + "\n" for event in [head, *events]))


def fifty_machines(directory):
    lines = []
    for number in range(50):
        machine, begin = f"machine{number}", len(lines) + 1
        lines += [("nest-begin", machine, "waiting for the VM to finish booting", {"step": "boot"}), ("serial", machine, "a line", {}),
                  ("nest-end", machine, "waiting for the VM to finish booting", {"step": "boot", "seconds": 0.2, "failed": False, "id": begin})]
    lines.append(("run-end", None, "exit status 0", {"seconds": 15, "failed": False}))
    _events(Path(directory, "events.jsonl"), lines)
    return from_events(Path(directory, "events.jsonl"), Path(directory, "report.html"))


def long_texts(directory):
    long = "<b>" + "0123456789" * 1_000_000
    step = {"step": "command"}
    _events(Path(directory, "events.jsonl"), [
        ("nest-begin", "machine", f"must succeed: {long}", step), ("serial", "machine", long, {}), ("message", "machine", long, {"level": "error"}),
        ("detail", "machine", f"Error: {long}", {"detail": "step-error"} | {"parent": 1}),
        ("nest-end", "machine", f"must succeed: {long}", {**step, "id": 1, "seconds": 1, "failed": True}),
        ("detail", None, f"Error: {long}", {"detail": "failure"}), ("run-end", None, "exit status 1", {"seconds": 1, "failed": True})])
    return from_events(Path(directory, "events.jsonl"), Path(directory, "report.html"))


# ---- (e) guests that attack the page

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "</script></noscript><img src=x onerror=\"document.title='owned'\">",
    "--></pre></noscript><!-- <svg onload=alert(1)>",
    "'\"`&lt;&amp;&#60; \\u003cscript\\u003e",
    "right to left: \u202egnp.exe\u202c and \u2066isolated\u2069 and a zero\u200bwidth",
    "title: \x1b]0;owned\x07 clear: \x1b[2J\x1b[H link: \x1b]8;;http://example.org\x1b\\here\x1b]8;;\x1b\\ bell: \x07 backspace: abc\x08\x08",
    "colours: \x1b[1;31mred\x1b[0m \x1b[38;5;2mgreen\x1b[0m \x1b[38;2;1;2;3mtrue\x1b[0m \x1b[9999999m\x1b[;;;m end",
    "no UTF-8: \udcff\udc80 and U+FFFF: \uffff",
    "__proto__ constructor toString",
]


def hostile(directory, vms):
    lines = "\n".join(HOSTILE).encode("utf-8", "surrogateescape")
    Path(directory).mkdir(parents=True, exist_ok=True)
    Path(directory, "hostile").write_bytes(lines + b"\n")
    script = f"""
        path = {os.fspath(Path(directory, "hostile"))!r}
        machine.succeed(f"cat {{path}} >&2")
        print(machine.succeed(f"cat {{path}}"))
        with log.nested("<b>bold</b> \\u202e{{}} </script>"):
            for line in open(path, errors="replace"):
                machine.log(line.rstrip("\\n"))
                machine.execute("true '" + line.replace("'", "").replace("\\0", "").rstrip("\\n") + "'")
        raise Exception("<img src=x onerror=alert(1)> \\x1b[31m\\u202e failed </script>")
    """
    return _run(harness.Run, directory, 1, script, vms)
