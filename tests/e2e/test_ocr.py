"""Text on the screen, on real QEMU: the text console of a tiny guest."""

import re
import signal
import time

import pytest

import harness

FIRST = """
import re, signal, threading, time

def show(text):
    # The cursor is hidden, since a blinking one would change the picture.
    machine.succeed("printf '\\\\033[H\\\\033[2J\\\\033[3J\\\\033[?25l' > /dev/tty1; cat > /dev/tty1 <<'END'\\n" + text + "\\nEND\\n")

def show_much():
    show("\\n".join(["The quick brown fox jumps over the lazy dog, and comes back again"] * 22))
"""


@pytest.fixture(scope="module")
def session(tiny):
    with harness.Session(tiny, FIRST) as running:
        running("machine.connect()")
        yield running


def log_of(session, code, **named):
    before = len(session.err)
    session(code, **named)
    return harness.plain(session.err[before:])


# ---- reading


def test_text_of_the_screen(session):
    session("""
        show("Welcome to the machine\\n\\nPlease enter your password")
        text = machine.get_screen_text()
        assert isinstance(text, str)
        assert "Welcome to the machine" in text and "enter your password" in text, text
        texts = machine.get_screen_text_variants()
        assert len(texts) == 3 and texts[0] == text, texts
        assert all("password" in text for text in texts), texts
        show("")
        assert machine.get_screen_text().strip() == ""
    """)


def test_threads(session):
    """Several threads that share the OCR engines each get the text."""
    session("""
        show("Welcome to the machine")
        texts = []
        threads = [threading.Thread(target=lambda: texts.append(machine.get_screen_text())) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(texts) == 4 and all("Welcome" in text for text in texts), texts
    """)


# ---- waiting


def test_text_that_is_there(session):
    log = log_of(session, """
        show("Welcome to the machine")
        assert machine.wait_for_text("Welcome to (the|a) machine") is None
        machine.wait_for_text(re.compile("WELCOME", re.I), timeout=10)
    """)
    assert "machine: waiting for Welcome to (the|a) machine to appear on screen\n" in log
    assert re.search(r"machine: text found in the raw picture of the screen, after \d+\.\d\d seconds", log)
    assert "(finished: waiting for Welcome to (the|a) machine to appear on screen, in" in log


def test_text_that_appears(session):
    session("""
        show("Please wait")
        machine.succeed("(sleep 3; echo Welcome > /dev/tty1) > /dev/null 2>&1 &")
        began = time.monotonic()
        machine.wait_for_text("Welcome", timeout=60)
        assert time.monotonic() - began > 2
    """)


def test_text_that_does_not_appear(session):
    log = log_of(session, """
        show("Please wait")
        text = error_of(machine.wait_for_text, "Welcome", timeout=3)
        assert re.match(r"RequestedAssertionFailed: action timed out after \\d+\\.\\d\\d seconds \\(timeout=3\\.0\\): ", text), text
        assert "waiting for Welcome to appear on screen" in text and "Please" in text, text
    """)
    assert re.search(r"machine: Last OCR attempt failed\. Text was: \[(['\"]).*Please.*\1, (['\"]).*\2, (['\"]).*\3\]\n", log)


def test_a_screen_that_stays_is_not_read_again(session):
    """A wait on a screen that does not change runs OCR three times at most."""
    session("""
        def work():
            times = os.times()
            return times.user + times.system

        show("\\n".join(["The quick brown fox jumps over the lazy dog"] * 5))
        before, began = work(), time.monotonic()
        machine.get_screen_text_variants()
        once, took = work() - before, time.monotonic() - began
        before = work()
        error_of(machine.wait_for_text, "never", timeout=4 * (took + 1))
        assert work() - before < 2 * once + 0.5, (work() - before, once)
    """, seconds=200)


# ---- wrong calls


