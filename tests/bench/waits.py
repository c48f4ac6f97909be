# How long after its condition holds does a wait return? A background job in the guest makes the condition
# true after a while and then sends a datagram, by a builtin of its shell, through QEMU's user network to
# this process. The kernel of the host notes when it came: one clock, and no thread that competes with the
# wait.
import json
import os
import random
import socket
import statistics
import struct
import time

SAMPLES = 8
SHORTEST, LONGEST = 0.3, 3.0  # until the condition holds, seconds
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
HOST = "10.0.2.2"  # the host's loopback, seen from QEMU's user network

machine = machines[0]
notices = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
notices.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
notices.settimeout(30)
notices.bind(("127.0.0.1", 0))
notify = f"echo > /dev/udp/{HOST}/{notices.getsockname()[1]}"


def noticed():
    ancillary = notices.recvmsg(16, socket.CMSG_SPACE(16))[1]
    seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2])
    return seconds + nanoseconds / 1e9


def delays():
    """Spread evenly, in random order: a wait may probe less often the longer it lasts."""
    step = (LONGEST - SHORTEST) / SAMPLES
    spread = [SHORTEST + (i + random.random()) * step for i in range(SAMPLES)]
    return random.sample(spread, SAMPLES)


def latency(delay, condition, wait):
    machine.succeed(f"(sleep {delay:.3f}; {condition}; {notify}) > /dev/null 2>&1 &")
    wait()
    returned = time.time()
    return (returned - noticed()) * 1e3


def file(i):
    path = f"/tmp/mark-{i}"
    return f": > {path}", lambda: machine.wait_for_file(path)


def port(i):
    number = 5000 + i
    listening = f"[[ $(< /proc/net/tcp) == *:{number:04X}\\ * ]]"
    return (
        f"nc -lk {number} & until {listening}; do :; done",
        lambda: machine.wait_for_open_port(number),
    )


def console(i):
    # The dot: what the driver is told to run may be on the console too, and must not match.
    return f"echo mark-{i}. > /dev/ttyS0", lambda: machine.wait_for_console_text(f"mark-{i}[.]")


machine.succeed(notify)  # the first packet waits for an address to be resolved
noticed()
results = {
    kind.__name__: statistics.median(
        latency(delay, *kind(i)) for i, delay in enumerate(delays())
    )
    for kind in (file, port, console)
}
with open(os.environ["BENCH_RESULT"], "w") as result:
    json.dump(results, result)
