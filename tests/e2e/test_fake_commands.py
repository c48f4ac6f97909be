"""Commands on the fake machine: framing, statuses, output, threads."""

import pytest

import harness


@pytest.fixture(scope="module")
def session(fake):
    with harness.Session(fake) as running:
        yield running


def test_statuses(session):
    session("""
        for n in (0, 1, 2, 3, 42, 124, 126, 127, 128, 130, 255):
            assert machine.execute(f"exit {n}") == (n, ""), n
        assert machine.execute("no-such-program") == (127, "")
        assert machine.execute("kill -9 $$") == (137, "")
    """)
