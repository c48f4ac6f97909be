"""Pictures of the screen for scripts that look at pixels. embed/machine imports this module for the first
`machine._managed_screenshot()`, which upstream's scripts call in spite of its name."""

import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def managed_screenshot(machine):
    """A context manager that takes a picture of the machine's screen; its value is the Path of the picture, a PPM file
    that exists within the `with` block. RuntimeError if the machine has no QMP session, QMPAPIError if QEMU refuses."""
    machine.run_callbacks()
    if machine.qmp_client is None:
        raise RuntimeError("QMP API is not ready yet, is the VM ready?")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ppm"
        machine.qmp_client.send("screendump", {"filename": str(path)})
        yield path


__all__ = ["managed_screenshot"]
