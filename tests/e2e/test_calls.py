"""Methods call each other as upstream's do: whatever a script puts in the place of one is used by the others."""

import pytest

import harness

# {what is replaced: (what it returns, what must call it)}. A machine that is connected.
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


def test_life(fake):
    """Starts and ends, with what they say."""
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
    assert result.log.count("starting vm") == 3 and result.log.count("forced crash") == 1
    assert result.log.count("waiting for the VM to finish booting\n") == 3
