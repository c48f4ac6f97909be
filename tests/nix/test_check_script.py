"""nix/check-script.py, which finds errors in a script before anything is built."""

import os
import subprocess
import textwrap

import pytest
import toolchain

CHECKER = toolchain.ROOT / "nix/check-script.py"


@pytest.fixture(scope="module")
def symbols(tmp_path_factory):
    directory = tmp_path_factory.mktemp("symbols")
    toolchain.run(toolchain.ROOT / "build/generate-driver-symbols", cwd=directory)
    return directory / "driver-symbols"


@pytest.fixture
def check(symbols, tmp_path):
    def run(text, *options, name="test-script"):
        files = text if isinstance(text, dict) else {name: text}
        for file, content in files.items():
            (tmp_path / "script" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "script" / file).write_bytes(content if isinstance(content, bytes) else
                                                     textwrap.dedent(content).encode())
        path = tmp_path / "script" if isinstance(text, dict) else tmp_path / "script" / name
        done = subprocess.run(
            ["/usr/bin/python3", CHECKER, "--symbols", symbols, "--vm=client", "--vm=server", "--vlan=1", *options,
             path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "MYPYPATH": str(toolchain.ROOT / "embed/py")})
        assert done.returncode in (0, 1), done.stdout
        lines = done.stdout.splitlines()
        assert bool(lines) == bool(done.returncode), done.stdout
        assert not lines or lines[-1] == "See the options skipLint and skipTypeCheck of the test."
        return lines[:-1]
    return run


def test_a_script_of_every_name_is_right(check, symbols):
    names = symbols.read_text().split(",")
    assert check("for name in (" + ", ".join([*names, "client", "server", "vlan1"]) + "):\n    print(name)\n") == []


def test_machines_are_what_the_stubs_say(check):
    assert check("""
        start_all()
        with subtest("a"):
            out: str = client.succeed("true", timeout=3)
            machines[0].send_key(out)
        vlan1.nr + 1
        t.assertEqual(out, "")

        @polling_condition
        def condition():
            return True

        retry(lambda last: True)
        debug.breakpoint()
        os.getcwd()
    """) == []


def test_syntax(check):
    found = check("start_all()\n\ndef f(:\n    pass\n")
    assert found == ["test-script:3:7: SyntaxError: invalid syntax", "    def f(:"]


def test_a_nul_byte(check):
    assert check(b"a = 1\0\n")[0].startswith("test-script:1:")


def test_names(check):
    assert check("start_all()\nif True:\n    sever.succeed('true')\n") == [
        "test-script:3:5: undefined name 'sever'", "    sever.succeed('true')"]


def test_types(check):
    found = check('client.foo()\nclient.succeed(3)\nserver.wait_for_unit("a", timeout=[])\n')
    assert [line.split(": ")[0] for line in found[::2]] == ["test-script:1:1", "test-script:2:16", "test-script:3:35"]
    assert found[1::2] == ["    client.foo()", "    client.succeed(3)", '    server.wait_for_unit("a", timeout=[])']
    assert 'has no attribute "foo"' in found[0]


def test_containers_are_what_the_stubs_say(check):
    script = """
        start_all()
        box.wait_for_unit("multi-user.target", timeout=3)
        out: str = box.succeed("true")
        for machine in machines:
            machine.fail(out)
        machines_nspawn[0].shutdown()
    """
    assert check(script, "--container=box") == []
    assert check(script)[0].endswith("undefined name 'box'")


def test_containers_are_no_virtual_machines(check):
    found = check('box.send_key("a")\nclient.send_key("a")\n', "--container=box")
    assert found[0].startswith('test-script:1:1: "NspawnMachine" has no attribute "send_key"') and len(found) == 2
    # The methods that all machines have depend on the kinds of machines of the test.
    script = 'for machine in machines:\n    machine.send_key("a")\n'
    assert check(script) == []
    assert 'Item "NspawnMachine" of' in check(script, "--container=box")[0]


def test_imports_from_the_future(check):
    assert check('"""About."""\nfrom __future__ import annotations\n\nclient.succeed("true")\n') == []
    assert check('"""About."""\nfrom __future__ import annotations\n\nclient.foo()\n')[0].startswith("test-script:4:1:")


def test_what_is_skipped(check):
    assert check("client.foo()\n", "--skip-type-check") == []
    assert check("import re\nclient.succeed('true')\n", "--skip-lint") == []
    assert check("import re\n", "--skip-type-check") == ["test-script:1:1: 're' imported but unused", "    import re"]
    assert check("(\n", "--skip-type-check", "--skip-lint") != []


def test_a_directory(check):
    files = {
        "conftest.py": "import pytest\n\n\n@pytest.fixture\ndef page() -> str:\n    return 'a'\n",
        "helper.py": "def number() -> int:\n    return 1\n",
        "test_a.py": "from helper import number\n\n\ndef test_a(client, page):\n    assert client.succeed(page)\n    number()\n",
    }
    assert check(files) == []
    files["sub/test_b.py"] = "from helper import number\n\n\ndef test_b() -> None:\n    server.succeed(number())\n"
    found = check(files)
    assert found[0].startswith("sub/test_b.py:5:") and found[1] == "    server.succeed(number())"


def test_each_kind_is_reported_whole(check):
    assert len(check("a\nb\nc\n")) == 6
