# Methods that run commands: results, exceptions and the log.
# vms: machine=tiny

machine.connect()
#: machine: waiting for the VM to finish booting
#: machine: starting vm
#: machine: QEMU running (pid ...)
#: machine: Guest shell says: b'Spawning backdoor root shell...\n'
#: machine: connected to guest root shell
#: machine: (connecting took S.SS seconds)
#: (finished: waiting for the VM to finish booting, in S.SS seconds)
machine.connect()
#! machine: waiting for the VM to finish booting

assert machine.execute("echo out; exit 3") == (3, "out\n")
assert machine.execute("false | true") == (1, "")
assert machine.execute("echo $unset_variable; echo no") == (1, "")
assert machine.execute("echo out", check_return=False) == (-1, "out\n")
assert machine.execute("sleep 100", timeout=1) == (124, "")
assert machine.execute("printf '\\xff'; printf 'é'") == (0, "\ufffdé")
assert machine.execute(command="echo 1", timeout=None) == (0, "1\n")

assert machine.succeed("echo one", "echo two") == "one\ntwo\n"
#: machine: must succeed: echo one
#: (finished: must succeed: echo one, in S.SS seconds)
#: machine: must succeed: echo two
#: (finished: must succeed: echo two, in S.SS seconds)
assert machine.succeed() == ""
refused(RequestedAssertionFailed, "command `echo text; exit 4` failed (exit code 4)", machine.succeed,
        "echo text; exit 4", "echo never")
#: machine: must succeed: echo text; exit 4
#: machine: output: text
#! (finished: must succeed: echo text...
#! machine: must succeed: echo never

assert machine.fail("echo a; false", "exit 2", timeout=10) == "a\n"
#: machine: must fail: echo a; false
#: (finished: must fail: echo a; false, in S.SS seconds)
#: machine: must fail: exit 2
refused(RequestedAssertionFailed, "command `true` unexpectedly succeeded", machine.fail, "true")
#: machine: must fail: true
refused(RequestedAssertionFailed, "command `sleep 100` failed (exit code 124)", machine.succeed, "sleep 100", timeout=1)

machine.succeed("echo 0 > /tmp/count")
count = "echo $(($(cat /tmp/count) + 1)) > /tmp/count; cat /tmp/count; "
assert machine.wait_until_succeeds(count + "test $(cat /tmp/count) = 2") == "2\n"
#: machine: waiting for success: echo ...; cat /tmp/count; test $(cat /tmp/count) = 2
#: (finished: waiting for success: ...
assert machine.wait_until_fails(count + "test $(cat /tmp/count) != 4", timeout=20) == "4\n"
#: machine: waiting for failure: echo ...
#: (finished: waiting for failure: ...
refused(RequestedAssertionFailed, timed_out(1), machine.wait_until_succeeds, "false", timeout=1)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_until_fails, "true", 1)

machine.sleep(1)
#: machine: must succeed: sleep 1...

machine.succeed("(sleep 0.5; touch /tmp/appears) > /dev/null 2>&1 &")
assert machine.wait_for_file("/tmp/appears") is None
#: machine: waiting for file '/tmp/appears'
#: (finished: waiting for file '/tmp/appears', in S.SS seconds)
machine.wait_for_file("/tmp/*ears")  # the shell gets the name unquoted
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_file, "/tmp/never", timeout=1)

machine.succeed("nc -lk 1234 > /dev/null 2>&1 < /dev/null & echo $! > /tmp/pid")
machine.wait_for_open_port(1234)
#: machine: waiting for TCP port 1234 on localhost
#: (finished: waiting for TCP port 1234 on localhost, in S.SS seconds)
machine.wait_for_open_port(1234, "127.0.0.1", timeout=5)
#: machine: waiting for TCP port 1234 on 127.0.0.1
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_closed_port, 1234, timeout=1)
machine.succeed("kill $(cat /tmp/pid)")
machine.wait_for_closed_port(1234)
#: machine: waiting for TCP port 1234 on localhost to be closed
#: (finished: waiting for TCP port 1234 on localhost to be closed, in S.SS seconds)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_open_port, 1234, timeout=1)

machine.succeed("nc -lkU /tmp/stream > /dev/null 2>&1 < /dev/null & nc -lkuU /tmp/datagram > /dev/null 2>&1 < /dev/null &")
machine.wait_for_open_unix_socket("/tmp/stream")
#: machine: waiting for UNIX-domain stream on '/tmp/stream'
machine.wait_for_open_unix_socket("/tmp/datagram", is_datagram=True)
#: machine: waiting for UNIX-domain datagram on '/tmp/datagram'
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_open_unix_socket, "/tmp/none", timeout=1)

machine.log("a line")
#: machine: a line
with machine.nested("a step"):
    machine.log("in it")
#: machine: a step
#: machine: in it
#: (finished: a step, in S.SS seconds)

machine.succeed("echo to the console >&2")
machine.wait_for_console_text("to the (console|moon)")
#: machine: waiting for to the (console|moon) to appear on console
#: (finished: waiting for to the (console|moon) to appear on console, in S.SS seconds)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_console_text, "never on it", timeout=1)
