"""Features of pytest that tests use: parameters, marks, classes and so on."""

import pytest
from conftest import order


def test_assertion_with_values(server):
    assert server.succeed("echo 41").strip() == "42"


@pytest.mark.parametrize("text", ["one", "two words", "три"])
def test_parameters(client, text):
    assert client.succeed(f"echo '{text}'") == f"{text}\n"


@pytest.mark.parametrize("status", [0, 7])
@pytest.mark.parametrize("word", ["a", "b"])
def test_product(client, status, word):
    assert client.execute(f"echo {word}; exit {status}") == (status, f"{word}\n")


@pytest.mark.skip(reason="not today")
def test_skipped(server):
    assert False


def test_skips_itself(server):
    if "hello" not in server.succeed("echo bye"):
        pytest.skip("the server says bye")


@pytest.mark.xfail(reason="known")
def test_expected_to_fail(server):
    server.succeed("false")


@pytest.mark.xfail(reason="was known", strict=True)
def test_passes_unexpectedly(server):
    server.succeed("true")


def test_raises(server):
    with pytest.raises(Exception, match="exit code 3"):
        server.succeed("exit 3")


@pytest.mark.usefixtures("client")
class TestClass:
    def setup_method(self):
        self.number = 1

    def test_set_up(self, class_file):
        self.number += 1
        assert self.number == 2

    def test_file(self, client, class_file):
        assert client.succeed(f"cat {class_file}") == "TestClass\n"


def test_class_is_over(client):
    client.fail("test -e class")
    assert order.count("class") == 1
