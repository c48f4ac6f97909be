"""A short run of torture.py, with a seed that does not change."""

import pytest

import torture


@pytest.mark.parametrize("guest, kills", [("fake", 14), ("tiny", 6)])
def test_kills(request, guest, kills):
    result = torture.run(request.getfixturevalue(guest), guest, seed="suite", kills=kills)
    print(result.out)
    assert result.status == 0, result.log[-5000:]
    assert sum(": killed" in line for line in result.lines) > kills / 2