def test_wrong_arguments(session):
    log = log_of(session, """
        assert error_of(machine.wait_for_text, "(").startswith("error: missing )")
        assert error_of(machine.wait_for_text, b"x").startswith("TypeError:")
        assert error_of(machine.wait_for_text, 3).startswith("TypeError:")
        assert error_of(machine.wait_for_text, "x", timeout=True).startswith("TypeError:")
        assert error_of(machine.wait_for_text).startswith("TypeError:")
        assert error_of(machine.get_screen_text, 1).startswith("TypeError:")
    """)
    assert "waiting for" not in log


# ---- ends


def test_qemu_is_killed(session):
    session("""
        show_much()
        killed = []

        def kill():
            killed.append(time.monotonic())
            os.kill(machine.pid, signal.SIGKILL)

        for call in machine.get_screen_text_variants, lambda: machine.wait_for_text("never"):
            threading.Timer(0.3, kill).start()
            text = error_of(call)
            assert time.monotonic() - killed.pop() < 1
            assert text.startswith("MachineDied: machine 'machine': QEMU process was killed by signal 9"), text
            machine.start()
            machine.connect()
            show_much()
    """, seconds=120)


def test_machine_that_does_not_run(session):
    session("""
        machine.shutdown()
        for call in machine.get_screen_text, machine.get_screen_text_variants, lambda: machine.wait_for_text("x"):
            text = error_of(call)
            assert "machine 'machine'" in text and "not running" in text, text
        machine.start()
        machine.connect()
    """)


def test_machine_without_a_screen(session):
    session("""
        machine.crash()
        os.environ["QEMU_OPTS"] = "-vga none"
        machine.start()
        for call in machine.get_screen_text, lambda: machine.wait_for_text("x"):
            text = error_of(call)
            assert text.startswith("MachineError: machine 'machine': no screenshot: "), text
        del os.environ["QEMU_OPTS"]
        machine.crash()
        machine.start()
        machine.connect()
    """)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal(tiny, number, status):
    """A signal ends the wait at once, though the OCR of 40 other threads comes first."""
    script = FIRST + """
os.environ["NIX_BUILD_CORES"] = "1"
machine.connect()
show_much()
for _ in range(40):
    threading.Thread(target=machine.get_screen_text).start()
time.sleep(0.5)
machine.wait_for_text("never")
"""
    with harness.Run(script, tiny) as run:
        run.wait_for("waiting for never to appear on screen")
        time.sleep(1)  # the time in which the picture is taken
        run.signal(number)
        assert run.finish(seconds=5).status == status


def test_thread_that_still_waits_at_the_end(tiny):
    harness.run(FIRST + """
machine.connect()
show_much()
threading.Thread(target=machine.wait_for_text, args=("never",), daemon=True).start()
time.sleep(0.5)
""", tiny)


def test_nothing_is_left_in_the_state_directory(session):
    session("""
        show("Please wait")
        error_of(machine.wait_for_text, "Welcome", timeout=1)
        assert not list(machine.state_dir.glob("*.png")), list(machine.state_dir.iterdir())
    """)


# ---- missing libraries and data


def test_without_the_library(fake, tmp_path):
    for name in "libtesseract.so.5", "libtesseract.so.4":
        (tmp_path / name).write_text("not a library")
    result = harness.run("""
        for call in machine.get_screen_text, machine.get_screen_text_variants, lambda: machine.wait_for_text("x"):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
    """, fake, env={"LD_LIBRARY_PATH": tmp_path})
    assert result.lines == ["MachineError OCR requested but `tesseract` is not available"] * 3
    assert f"no OCR: cannot load {tmp_path}/libtesseract.so.5" in result.log


def test_without_data(tiny):
    with harness.Session(tiny, env={"TESSDATA_PREFIX": "/nonexistent"}) as session:
        session("""
            machine.start()
            text = error_of(machine.get_screen_text)
            assert text.startswith("MachineError: machine 'machine': OCR requested but"), text
            assert "eng.traineddata" in text and "TESSDATA_PREFIX=/nonexistent" in text, text
        """)
