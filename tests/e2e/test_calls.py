"""Methods call each other as upstream's do: if a script replaces a method, the other methods call the replacement."""

import ast
import re

import pytest

import harness

# {replaced method: (its return value, calls that must use it)}, for a connected machine.
CALLS = {
    "execute": ('(0, "No jobs ActiveState=active")', [
        "succeed('true')", "wait_until_succeeds('true')", "wait_for_file('/x')", "wait_for_open_port(80)",
        "wait_for_open_unix_socket('/x')", "wait_for_x()", "systemctl('x')", "start_job('x')", "stop_job('x')", "sleep(0)",
        "get_unit_info('x')", "get_tty_text('1')", "dump_tty_contents('1')", "get_window_names()",
        "wait_for_window('No')", "copy_from_host('/etc/hostname', '/x')", "copy_from_host_via_shell('/etc/hostname', '/x')",
        "wait_until_tty_matches('1', 'jobs')"]),
    "_execute": ('(0, "out")', ["execute('true')", "succeed('true')", "systemctl('x')"]),
    "systemctl": ('(0, "ActiveState=active\\n")', [
        "start_job('x')", "stop_job('x')", "get_unit_info('x')", "get_unit_property('x', 'ActiveState')",
        "require_unit_state('x')", "wait_for_unit('x')", "wait_for_job('x')"]),
    "get_unit_property": ('"active"', ["wait_for_unit('x')", "wait_for_job('x')"]),
    "get_unit_info": ('{"ActiveState": "active"}', ["require_unit_state('x')"]),
    "wait_for_unit": ("None", ["wait_for_job('x')"]),
    "succeed": ('"a window\\n"', [
        "sleep(1)", "get_window_names()", "wait_for_window('a w')", "copy_from_host('/etc/hostname', '/x')",
        "copy_from_host_via_shell('/etc/hostname', '/x')"]),
    "get_window_names": ('["One", "Two"]', ["wait_for_window('Tw')"]),
    "get_tty_text": ('"some text"', ["wait_until_tty_matches('1', 'me te')"]),
    "get_screen_text_variants": ('["some text"]', ["wait_for_text('me te')"]),
    "copy_from_machine": ("None", ["copy_from_vm('/x')"]),
    "connect": ("None", ["execute('true')", "succeed('true')", "wait_for_file('/')"]),
    "run_callbacks": ("None", ["execute('true')", "succeed('true')", "send_monitor_command('info status')", "block()"]),
    "nested": ("__import__('contextlib').nullcontext()", [
        "succeed('true')", "fail('false')", "wait_until_succeeds('true')", "wait_until_fails('false')", "wait_for_file('/')",
        "wait_for_closed_port(1)", "send_key('a')", "send_chars('a')"]),
    "send_monitor_command": ('""', ["send_key('a')", "send_chars('a')", "block()", "unblock()", "forward_port(1, 2)"]),
    "wait_for_monitor_prompt": ('""', ["send_monitor_command('info status')"]),
    "send_key": ("None", ["send_chars('a')"]),
    "release": ("None", ["__exit__(None, None, None)"]),
}
PAIRS = [(callee, caller) for callee, (_, callers) in CALLS.items() for caller in callers]
RUN = """
    from unittest.mock import patch
    machine.connect()
    problems = []
    for callee, (value, callers) in CALLS.items():
        for caller in callers:
            with REPLACED as mock:
                try:
                    eval("machine." + caller)
                except Exception as error:
                    problems.append(f"{caller} with another {callee}: {error!r}")
                if not mock.called:
                    problems.append(f"{caller} does not call {callee}")
            machine.connect()
    assert not problems, "\\n".join(problems)
""".replace("CALLS", repr(CALLS))


@pytest.mark.parametrize("replaced", ["patch.object(machine, callee, return_value=eval(value))",
                                      "patch.object(QemuMachine, callee, return_value=eval(value))"])
def test_who_calls_whom(fake, replaced):
    harness.run(RUN.replace("REPLACED", replaced), fake)


