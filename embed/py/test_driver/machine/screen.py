"""Pictures of the screen, for scripts that look at pixels."""

import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def managed_screenshot(machine):
    """The path of a picture of the machine's screen, in PPM format, which exists within the `with` block."""
    machine.run_callbacks()
    if machine.qmp_client is None:
        raise RuntimeError("QMP API is not ready yet, is the VM ready?")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ppm"
        machine.qmp_client.send("screendump", {"filename": str(path)})
        yield path


__all__ = ["managed_screenshot"]
