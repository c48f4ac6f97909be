"""Guests that go on to another system while QEMU goes on as it was: a new root file system (switch_root), a new kernel
(kexec). The root shell begins anew, and so does the agent; the ports of the old one must not be in the way."""

import re
import subprocess
from pathlib import Path

import pytest

import harness

FIRST = r"""
def check(agent="ntd-agent"):
    assert machine.succeed("cat /proc/$PPID/comm").strip() == agent
    assert machine.succeed("seq 50000") == "".join(f"{i}\n" for i in range(1, 50001))

def go_on(command):
    '''The command's end is that of the system.'''
    text = error_of(machine.succeed, f"touch /run/old; {command}; sleep 1000")
    assert "the root shell began anew" in text, text
    machine.succeed("! test -e /run/old")
"""

# What a guest has no program for.
KEXEC = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int kernel = open(argv[1], O_RDONLY), initrd = open(argv[2], O_RDONLY);

	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], 0L) == 0)
		syscall(SYS_reboot, 0xfee1dead, 672274793, 0x45584543, NULL);
	perror("kexec");
	return 1;
}
"""


@pytest.fixture(params=["agent", "shell"])
def begin(request, tiny):
    """A function that begins a session: with the agent, or by the shell alone, which has a port of its own."""
    options = [] if request.param == "agent" else ["--no-agent"]
    parent = "ntd-agent" if request.param == "agent" else "bash"
    return lambda **named: harness.Session(tiny, FIRST.replace('"ntd-agent"', repr(parent)), options=options, **named)


def test_switch_root(begin):
    """Init ends all processes, then becomes the init of the new root."""
    with begin() as session:
        session("""
            check()
            machine.succeed("mount -t tmpfs tmpfs /new; cp -a /bin /sbin /usr /lib /lib64 /etc /init /new; "
                            "mkdir /new/dev /new/proc /new/sys /new/tmp /new/run /new/root /new/new; touch /new/second",
                            "echo ::restart:/bin/switch_root /new /init >> /etc/inittab; kill -HUP 1; sleep 0.5")
            go_on("kill -QUIT 1")
            machine.succeed("test -e /second")
            check()
        """, seconds=200)


def test_kexec(begin, tiny, tmp_path):
    """The kernel is one that decompresses itself: kexec_file_load(2) does not take the tiny guest's, which has no 64-bit
    entry (tests/guests/kernel)."""
    (tmp_path / "kexec.c").write_text(KEXEC)
    subprocess.run(["musl-gcc", "-static", "-o", tmp_path / "kexec", tmp_path / "kexec.c"], check=True)
    script = Path(tiny["machine"]).read_text()
    kernel, initrd = (re.search(rf"^{name}=(\S+)$", script, re.M)[1] for name in ("kernel", "initrd"))
    kernel = str(Path(kernel).with_name("vmlinuz"))
    with begin(env={"QEMU_OPTS": "-m 1024"}) as session:  # for two systems
        session("""
            check()
            for name, path in ("kexec", program), ("kernel", kernel), ("initrd", initrd):
                machine.copy_from_host(path, f"/run/{name}")
            boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
            go_on("/run/kexec /run/kernel /run/initrd \\"$(cat /proc/cmdline)\\"")
            assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != boot
            check()
        """, seconds=300, program=str(tmp_path / "kexec"), kernel=kernel, initrd=initrd)
