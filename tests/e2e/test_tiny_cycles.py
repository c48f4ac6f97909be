"""Starting and killing real QEMUs again and again leaves nothing behind."""

import harness


def test_fifty_cycles_of_real_machines_leave_nothing(tiny):
    harness.run(harness.PROCESSES + """
import signal, time

def descriptors():
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sorted(os.readlink(link).split(":")[0] for link in links if os.path.lexists(link))

def cycle(n):
    machine.start()
    if n % 2:
        os.kill(machine.pid, signal.SIGKILL)
        machine.wait_for_shutdown()
    else:
        machine.crash()

def now():
    deadline = time.monotonic() + 5
    while len(below(os.getpid())) > 1 and time.monotonic() < deadline:  # the keeper stays
        time.sleep(0.05)
    return descriptors(), len(below(os.getpid())), len(os.listdir("/proc/self/task"))

cycle(0)
cycle(1)
before = now()
for n in range(50):
    cycle(n)
assert now() == before, (before, now())
""", tiny, seconds=180)
