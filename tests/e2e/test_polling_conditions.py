"""Polling conditions, checked before commands and within every kind of wait."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(fake):
    first = """
        import time
        from datetime import timedelta
        from test_driver.polling_condition import PollingConditionError

        def until(seconds, **named):
            "A condition that holds for a time, and the times at which it was asked."
            end, asked = time.monotonic() + seconds, []
            @polling_condition(**{"interval": 0.1, "description": "still fine", **named})
            def condition():
                asked.append(time.monotonic())
                return time.monotonic() < end
            condition.asked = asked
            return condition

        machine.start()
        machine.connect()
    """
    with harness.Session(fake, first) as running:
        yield running


# ---- waits

WAITS = {
    "console": "machine.wait_for_console_text('never')",
    "console with time-out": "machine.wait_for_console_text('never', timeout=60)",
    "shutdown": "machine.wait_for_shutdown()",
    "process": "machine.process.wait()",
    "join_all": "join_all()",
    "QMP event": "machine.wait_for_qmp_event(lambda event: False)",
    "QMP client": "machine.qmp_client.wait_for_event(timeout=60)",
    "file": "machine.wait_for_file('/no')",
    "port": "machine.wait_for_open_port(1)",
    "socket": "machine.wait_for_open_unix_socket('/no')",
    "tty": "machine.wait_until_tty_matches('99', 'never')",
    "command": "machine.wait_until_succeeds('false')",
    "failing command": "machine.wait_until_fails('true')",
    "function": "retry(lambda last: False)",
    "another condition": "never.wait()",
    "key": "machine.send_key('a', delay=60)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_failing_condition_ends_the_wait(session, wait):
    session(f"""
        @polling_condition
        def never():
            return False

        began = time.monotonic()
        with until(0.5):
            text = error_of(lambda: {wait})
        assert text == "PollingConditionError: Polling condition failed: still fine", text
        assert time.monotonic() - began < 30
    """)


def test_it_is_asked_when_its_interval_has_passed(session):
    assert session("""
        condition = until(60, interval=0.5)
        with condition:
            try:
                machine.wait_for_console_text("never", timeout=2.2)
            except Exception as error:
                assert "action timed out after 2." in str(error), error
        steps = [b - a for a, b in zip(condition.asked, condition.asked[1:])]
        assert all(step >= 0.5 for step in steps), steps
        result = len(condition.asked)
    """) in (2, 3, 4, 5)  # 5 on an idle host


def test_the_interval_counts_across_waits_and_commands(session):
    assert session("""
        condition = until(60, interval=60)
        with condition:
            machine.succeed("true")
            error_of(machine.wait_for_console_text, "never", timeout=0.2)
            machine.wait_for_file("/")
            machine.succeed("true")
        result = len(condition.asked)
    """) == 1


def test_a_wait_that_is_over_at_once_is_not_in_vain(session):
    session("""
        with until(60):
            machine.succeed("echo here >&2")
            machine.wait_for_console_text("here", timeout=60)
    """)


def test_after_the_block_nobody_asks(session):
    session("""
        condition = until(60)
        with condition:
            machine.succeed("true")
        asked = len(condition.asked)
        error_of(machine.wait_for_console_text, "never", timeout=0.5)
        machine.succeed("true")
        assert len(condition.asked) == asked == 1
    """)


def test_a_condition_may_use_the_machine_that_is_waited_for(session):
    session("""
        machine.succeed("rm -f /tmp/e2e-gone; touch $TMPDIR/there; (sleep 1; rm $TMPDIR/there) > /dev/null 2>&1 &")

        @polling_condition(interval=0.1)
        def there():
            machine.succeed("test -e $TMPDIR/there")

        with there:
            text = error_of(machine.wait_for_console_text, "never")
        assert text == "PollingConditionError: Polling condition failed: there"
        assert machine.succeed("echo in step") == "in step\\n"
    """)


def test_a_condition_that_fails_while_the_text_arrives(session):
    """When the condition fails and the text arrives at the same time, the failure counts."""
    session("""
        @polling_condition(interval=0.1)
        def slow():
            machine.succeed("echo meanwhile >&2; sleep 0.3")
            return False

        with slow:
            text = error_of(machine.wait_for_console_text, "meanwhile", timeout=60)
        assert text == "PollingConditionError: Polling condition failed: slow", text
    """)


def test_in_a_flood(session):
    """A condition is checked although a flood of text keeps the wait busy all the time."""
    session("""
        serial_stdout_off()
        machine.succeed("(timeout 60 yes 'a line of a flood' >&2) > /dev/null & echo $! > flood")
        with until(1, interval=0.2):
            text = error_of(machine.wait_for_console_text, "(never|ever)+x")
        assert text == "PollingConditionError: Polling condition failed: still fine", text
        machine.succeed("kill $(cat flood)")
        error_of(machine.wait_for_console_text, "never", timeout=1)
        serial_stdout_on()
    """, seconds=200)


def test_a_condition_may_wait_itself(session):
    session("""
        @polling_condition(interval=0.2)
        def waits():
            machine.wait_for_file("/", timeout=5)
            retry(lambda last: True)

        with waits:
            assert "action timed out" in error_of(machine.wait_for_console_text, "never", timeout=1)
    """)


def test_on_another_thread(session):
    session("""
        import threading
        texts = []
        with until(0.5):
            thread = threading.Thread(target=lambda: texts.append(error_of(machine.wait_for_console_text, "never")))
            thread.start()
            thread.join()
        assert texts == ["PollingConditionError: Polling condition failed: still fine"]
    """)


def test_ctrl_c_while_it_is_asked(fake):
    """Ctrl-C interrupts a condition that takes long, and the wait does not go on."""
    with harness.Run("""
        import time
        @polling_condition(interval=0.1)
        def slow():
            print("asked", flush=True)
            time.sleep(60)
        machine.start()
        with slow:
            machine.wait_for_console_text("never")
    """, fake) as run:
        run.wait_for("^asked$")
        run.signal(2)
        assert run.finish(30).status == 130


# ---- several


def test_two_at_once(session):
    session("""
        short, long = until(0.4, description="short"), until(60, description="long")
        for conditions in (short, long), (long, short):
            short.asked.clear(), long.asked.clear()
            with conditions[0], conditions[1]:
                text = error_of(machine.wait_for_console_text, "never", timeout=60)
            assert text == "PollingConditionError: Polling condition failed: short", text
            assert short.asked and (long.asked or conditions[0] is short)
        assert driver.polling_conditions == []
    """)


def test_nested_ones_end_one_by_one(session):
    session("""
        outer, inner = until(60, description="outer"), until(0.3, description="inner")
        with outer:
            with inner:
                assert "failed: inner" in error_of(machine.wait_for_console_text, "never", timeout=60)
            asked = len(outer.asked), len(inner.asked)
            assert "action timed out" in error_of(machine.wait_for_console_text, "never", timeout=0.5)
            assert len(outer.asked) > asked[0] and len(inner.asked) == asked[1]
    """)


def test_one_that_watches_while_another_is_asked(session):
    """While one condition itself waits, the other is checked."""
    session("""
        @polling_condition(interval=0.1)
        def waits():
            retry(lambda last: False, timeout=60)

        with until(0.5, description="other"):
            with waits:
                text = error_of(machine.wait_for_console_text, "never", timeout=60)
        assert text.startswith("PollingConditionError: Polling condition failed: "), text
    """)


# ---- forms


def test_forms(session):
    session("""
        @polling_condition
        def by_name(): pass
        @polling_condition()
        def by_docstring(): "of its docstring"
        @polling_condition(description="of the argument", seconds_interval=1.5)
        def by_argument(): "not this"
        @polling_condition(interval=timedelta(milliseconds=250))
        def by_timedelta(): return True
        by_call = polling_condition(lambda: True, description="called")
        found = [(c.description, c.interval) for c in (by_name, by_docstring, by_argument, by_timedelta, by_call)]
        assert found == [("by_name", 2.0), ("of its docstring", 2.0), ("of the argument", 1.5), ("by_timedelta", 0.25),
                         ("called", 2.0)], found
        for condition in by_name, by_docstring, by_argument, by_timedelta, by_call:
            with condition:
                machine.succeed("true")
    """)


@pytest.mark.parametrize("body, holds", [("pass", True), ("return True", True), ("return 1", True), ("return False", False),
                                         ("return 0", False), ("raise ValueError('x')", False)])
def test_what_a_condition_may_return(session, body, holds):
    session(f"""
        for use in (lambda: machine.succeed("true"), lambda: retry(lambda last: last, timeout=0.2)):
            @polling_condition
            def condition():
                {body}

            def watched():
                with condition:
                    use()

            if {holds}:
                watched()
            else:
                assert error_of(watched) == "PollingConditionError: Polling condition failed: condition"
    """)


def test_waiting_for_one(session):
    session("""
        tries = 0
        @polling_condition(interval=60)
        def third_time():
            global tries
            tries += 1
            return tries >= 3
        third_time.wait()
        assert tries == 3
        for named in {"timeout": 1}, {"timeout_seconds": 1}, {"timeout": timedelta(seconds=1)}:
            text = error_of(until(0).wait, **named)
            assert text.startswith("RequestedAssertionFailed: action timed out after "), text
            assert text.endswith("(timeout=1.0)"), text
    """)


def test_monitor_commands(session):
    assert "failed: still fine" in session("""
        with until(0):
            result = error_of(machine.send_monitor_command, "info status")
    """)


def test_the_log(fake):
    result = harness.run("""
        machine.start()
        @polling_condition(interval=0.2)
        def fine():
            "all is well"
        with fine:
            try:
                machine.wait_for_console_text("never", timeout=0.5)
            except Exception:
                pass
    """, fake)
    assert "\nChecking polling condition 'all is well'\n(not called yet)\n" \
           "Polling condition succeeded: all is well\n(finished: Checking polling condition 'all is well', in " in result.log
    assert "\nTime since last: 0." in result.log


def test_a_real_guest(tiny):
    result = harness.run("""
        machine.wait_for_file("/")
        @polling_condition(interval=0.3)
        def alive():
            machine.succeed("test ! -e /tmp/dead")
        machine.succeed("(sleep 2; touch /tmp/dead) > /dev/null 2>&1 &")
        with alive:
            machine.wait_for_console_text("never")
    """, tiny, status=1)
    assert "PollingConditionError: Polling condition failed: alive" in result.log


def test_the_older_name_of_the_interval_is_warned_of(fake):
    result = harness.run("""
        import datetime
        polling_condition(interval=datetime.timedelta(seconds=3), description="new")(lambda: True)
        polling_condition(seconds_interval=3, description="old")(lambda: True)
    """, fake)
    assert result.log.count("seconds_interval is deprecated. Use interval instead.") == 1


def test_a_condition_with_a_log_of_its_own(fake):
    """PollingCondition() takes a logger in place of the driver; appending the condition to driver.polling_conditions
    puts it into force."""
    result = harness.run("""
        from test_driver.logger import CompositeLogger, TerminalLogger
        from test_driver.polling_condition import PollingCondition, PollingConditionError
        own = CompositeLogger([TerminalLogger()])
        condition = PollingCondition(lambda: fine, own, 0, "it holds")
        fine = True
        assert condition.overdue and not condition.entered and condition.logger is own and condition.seconds_interval == 0
        assert condition.check() and condition.status_message(False) == "Polling condition failed: it holds"
        assert PollingCondition(lambda: True, logger=log, seconds_interval=7, description="x").seconds_interval == 7
        driver.polling_conditions.append(condition)
        machine.succeed("true")
        fine = False
        try:
            machine.succeed("touch ran")
        except PollingConditionError as error:
            print(error)
        driver.polling_conditions.remove(condition)
        machine.succeed("test ! -e ran")
    """, fake)
    assert result.lines == ["Polling condition failed: it holds"]
    assert "Checking polling condition 'it holds'" in result.log