def test_nothing_is_called_in_python_while_nothing_is_replaced(fake):
    harness.run("""
        import sys

        class Special(QemuMachine):
            def more(self):
                return self.succeed("true")

        special = Special(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "special")
        special.note = 5
        for one in machine, special:
            one.wait_for_file("/")
            one.send_chars("a")
        special.more()
        assert "test_driver.machine.overridden" not in sys.modules
    """, fake)


def test_life(fake):
    """Methods that start and end a machine, and their lines in the log."""
    result = harness.run("""
        from unittest.mock import patch

        def spy(name):
            return patch.object(machine, name, wraps=getattr(machine, name))

        def said(log):
            return [call.args[0] for call in log.call_args_list]

        with spy("start") as start, spy("log") as log, spy("nested") as nested, spy("connect") as connect:
            machine.succeed("true")
        assert start.called and connect.called and said(nested)[1:] == ["waiting for the VM to finish booting"], said(nested)
        assert said(log)[:3] == ["starting vm", f"QEMU running (pid {machine.pid})", "connected to guest root shell"], said(log)

        with spy("send_monitor_command") as command, spy("wait_for_shutdown") as wait, spy("log") as log:
            machine.crash()
        command.assert_called_once_with("quit")
        assert wait.called and said(log) == ["forced crash"] and not machine.booted

        with spy("run_callbacks"):
            machine.start()
            machine.crash()
        with spy("connect") as connect, spy("start") as start:
            machine.start()
            machine.execute("true")
        assert connect.called and start.call_count == 2
        with spy("nested") as nested:
            machine.shutdown()
        assert said(nested) == ["waiting for the VM to power off"]
        with patch.object(machine, "wait_for_shutdown") as wait:
            machine.start()
            machine.connect()
            machine.shutdown()
        assert wait.called
        machine.wait_for_shutdown()
        assert not machine.booted

        with spy("log") as log:
            machine.cleanup_statedir()
        assert said(log)[0] == f"deleting machine state directory {machine.state_dir}"
    """, fake)
    assert result.log.count("starting vm") == 4 and result.log.count("forced crash") == 2
    assert result.log.count("waiting for the VM to finish booting\n") == 3


def test_the_log(fake):
    """Machines call the methods of their log, which a script may replace, too."""
    result = harness.run(harness.ERROR_OF + """
from unittest.mock import patch
machine.connect()

def said(mock):
    return [(call.args[0], call.args[1:]) for call in mock.call_args_list]

with patch.object(log, "log") as lines, patch.object(log, "nested", wraps=log.nested) as steps:
    assert "exit code 1" in str(error_of(machine.succeed, "echo out; exit 1"))
    machine.log("by the machine")
    start_all()
here = {"machine": "machine"},
assert said(lines) == [("output: out\\n", here), ("by the machine", here)], said(lines)
assert said(steps) == [("must succeed: echo out; exit 1", here), ("start all VMs", ())], said(steps)
with patch.object(type(log), "log_serial") as serial, patch.object(log, "subtest", wraps=log.subtest) as part:
    machine.log_serial("line")
    with subtest("title"):
        pass
serial.assert_called_once_with("line", "machine")
part.assert_called_once_with("title")
""", fake)
    assert "by the machine" not in result.log and "must succeed: echo out" in result.log


