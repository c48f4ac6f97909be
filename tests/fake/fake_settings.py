"""Settings of the fake machine, which are variables of its environment; run-fake-vm lists them."""

import os
from pathlib import Path


def setting(name):
    return os.environ.get(f"FAKE_{name}", "")


def changeable(name):
    """A setting that is looked at whenever it counts. A file FAKE_NAME in the state directory goes before the variable,
    so that a test can change it while the machine runs. The current directory is the state directory."""
    try:
        return Path(f"FAKE_{name}").read_text().strip()
    except FileNotFoundError:
        return setting(name)


def text(name):
    return setting(name).encode().decode("unicode_escape").encode("latin-1")


def reached(stage):
    wanted, _, status = setting("EXIT").partition(":")
    if wanted == stage:
        os._exit(int(status or 0))


class Failure(Exception):
    """What QMP answers as an error, or tells as the error of a job."""
