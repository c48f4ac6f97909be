"""Starting and killing real QEMUs again and again leaves nothing behind."""

import harness


def test_fifty_cycles_of_real_machines_leave_nothing(tiny):
    harness.run(harness.PROCESSES + """
import signal, time

def cycle(n):
    machine.start()
    if n % 2:
        os.kill(machine.pid, signal.SIGKILL)
        machine.wait_for_shutdown()
    else:
        machine.crash()

cycle(0)
cycle(1)
before = held_at_rest()
for n in range(50):
    cycle(n)
assert_held_again(before)
""", tiny, seconds=180)
