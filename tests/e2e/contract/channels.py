# Other ways into a guest: the serial port, the root shell's socket, a forwarded port.
# vms: machine=tiny

import socket

machine.connect()
machine.succeed("stty -F /dev/ttyS0 -echo; (head -n 1 /dev/ttyS0 > /tmp/line) > /dev/null 2>&1 < /dev/null &")
machine.succeed("until pidof head > /dev/null; do sleep 0.05; done", timeout=60)
machine.send_console("typed on the serial port\n")
machine.wait_until_succeeds("grep -q 'serial port' /tmp/line", timeout=60)
machine.shell.send(b"touch /tmp/raw\n")
machine.wait_for_file("/tmp/raw", timeout=60)
machine.log_serial("as from its console")
#: machine # as from its console

with socket.socket() as probe:  # finds a free port
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
machine.forward_port(port, 1234)
machine.succeed("(echo hello from the guest | nc -l 1234) > /dev/null 2>&1 < /dev/null &")
machine.wait_until_succeeds("grep -q ':04D2 .* 0A ' /proc/net/tcp", timeout=60)  # 1234, listening
with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
    assert connection.recv(100) == b"hello from the guest\n"

calls = []
machine.callbacks.append(lambda: calls.append(1))
machine.succeed("true")
machine.send_monitor_command("info status")
machine.run_callbacks()
assert len(calls) >= 3, calls
