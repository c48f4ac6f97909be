"""Arguments of the wrong type or value are refused by name, before a machine is started for them."""

import harness

# {method: (arguments that are accepted, {parameter: values that must be refused})}
WRONG = {
    "execute": ({"command": "true"}, {"command": (5, None, b"x"), "timeout": (True, "five", "5 m", "", "m", [])}),
    "succeed": ({}, {"timeout": (True, False, "x")}),
    "wait_until_succeeds": ({"command": "true"}, {"command": (5, None), "timeout": (True, "x")}),
    "wait_until_fails": ({"command": "true"}, {"command": (5,), "timeout": (True,)}),
    "systemctl": ({"q": "status"}, {"q": (5, None, "a\0b"), "user": (5,)}),
    "start_job": ({"jobname": "x"}, {"jobname": (5,), "user": (5, "a\0b")}),
    "wait_for_unit": ({"unit": "x"}, {"unit": (5, None, "a\0"), "user": (5,), "timeout": (True, "-5", float("nan"))}),
    "get_unit_info": ({"unit": "x"}, {"unit": (5,), "user": ([],)}),
    "get_unit_property": ({"unit": "x", "property": "y"}, {"unit": (5,), "property": (None,)}),
    "require_unit_state": ({"unit": "x"}, {"unit": (5,), "require_state": (5,)}),
    "wait_for_file": ({"filename": "/x"}, {"filename": (5, None), "timeout": (True,)}),
    "wait_for_open_port": ({"port": 80}, {"port": ("x", "8.0", "", "65536", -1, None, 1.5, True, b"80"), "addr": (5, None, []), "timeout": (False,)}),
    "wait_for_closed_port": ({"port": 80}, {"port": ("http", "-1"), "timeout": ("x",)}),
    "wait_for_open_unix_socket": ({"addr": "/x"}, {"addr": (5,), "timeout": (True,)}),
    "copy_from_host": ({"source": "/x", "target": "/y"}, {"source": (5,), "target": (None,)}),
    "copy_from_host_via_shell": ({"source": "/x", "target": "/y"}, {"source": (5,), "target": (None,)}),
    "copy_from_machine": ({"source": "/x"}, {"source": (5,), "target_dir": (5,)}),
    "wait_for_console_text": ({"regex": "x"}, {"regex": (5, None), "timeout": (True,)}),
    "wait_for_text": ({"regex": "x"}, {"regex": (5,), "timeout": (True,)}),
    "wait_for_window": ({"regexp": "x"}, {"regexp": (5,), "timeout": (True,)}),
    "wait_until_tty_matches": ({"tty": "1", "regexp": "x"}, {"tty": (None,), "regexp": (5,), "timeout": (True,)}),
    "wait_for_x": ({}, {"timeout": (True,)}),
    "send_monitor_command": ({"command": "info"}, {"command": (5, "a\0b")}),
    "send_key": ({"key": "a"}, {"key": (5,), "delay": (True, "x")}),
    "send_chars": ({"chars": "a"}, {"chars": (5, "a\0b"), "delay": (True,)}),
    "send_console": ({"chars": "a"}, {"chars": (5, b"x")}),
    "screenshot": ({"filename": "x"}, {"filename": (5, "a\0b")}),
    "forward_port": ({}, {"host_port": ("x", 65536), "guest_port": (None, "8o")}),
    "wait_for_shutdown": ({}, {"timeout": (True, "x")}),
    "sleep": ({}, {"secs": (True, "x"), "duration": (True, "x")}),
    "nested": ({"msg": "x"}, {"msg": (5,)}),
}

# Values that are no valid regular expression.
PATTERNS = {
    "wait_for_console_text": ({}, "regex"),
    "wait_for_text": ({}, "regex"),
    "wait_for_window": ({}, "regexp"),
    "wait_until_tty_matches": ({"tty": "1"}, "regexp"),
}


def test_wrong_arguments_are_named(fake):
    harness.run("""
        problems = []
        for method, (fine, wrong) in WRONG.items():
            for parameter, values in wrong.items():
                for value in values:
                    try:
                        getattr(machine, method)(**{**fine, parameter: value})
                        problems.append(f"{method}({parameter}={value!r}) was accepted")
                    except (TypeError, ValueError) as error:
                        if parameter not in str(error):
                            problems.append(f"{method}({parameter}={value!r}): {type(error).__name__}: {error}")
                    except Exception as error:
                        problems.append(f"{method}({parameter}={value!r}): {error!r}")
        for commands in (5,), ("touch ran", 5), ("touch ran", None):
            for check in machine.succeed, machine.fail:
                try:
                    check(*commands)
                    problems.append(f"{check}{commands} was accepted")
                except TypeError as error:
                    if "command" not in str(error):
                        problems.append(f"{commands}: {error}")
        assert not machine.booted, "a machine was started"
        assert not problems, "\\n".join(problems)
    """.replace("WRONG", repr(WRONG).replace("nan", "float('nan')")), fake)


def test_invalid_regular_expressions(fake):
    harness.run("""
        import re
        for method, (fine, parameter) in PATTERNS.items():
            try:
                getattr(machine, method)(**{**fine, parameter: "(x"})
            except re.error:
                continue
            raise Exception(f"{method} accepted it")
        assert not machine.booted
    """.replace("PATTERNS", repr(PATTERNS)), fake)


