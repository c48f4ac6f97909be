"""The console, the monitor and QMP, with fake machines."""

import re

import pytest

import harness


@pytest.fixture(scope="module")
def session(fakes):
    with harness.Session(fakes("machine")) as running:
        yield running


# ---- the console


def test_console_text(session):
    session(r"""
        import threading, time
        machine.succeed("for i in 1 2 3; do echo line-$i >&2; done")
        machine.wait_for_console_text("line-1", timeout=5)
        machine.wait_for_console_text("line-[23]", timeout=5)
        machine.succeed("echo split-a >&2; echo split-b >&2")
        machine.wait_for_console_text(r"split-a(.|\n)*split-b", timeout=5)
        assert "action timed out after" in error_of(machine.wait_for_console_text, "split-a", timeout=1)
        machine.succeed(r"printf 'caf\xe9 \xff end\r\n' >&2; echo kept for later >&2")
        machine.wait_for_console_text("end", timeout=5)
        machine.wait_for_console_text("kept for later", timeout=5)

        def print_later():
            time.sleep(0.5)
            machine.succeed("echo late >&2")

        threading.Thread(target=print_later).start()
        machine.wait_for_console_text("late")
        assert machine.get_console_log().endswith("late") and "split-a\nsplit-b" in machine.get_console_log()
    """)


def test_console_flood(session):
    """Nothing of 20 MB is lost that a pipe takes as fast as it can, and commands go on."""
    session(r"""
        import time
        machine.succeed("(seq 2652000; echo end of the flood) 1>&2 &")
        slowest = 0
        while "end of the flood" not in machine.get_console_log()[-1000:]:
            began = time.monotonic()
            assert machine.execute("echo $((6 * 7))") == (0, "42\n")
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1, slowest
        flood = "".join(f"{n}\n" for n in range(1, 2652001))
        assert flood in machine.get_console_log()
        assert flood.encode() in (machine.state_dir / "console.log").read_bytes()
        machine.wait_for_console_text("end of the flood")
    """)


# ---- monitor


def test_monitor(session):
    session("""
        machine.start()
        reply = machine.send_monitor_command("info status")
        assert "VM status: running" in reply and reply.endswith("(qemu) "), reply
        assert "unknown command" in machine.send_monitor_command("frobnicate")
        for one in machines:
            one.start()
            assert one.send_monitor_command("").endswith("(qemu) ")
    """, seconds=10)


def test_a_script_may_choose_a_locale_with_commas(fake, comma_locale):
    result = harness.run("""
        import locale
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.str(1.5) == "1,5"
        assert machine.execute("sleep 30", timeout=1.5)[0] == 124
        machine.succeed("true")
        machine.sleep(0.25)
    """, fake, env=comma_locale)
    assert "sleep 0.25\n" in result.log
    assert re.search(r"^\(finished: must succeed: true, in \d\.\d\d seconds\)$", result.log, re.M)
    assert not re.search(r"\d,\d", result.log)


def test_qmp_numbers_are_exact(fake):
    harness.run("""
        machine.start()
        sent = {"u64": 2**64 - 1, "i64": -2**63, "odd": [2**53 + 1], "huge": 10**30, "float": 1.0, "small": 5e-324, "int": 1}
        reply = machine.qmp_client.send("echo", sent)
        assert repr(reply) == repr({"return": sent}), reply
        assert machine.qmp_client.send("query-status", {})["return"]["running"] is True
    """, fake)
