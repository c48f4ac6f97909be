"""What the parts of the torture script have in common; they are one text when the driver runs them."""

import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import threading
import time
import traceback
from pathlib import Path

SETTINGS = json.loads(os.environ["TORTURE"])
SECONDS = 5  # in which an operation must end after a kill, on a host that is not slow
HANG = 120  # seconds after which nobody waits for an operation any more
EXPECTED = {"fake": 0.5, "tiny": 2}[SETTINGS["guest"]]  # seconds from a new root shell to a command by the agent

SHELL_PLACES = "/run", "/dev/shm", "/tmp", "/root"  # where the agent's program is put

# What an operation may raise; the victim's name is the key.
NO_AGENT = r"the agent in the guest (has )?ended|has no agent"
ERRORS = {"agent": NO_AGENT, "shell": r"the root shell began anew|" + NO_AGENT,
          "qemu": r"killed by signal 9|exited with code 137"}


class Fault(Exception):
    """Something is not as it must be."""


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def slowness():
    return max(1, os.getloadavg()[0] / os.cpu_count(), baseline / EXPECTED)