def test_a_nul_ends_no_text_in_silence(fake):
    r"""A NUL in an argument that would be cut there is refused; in texts for people the log shows it as \0."""
    result = harness.run(harness.ERROR_OF + r"""
machine.start()
monitor = "human-monitor-command"
for function, *arguments in (
        (machine.get_tty_text, "1\0b"), (machine.dump_tty_contents, "1\0b"), (create_machine, "run\0script"),
        (machine.wait_until_tty_matches, "1\0b", "x"), (log.set_log_level, "info\0b"),
        (machine.qmp_client.send, monitor, {"command-line": "info status\0b"})):
    print(error_of(function, *arguments))
print(error_of(machine.succeed, "printf 'a\\0b'; exit 1 # c\0d"))
print(error_of(machine.fail, "true # c\0d"))
print(error_of(machine.wait_until_succeeds, "printf 'a\\0b'; false # c\0d", 0).splitlines()[-1])
print(error_of(machine.wait_for_console_text, "never\0b", 0).split("; ")[0])
machine.log("mine\0b")
machine.qmp_client.send(monitor, {"command-line": r"info status \u0000"})
print(machine.execute("printf 'a\\0b'"))
raise ValueError("the\0end")
""", fake, status=1)
    level = r"TypeError: level must be a LogLevel, or its name: debug, info, warning or error, not 'info\x00b'"
    assert result.lines[:6] == [
        "ValueError: tty: embedded null character", "ValueError: tty: embedded null character",
        "ValueError: embedded null byte", "ValueError: tty: embedded null character", level,
        "ValueError: QMP arguments: embedded null character"]
    succeed, fail, until, console, output = result.lines[6:]
    assert succeed.endswith(r"exit 1 # c\0d` failed (exit code 1)")
    assert fail.endswith(r"command `true # c\0d` unexpectedly succeeded")
    assert until.strip() == r"a\0b" and console.endswith(r"waiting for never\0b to appear on console")
    assert output == r"(0, 'a\x00b')"
    for line in r"machine: output: a\0b", r"machine: must fail: true # c\0d", r"machine: mine\0b", \
            r"ValueError: the\0end":
        assert f"\n{line}\n" in result.log


def test_unknown_and_missing_arguments(fake):
    harness.run("""
        for call in (lambda: machine.execute("x", nosuch=1), lambda: machine.execute(), lambda: machine.start(1, 2),
                     lambda: machine.wait_for_unit(), lambda: machine.connect(5), lambda: retry(),
                     lambda: retry(5), lambda: subtest(5), lambda: create_machine()):
            try:
                call()
            except TypeError:
                continue
            raise Exception("accepted")
        assert not machine.booted
    """, fake)


# ---- durations


def test_the_warning_of_bare_numbers(fake):
    """Each method warns once, however often it is called; timedelta and None give no warning."""
    result = harness.run("""
        from datetime import timedelta
        machine.execute("true", timeout=timedelta(seconds=5))
        machine.execute("true", timeout=None)
        machine.succeed("true")
        machine.wait_for_file("/")
        retry(lambda last: True)
        print("none so far", file=__import__("sys").stderr)
        for number in 5, 5.0, 6:
            machine.execute("true", timeout=number)
        machine.succeed("true", timeout=5)
        machine.wait_until_succeeds("true", 7)
        retry(lambda last: True, timeout=5)
        machine.send_key("a", 0)
        machine.send_chars("a", delay=0.0)
    """, fake)
    before, after = result.log.split("none so far")
    text = "passing a bare int/float as a duration is deprecated. Use datetime.timedelta instead."
    assert "deprecated" not in before
    for function in "execute", "succeed", "wait_until_succeeds", "retry", "send_key", "send_chars":
        assert after.count(f"UserWarning: {function}(): {text}") == 1, function
    assert after.count(text) == 6


def test_scripts_decide_about_the_warning(fake):
    harness.run("""
        import warnings
        warnings.simplefilter("error")
        try:
            machine.execute("true", timeout=5)
        except UserWarning as warning:
            assert str(warning).startswith("execute(): passing a bare int/float")
        else:
            raise Exception("no warning")
        assert not machine.booted
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            machine.execute("true", timeout=5)
            machine.execute("true", timeout=5)
        assert [one.category for one in caught] == [UserWarning] * 2
        warnings.simplefilter("ignore")
        machine.execute("true", timeout=5)
    """, fake)


def test_the_module_of_durations():
    """Frameworks import the module for methods of their own."""
    harness.run("""
        import datetime as dt
        from test_driver.duration import Duration, as_seconds, as_timedelta

        def wait(timeout: Duration = dt.timedelta(minutes=15)) -> float:
            return as_seconds(timeout)

        assert wait() == 900 and wait(5) == 5.0 and wait(0.5) == 0.5 and as_timedelta(2) == dt.timedelta(seconds=2)
        for wrong in True, "5", None:
            try:
                as_timedelta(wrong)
            except TypeError:
                continue
            raise Exception("accepted")
    """)
