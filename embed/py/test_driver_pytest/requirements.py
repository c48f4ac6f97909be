"""@pytest.mark.requires("kvm", "net", memory="4G"): requirements of a test on the host. `plugin` imports the module."""

import os
import re
import socket

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


# A function for each capability. It returns why the host lacks the capability, or None.


def _kvm():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be used"


def _net():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # fails without a route; connecting a UDP socket sends nothing
        except OSError as error:
            return f"there is no network: {error.strerror}"


CAPABILITIES = {"kvm": _kvm, "net": _net}


def _bytes(text):
    """The bytes of a size such as "4G". ValueError for another text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", str(text))
    if not match:
        raise ValueError(f"requires: memory={text!r} is not a size such as \"4G\"")
    return float(match[1]) * UNITS[match[2]]


def _available():
    """Bytes of memory that the host can give without swapping."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable:\s*(\d+) kB", file.read())[1]) << 10


def missing(mark):
    """Returns why the host does not meet a mark `requires`, or None if it does. ValueError for a mark with an unknown
    requirement."""
    unknown = [name for name in mark.args if name not in CAPABILITIES] + sorted(set(mark.kwargs) - {"memory"})
    if unknown:
        raise ValueError(f"requires: unknown {', '.join(map(repr, unknown))}; known are "
                         f"{', '.join(map(repr, CAPABILITIES))} and memory=\"SIZE\"")
    for name in mark.args:
        reason = CAPABILITIES[name]()
        if reason:
            return f"requires {name}: {reason}"
    wanted = mark.kwargs.get("memory")
    if wanted is not None and _available() < _bytes(wanted):
        return f"requires memory={wanted}: {_available() / (1 << 30):.1f}G are available"
    return None
