"""What the README shows is what runs."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_shows_the_example_scripts():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks == [(ROOT / "tests/e2e/examples" / name).read_text() for name in ("ping.py", "ping_pytest.py")]


def test_make_demo_runs_the_example():
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server is called server" in done.stdout
    assert "subtest: the client reaches the server" in done.stderr
