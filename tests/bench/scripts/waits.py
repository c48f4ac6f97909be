# Measures how long after its condition holds a wait returns, in the mean. A background job in the guest makes the
# condition true after a while and sends a notice: right before, if a builtin of bash makes it true.
import random
import statistics

from measure import Notices, report

SAMPLES = 10
SHORTEST, LONGEST = 0.3, 3.0  # seconds until the condition holds

machine = machines[0]
notices = Notices(machine)
notice = notices.command


def delays():
    """Delays spread evenly, in random order, since a wait may probe less often the longer it lasts."""
    step = (LONGEST - SHORTEST) / SAMPLES
    spread = [SHORTEST + (i + random.random()) * step for i in range(SAMPLES)]
    return random.sample(spread, SAMPLES)


def latency(delay, job, wait, *arguments):
    machine.succeed(f"(sleep {delay:.3f}; {job}) > /dev/null 2>&1 &")
    wait(*arguments)
    return notices.since()


def file(i):
    return f"{notice}; : > /tmp/mark-{i}", machine.wait_for_file, f"/tmp/mark-{i}"


def port(i):
    number = 5000 + i
    listening = f"[[ $(< /proc/net/tcp) == *:{number:04X}\\ * ]]"
    job = f"nc -lk {number} & until {listening}; do :; done; {notice}"
    return job, machine.wait_for_open_port, number


def unix(i):
    path = f"/tmp/socket-{i}"
    listening = f"[[ $(< /proc/net/unix) == *{path}* ]]"
    job = f"nc -lkU {path} & until {listening}; do :; done; {notice}"
    return job, machine.wait_for_open_unix_socket, path


def console(i):
    return f"{notice}; echo mark-{i}. > /dev/ttyS0", machine.wait_for_console_text, f"mark-{i}[.]"


def mean_latency(kind):
    return statistics.mean(latency(delay, *kind(i)) for i, delay in enumerate(delays()))


report({kind.__name__: mean_latency(kind) for kind in (file, port, unix, console)})
