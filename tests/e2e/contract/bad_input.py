# Arguments of wrong types and values.
# vms: machine=tiny
# ours: a wrong argument is refused before anything is sent to the guest, and the error names it

import datetime
import socket

from test_driver.machine.qmp import QMPSession

# Wrong types are refused before the machine is started.
text, regex, duration = [3, b"x", None], [3, b"x"], [True, [1]]
wrong = {
    machine.execute: text, machine.succeed: text, machine.fail: text, machine.wait_until_succeeds: text,
    machine.wait_until_fails: text, machine.systemctl: text, machine.wait_for_unit: text, machine.get_unit_info: text,
    machine.require_unit_state: text, machine.start_job: text, machine.stop_job: text, machine.send_chars: text,
    machine.send_key: text, machine.send_monitor_command: text, machine.send_console: [3, None],
    machine.wait_for_open_port: [True, None, 1.5], machine.wait_for_closed_port: [[80], None],
    machine.wait_for_file: [3, None], machine.wait_for_open_unix_socket: [3, None], machine.screenshot: [3, None],
    machine.copy_from_machine: [3, None], machine.get_tty_text: [None, 1.5], machine.wait_for_text: regex,
    machine.wait_for_window: regex, machine.wait_for_console_text: regex, machine.sleep: [[1], True],
    machine.wait_for_shutdown: duration, machine.wait_for_x: duration, machine.forward_port: [True, None],
}
for function, arguments in wrong.items():
    for argument in arguments:
        error = raised(function, argument)
        assert isinstance(error, TypeError), (function, argument, error)
for call in [
    lambda timeout: machine.execute("true", timeout=timeout), lambda timeout: machine.succeed("true", timeout=timeout),
    lambda timeout: machine.wait_until_succeeds("true", timeout=timeout), lambda delay: machine.send_key("a", delay),
    lambda timeout: machine.wait_for_file("/", timeout=timeout), lambda timeout: machine.wait_for_unit("x", None, timeout),
    lambda timeout: machine.wait_for_text("x", timeout), lambda timeout: machine.wait_until_tty_matches("1", "x", timeout),
    lambda timeout: machine.wait_for_qmp_event(bool, timeout),
]:
    for value in duration:
        assert isinstance(raised(call, value), TypeError), (call, value)
for port in -1, 65536, "http", "80.0":
    assert isinstance(raised(machine.wait_for_open_port, port), ValueError)
for seconds in "one", "1 m", float("nan"):
    assert isinstance(raised(machine.sleep, seconds), ValueError)
for function in machine.wait_for_text, machine.wait_for_window, machine.wait_for_console_text:
    assert isinstance(raised(function, "("), re.error)
assert isinstance(raised(machine.wait_until_tty_matches, "1", "("), re.error)
assert isinstance(raised(machine.execute), TypeError) and isinstance(raised(machine.execute, "a", nonsense=1), TypeError)
assert isinstance(raised(machine.copy_from_host, "/etc/passwd"), TypeError)
assert not machine.booted
#! machine: starting vm

# Methods that need a running machine.
for function in [lambda: machine.send_monitor_command("info status"), lambda: machine.send_key("a"),
                 lambda: machine.screenshot("x"), lambda: machine.send_console("x")]:
    error = raised(function)
    assert type(error).__name__ in ("MachineError", "MachineDied") and "not running" in str(error), repr(error)
machine.log("now it starts")
#: machine: now it starts
machine.start()
error = raised(machine.screenshot, "no/such/directory")
assert type(error) is MachineError and "no/such/directory.png" in str(error), error
assert isinstance(raised(machine.qmp_client.send, "query-status", [1]), TypeError)
assert isinstance(raised(machine.qmp_client.send, 3), TypeError)
assert isinstance(raised(machine.qmp_client.wait_for_event, True), TypeError)
assert isinstance(raised(machine.wait_for_qmp_event, 3, timeout=1), TypeError)
machine.execute("true", timeout=datetime.timedelta(seconds=5))
machine.sleep(duration=datetime.timedelta(milliseconds=10))
assert machine.succeed("true", timeout=None) == machine.succeed("true", timeout=7.5) == ""

# Sockets that do not speak QMP.
path = machine.tmp_dir / "closes"
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(str(path))
    listener.listen()
    import threading
    threading.Thread(target=lambda: [listener.accept()[0].close() for _ in range(100)]).start()
    for _ in range(100):
        assert f"QMP at {path}: waiting for QEMU's greeting" in str(raised(QMPSession.from_path, path))
path.unlink()
assert "File name too long" in str(raised(QMPSession.from_path, "/" + "x" * 200))
assert isinstance(raised(QMPSession.from_path, 3), TypeError)
closed = machine.qmp_client
closed.close()
refused(ValueError, "this QMP session was closed", closed.send, "query-status")
assert machine.qmp_client is closed and "running" in machine.send_monitor_command("info status")

# A QEMU without a display.
machine.crash()
os.environ["QEMU_OPTS"] = "-vga none"
machine.start()
for function in machine.get_screen_text, lambda: machine.screenshot("x"), lambda: machine.wait_for_text("x"):
    error = raised(function)
    assert type(error) is MachineError and "no screenshot: " in str(error), error

# A machine that has ended.
machine.release()
for function in machine.connect, lambda: machine.execute("true"), lambda: machine.send_monitor_command("info status"):
    error = raised(function)
    assert "machine 'machine'" in str(error) and "released" in str(error), error
