"""machine.login(): commands in a shell on the serial console. The machine is a fake one whose console is a terminal of
this host with a shell on it, and whose root shell never comes."""

import pytest

import harness

# The end of the console's input is that of the machine.
TERMINAL = """
import os, pty
pty.spawn(["bash", "--norc"], stdin_read=lambda fd: os.read(fd, 1024) or os._exit(0))
"""
START = f"""#!/bin/bash
exec 5<&0
PS1='# ' /usr/bin/python3 -c '{TERMINAL}' <&5 &
FAKE_BANNER=no exec {harness.ROOT}/tests/fake/run-fake-vm "$@" < /dev/null
"""


@pytest.fixture
def machines(tmp_path):
    """{"machine": the start script of the machine}."""
    script = tmp_path / "run-machine-vm"
    script.write_text(START)
    script.chmod(0o755)
    return {"machine": str(script)}


def test_commands_run_after_a_login(machines):
    harness.run("""
        import getpass

        machine.login(getpass.getuser())
        assert machine.succeed("echo hello") == "hello\\n"
        assert machine.execute("echo out; exit 3") == (3, "out\\n")
        assert machine.execute("sleep 1000", timeout=1)[0] == 124
        machine.wait_until_succeeds("true", timeout=60)
        machine.login(getpass.getuser())
        assert machine.succeed("echo again") == "again\\n"
    """, machines)
