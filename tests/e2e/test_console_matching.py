"""wait_for_console_text(): what matches, which lines a match uses up, and the error when nothing matches."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(fake):
    first = r"""
        import time
        from test_driver.console_search import SPAN, ConsoleSearch

        def show(text):
            "On the console, as it is. (The machine is of this host.)"
            open(f"{machine.state_dir}/text", "w", newline="").write(text)
            machine.succeed("cat text >&2")

        def start_afresh():
            "All that is on the console is used up, and no line has begun."
            show("\nafresh\n")
            machine.wait_for_console_text("afresh", timeout=60)

        def later(text, seconds=0.5):
            open(f"{machine.state_dir}/later", "w", newline="").write(text)
            machine.succeed(f"(sleep {seconds}; cat later >&2) > /dev/null &")

        def waits(regex, timeout=30):
            machine.wait_for_console_text(regex, timeout=timeout)

        machine.start()
        machine.connect()
    """
    with harness.Session(fake, first) as running:
        yield running


# ---- matches

LINE = "[    2.948528] scsi host0: ahci"


@pytest.mark.parametrize("text, regex", [
    ("a line\n", "a line"),
    ("a line\n", "^a line$"),
    ("before\na line\nafter\n", "^a line$"),
    ("before\r\na line\r\n", "line$"),
    ("one\ntwo\n", "onetwo"),
    ("one\ntwo\nthree\n", r"one(.|\n)*three"),
    ("one\n\n\ntwo\n", "onetwo"),
    ("one\ntwo", "onetwo"),
    ("Login: ", "Login: $"),
    ("Login: ", "^Login: "),
    ("[    2.900000] first\nLogin: ", "firstLogin"),
    ("käse\n", "k.se"),
    ("A LINE\n", "(?i)a line"),
    ("a line\n", ".*line"),
    ("a line\n", ".*?line"),
    (f"pass{LINE}\nphrase:\n", "passphrase:"),
    (f"Please enter pas{LINE}\nsphrase: ", "Please enter passphrase: $"),
    (f"Please enter pas{LINE}\n{LINE}\n{LINE}\nsphrase\n", "enter passphrase"),
    (f"Pl{LINE}\nease enter pas{LINE}\nsphrase", "Please enter passphrase"),
    ("Please enter pas[    2.948528] sphrase\n", "enter passphrase"),
    ("[    1.000000] systemd[1]: Rea[12345.000001] ched target\n", r"systemd\[1\]: Reached"),
    (f"pass{LINE}\nphrase:\n", "ahciphrase"),
    (f"pass{LINE}\nphrase:\n", "host0: ahci"),
])
def test_what_matches(session, text, regex):
    session("start_afresh(); show(text); waits(regex)", text=text, regex=regex)
    session("start_afresh(); later(text); waits(regex)", text=text, regex=regex)


@pytest.mark.parametrize("text, regex", [
    ("one\ntwo\n", "one\ntwo"),
    ("one\n", "^two"),
    (f"{LINE}\n", "host1"),
    (f"pass{LINE}\n phrase\n", "passphrase"),
    ("Login: root\n", "Login: $"),
])
def test_what_does_not(session, text, regex):
    session("""
        start_afresh()
        show(text)
        assert "action timed out after" in error_of(waits, regex, 0.5)
    """, text=text, regex=regex)


def test_a_text_in_pieces(session):
    """The pieces end within a word and within a character, with pauses shorter and longer than those after which an
    unfinished line counts as a prompt."""
    session(r"""
        start_afresh()
        machine.succeed("(for part in 'Wel' 'co' 'm\\303' '\\244 ho' 'me\\n'; do printf \"$part\" >&2; sleep 0.05; done) > /dev/null &")
        waits("^Welcomä home$")
        machine.succeed("(for part in 'Wel' 'co' 'm\\303' '\\244 ho' 'me'; do printf \"$part\" >&2; sleep 0.4; done) > /dev/null &")
        waits("Welcomä home")
    """)


def test_an_unfinished_line_does_not_match_early(session):
    """While a line is being written, `$` does not match at its present end. Where a busy host keeps the writer from
    writing for long, the line counts as unfinished, and nothing can be said."""
    session(r"""
        for _ in range(20):
            start_afresh()
            machine.succeed("(for i in $(seq 60); do printf x >&2; echo $EPOCHREALTIME; sleep 0.01; done > times; echo >&2; echo end >&2) > /dev/null &")
            waits("^(x{1,9}|x{60})$")
            whole = "\n" + 60 * "x" in machine.get_console_log()
            waits("^end$")
            times = [float(line) for line in open(f"{machine.state_dir}/times")]
            steady = max(after - before for before, after in zip(times, times[1:])) < 0.05
            assert whole or not steady
            if steady:
                break
        assert steady
    """)


def test_compiled_patterns_and_wrong_ones(session):
    session("""
        import re
        start_afresh()
        show("A line\\n")
        waits(re.compile("a LINE", re.IGNORECASE))
        assert error_of(waits, "(").startswith("error: ") or error_of(waits, "(").startswith("PatternError: ")
        assert error_of(waits, b"x").startswith("TypeError: ")
        assert error_of(waits, 5).startswith("TypeError: ")
        assert error_of(machine.wait_for_console_text, "x", timeout=True).startswith("TypeError: ")
    """)


# ---- lines that a match uses up


def test_a_match_uses_up_its_line_and_all_before(session):
    session("""
        start_afresh()
        show("one\\ntwo\\nthree\\ntwo again\\n")
        waits("tw")
        assert "action timed out" in error_of(waits, "one", 0.3)
        start_afresh()
        show("one\\ntwo\\nthree\\ntwo again\\n")
        waits("^two$")
        waits("two")
        show("a\\nb\\nc\\nd\\n")
        waits("ab")
        waits("c")
        waits("d")
    """)


def test_text_from_before_the_call_counts_if_it_is_unused(session):
    session("""
        start_afresh()
        show("kept for later\\nand more\\n")
        machine.succeed("true")
        waits("kept")
        waits("and")
    """)


def test_a_prompt_uses_up_its_line_so_far(session):
    session("""
        start_afresh()
        show("login: ")
        waits("login: $")
        assert "action timed out" in error_of(waits, "login", 0.3)
        show("root\\nlogin: \\n")
        waits("^ ?root")
        waits("^login:")
    """)


def test_a_prompt_that_is_not_it_is_seen_again_when_it_is_whole(session):
    session("""
        start_afresh()
        show("login: ")
        assert "action timed out" in error_of(waits, "login: root", 0.5)
        show("root\\n")
        waits("login: root")
    """)


def test_the_log_of_the_console_has_what_matched(session):
    session("""
        start_afresh()
        later("unfinished prompt> ", 0)
        waits("prompt>")
        assert machine.get_console_log().endswith("\\nunfinished prompt> ")
        show("\\n")
        waits("")
        assert machine.get_console_log().endswith("\\nunfinished prompt>")
    """)


# ---- the error when nothing matches


def test_near_misses(session):
    text = session("""
        start_afresh()
        show("Booting\\nKindly type your secr[ 2.94] et word now\\nno passport\\n" + "x\\n" * 30)
        result = error_of(waits, "Kindly type your secret word", 0.3)
    """)
    start, _, report = text.partition("; last seen: ")
    assert start.startswith("RequestedAssertionFailed: action timed out after ")
    assert start.endswith("(timeout=0.3): machine 'machine': waiting for Kindly type your secret word to appear on console")
    assert report == "nearest lines of the console:\n    Kindly type your secr[ 2.94] et word now\n" \
                     "last lines of the console:" + "\n    x" * 10


def test_text_that_is_used_up_is_told(session):
    text = session("""
        start_afresh()
        show("Reached target Basic\\n")
        waits("Basic")
        result = error_of(waits, "Reached target Basic", 0.3)
    """)
    assert "\n    Reached target Basic  (used up by an earlier wait)\n" in text


def test_the_nearest_come_first_and_a_prompt_is_among_the_last(session):
    text = session("""
        start_afresh()
        show("".join(f"server {n} is starting\\n" for n in range(9)) + "server 5 has started\\nprompt> ")
        result = error_of(waits, r"^server \\d+ has starte[dt]\\.$", 0.5)
    """)
    near, _, last = text.partition("nearest lines of the console:\n")[2].partition("\nlast lines of the console:\n")
    assert len(near.splitlines()) == 3 and near.splitlines()[-1] == "    server 5 has started"
    assert last.splitlines()[-1].strip() == "prompt>"


def test_nothing_near(session):
    text = session("""
        start_afresh()
        result = error_of(waits, "[a-z]{7}", 0.3) + error_of(waits, "quite something else", 0.3)
    """)
    assert "nearest" not in text and text.count("last lines of the console:\n") == 2


def test_a_silent_console(fake):
    """The error shows all that a machine printed that does not boot."""
    result = harness.run("""
        machine.start()
        machine.wait_for_console_text("connecting")
        try:
            machine.wait_for_console_text("never", timeout=0.2)
        except Exception as error:
            print(error)
    """, fake)
    assert result.lines[-2:] == [result.lines[0], "    connecting to host..."]
    assert result.lines[0].endswith("to appear on console; last seen: last lines of the console:")


# ---- floods


def test_a_flood_while_waiting(session):
    """Nothing of 20 MB is lost; the wait finds the last line, which uses up all lines before."""
    session("""
        start_afresh()
        serial_stdout_off()
        machine.succeed("(sleep 0.3; seq -f 'line %.0f of a flood that has broken the dam of the console' 300000 >&2;"
                        " echo dammed >&2) > /dev/null &")
        waits("^dammed$", 300)
        serial_stdout_on()
        assert "\\nline 299999 of a flood" in machine.get_console_log()
        assert "action timed out" in error_of(waits, "flood", 0.2)
    """, seconds=400)


def test_a_flood_without_end_does_not_keep_a_wait(session):
    """A wait also ends in time when text arrives faster than it can be searched."""
    session("""
        start_afresh()
        serial_stdout_off()
        machine.succeed("(timeout 60 yes 'a line of a flood' >&2) > /dev/null & echo $! > flood")
        began = time.monotonic()
        assert "(timeout=2.0)" in error_of(waits, "(never|ever|mind)+x", 2)
        assert time.monotonic() - began < 40
        machine.succeed("kill $(cat flood)")
        machine.wait_for_console_text("", timeout=0)
        serial_stdout_on()
    """, seconds=200)


def test_what_is_there_counts_without_time(session):
    session("""
        start_afresh()
        serial_stdout_off()
        machine.succeed("seq 200000 >&2; echo it is there >&2")
        while not machine.get_console_log().endswith("\\nit is there"):
            time.sleep(0.01)  # the last line may still be on its way
        waits("^it is there$", 0)
        serial_stdout_on()
    """)


def test_searching_stays_linear(session):
    """Each character is searched a few times, in whatever large pieces the text arrives. The test counts characters and
    measures no time."""
    session("""
        class Counting:
            pattern, searched = "never", 0
            def search(self, text, *span):
                self.searched += len(text)

        for lines, times in ((4000, 8), (400, 80)):
            search = ConsoleSearch("never")
            search.pattern = counting = Counting()
            piece = "a line of some length, as they are\\n" * lines
            for _ in range(64):
                assert search.add(piece) == 0
            assert counting.searched <= times * 64 * len(piece), counting.searched / len(piece) / 64
    """)


def test_a_match_may_span_what_is_kept(session):
    """A match may begin in earlier lines as far back as SPAN characters, and no farther."""
    session("""
        for lines, used in ((SPAN // 100 - 2, 1), (SPAN // 100 + 2, 0)):
            search = ConsoleSearch("begin(?:x*)end")
            assert search.add("begin\\n") == 0
            for _ in range(lines):
                assert search.add("x" * 100 + "\\n") == 0
            assert search.add("end\\n") == used
    """)


# ---- consoles of real guests


def test_a_real_console(tiny):
    result = harness.run(r"""
        machine.start()
        machine.wait_for_console_text("connecting to host")
        machine.succeed("printf 'Please enter pas' > /dev/ttyS0; echo 'a message of the kernel' > /dev/kmsg;"
                        " printf 'sphrase: ' > /dev/ttyS0")
        machine.wait_for_console_text("Please enter passphrase: $", timeout=60)
        machine.succeed("echo > /dev/ttyS0; (sleep 1; echo late > /dev/ttyS0) > /dev/null 2>&1 &")
        machine.wait_for_console_text("^late$", timeout=60)
        try:
            machine.wait_for_console_text("enter passphrase", timeout=0.5)
        except Exception as error:
            print(str(error).count("Please enter pas"))
    """, tiny)
    assert int(result.lines[0]) >= 1