FORMS = {
    "subclass": "Other = type('Other', (QemuMachine,), {'execute': execute}); one = made(Other)",
    "base class": "QemuMachine.__base__.execute = execute; one = made(QemuMachine)",
    "slot": "Other = type('Other', (QemuMachine,), {'__slots__': 'execute'}); one = made(Other)\n"
            "one.execute = functools.partial(execute, one)",
    "property": "Other = type('Other', (QemuMachine,), {'execute': property(lambda self: functools.partial(execute, self))})\n"
                "one = made(Other)",
    "__getattribute__": "Other = type('Other', (QemuMachine,), {'__getattribute__': lambda self, name: functools.partial(execute, self)"
                        " if name == 'execute' else QemuMachine.__getattribute__(self, name)}); one = made(Other)",
    "bound method": "one = made(QemuMachine); one.execute = types.MethodType(execute, one)",
    "wrapper": "one = made(QemuMachine); own = one.execute\n"
               "one.execute = functools.wraps(own)(lambda *args, **named: execute(one, *args, **named))",
    "copy": "one = copy.copy(made(QemuMachine)); one.execute = types.MethodType(execute, one)",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_replacing(fake, form):
    """The replacement gets upstream's arguments, and may call the method that it replaces."""
    harness.run("""
import copy, functools, types
calls, original = [], QemuMachine.execute

def made(kind):
    return kind(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "one")

def execute(self, *args, **named):
    calls.append((args, named))
    return original(self, *args, **named)

FORM
assert one.succeed("echo a", timeout=5) == "a\\n" and one.systemctl("is-active 'x'", "root")[0] != 0
one.wait_for_file("/")
one.wait_until_fails("false", timeout=7)
user = "su -l root --shell /bin/sh -c $'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user is-active \\\\'x\\\\''"
assert calls == [(("echo a",), {"timeout": 5}), ((user,), {}), (("test -e /",), {}), (("false",), {"timeout": 7})], calls
""".replace("FORM", FORMS[form]), fake)


def test_what_is_ours_stays_in_c(fake):
    """Methods run in C as long as nothing is replaced, and again once mocks have been removed."""
    harness.run("""
        import sys
        from unittest.mock import patch

        def calls_in_python():
            return "test_driver.machine.overridden" in sys.modules

        class Other(QemuMachine):
            def more(self):
                return self.succeed("true")

        other = Other(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "other")
        machine.mine, machine.callbacks = 1, [lambda: None]
        for one in machine, other:
            one.wait_for_file("/")
            one.succeed("true")
            one.send_chars("a")
        other.more()
        with patch.object(machine, "screenshot"), patch.object(QemuMachine, "get_tty_text"):
            machine.succeed("true")
        assert not calls_in_python()
        with patch.object(machine, "execute", return_value=(0, "mocked")):
            assert machine.succeed("true") == "mocked"
        assert calls_in_python()
        del sys.modules["test_driver.machine.overridden"]
        own, machine.execute = machine.execute, None
        machine.execute = own  # as pytest's monkeypatch does
        assert machine.succeed("echo a") == "a\\n" and not calls_in_python()
    """, fake)


def test_the_driver(fake, fakes):
    result = harness.run("""
        from unittest.mock import patch
        one, two = machines
        with patch.object(one, "start", wraps=one.start) as start, patch.object(two, "log", wraps=two.log) as lines:
            start_all()
        start.assert_called_once_with()
        assert [call.args[0] for call in lines.call_args_list] == ["starting vm", f"QEMU running (pid {two.pid})"]
        with patch.object(one, "wait_for_shutdown") as wait:
            two.crash()
            join_all()
        wait.assert_called_once_with()
        with patch.object(driver, "test_script") as script, patch.object(one, "is_up", return_value=True), \\
                patch.object(one, "execute") as execute:
            driver.run_tests()
        script.assert_called_once_with()
        execute.assert_called_once_with("sync")
        own = one.release
        one.release = lambda: print("released") or own()
    """, fakes("one", "two"))
    assert result.lines == ["released"] and result.log.count("starting vm") == 2


def test_copies_and_pictures(fake, tmp_path):
    """Replacements get the commands that copy files and take pictures, and their results are used."""
    harness.run("""
import subprocess
from pathlib import Path
from unittest.mock import patch
machine.connect()
directory = Path(DIRECTORY)
(directory / "source").write_text("text")

def on_host(*commands):
    text = "; ".join(commands).replace("/tmp/shared", str(machine.shared_dir))
    return subprocess.check_output(text, shell=True, text=True)

with patch.object(machine, "succeed", side_effect=on_host) as succeed:
    machine.copy_from_host(directory / "source", directory / "a/target")
    machine.copy_from_machine(directory / "source", "b")
    machine.copy_from_host_via_shell(directory / "source", directory / "c")
assert [len(call.args) for call in succeed.call_args_list] == [1, 1, 1, 1, 1, 2]
for copied in directory / "a/target", machine.out_dir / "b/source":
    assert copied.read_text() == "text"

def dump(line):
    words = line.split()
    assert words[0] == "screendump"
    Path(words[1]).write_bytes(b"P6\\n2 1\\n255\\n" + bytes([255, 0, 0, 0, 255, 0]))
    return ""

with patch.object(machine, "send_monitor_command", side_effect=dump):
    machine.screenshot("shot")
    with machine._managed_screenshot() as picture:
        assert picture.read_bytes().startswith(b"P6")
png = (machine.out_dir / "shot.png").read_bytes()
assert png.startswith(b"\\x89PNG") and png.endswith(b"IEND\\xae\\x42\\x60\\x82")
""".replace("DIRECTORY", repr(str(tmp_path))), fake)


def test_the_signatures_are_known_to_mocks(fake):
    harness.run(harness.ERROR_OF + """
import inspect
from unittest.mock import create_autospec, patch
from test_driver.machine import NspawnMachine
for kind in QemuMachine, NspawnMachine, type(driver), type(log):
    for name, method in inspect.getmembers(kind, callable):
        if not name.startswith("__"):
            assert "self" in inspect.signature(method).parameters or name == "machine_name_from_start_command", name
mock = create_autospec(machine)
mock.succeed.return_value = "mocked"
assert isinstance(mock, QemuMachine) and mock.succeed("a", "b", timeout=5) == "mocked"
for wrong in [lambda: mock.succeed("a", nonsense=1), lambda: mock.wait_for_unit(), lambda: mock.shutdown(1), lambda: mock.log(),
              lambda: mock.wait_for_open_port(1, "a", 2, 3)]:
    assert error_of(wrong).startswith("TypeError")
for target in machine, QemuMachine:
    with patch.object(target, "succeed", autospec=True):
        machine.succeed("a")
        assert error_of(machine.succeed, "a", nonsense=1).startswith("TypeError")
""", fake)


def test_the_table_is_what_the_methods_in_python_do():
    source = (harness.ROOT / "embed/machine/calls.c").read_text()
    rows = {caller: set(re.findall(r'"([\w.]+)"', callees))
            for caller, callees in re.findall(r'\{"([\w.]+)",\s*\{([^}]*)\}\}', source)}
    tree = ast.parse((harness.ROOT / "embed/py/test_driver/machine/overridden.py").read_text())
    calls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "_Calls")
    helpers = {"_until": {"nested"}, "_until_status": {"nested", "execute"}}
    done = {}
    for method in calls.body:
        if isinstance(method, ast.FunctionDef):
            names = {ast.unparse(node).removeprefix("self.") for node in ast.walk(method) if isinstance(node, ast.Attribute)
                     and ast.unparse(node).startswith("self.")}
            names |= {callee for node in ast.walk(method) if isinstance(node, ast.Attribute)
                      for callee in helpers.get(node.attr, ())}
            done[method.name] = names & rows.keys()
    for name in helpers:
        done.pop(name)
    assert {name: callees for name, callees in rows.items() if callees} == done


def test_units_by_replaced_commands(fake):
    """The replacement's answer decides; an answer without the state counts as no answer."""
    harness.run(harness.ERROR_OF + """
from unittest.mock import patch

def error_with(*states, jobs="No jobs running."):
    answers = iter(states)
    def systemctl(query, user=None):
        if "list-jobs" in query:
            return 0, jobs
        state = next(answers)
        return (0, f"ActiveState={state}\\n") if state else (0, "")
    with patch.object(machine, "systemctl", side_effect=systemctl):
        return error_of(machine.wait_for_unit, "x", timeout=1) if states[-1] != "active" else machine.wait_for_unit("x")

assert error_with("", "activating", "active") is None
assert error_with("inactive", "active", "active") is None
assert error_with("inactive", "inactive") == 'RequestedAssertionFailed: unit "x" is inactive and there are no pending jobs'
assert error_with("failed") == 'RequestedAssertionFailed: unit "x" reached state "failed"'
assert 'produced invalid output' in error_with("", "", "", "", "")
text = error_with("activating", "activating", "activating", "activating")
assert "action timed out after" in text and "machine 'machine': waiting for unit x" in text, text
assert not machine.booted
""", fake)
