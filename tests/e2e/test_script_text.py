"""The text of a script is UTF-8: a coding cookie, a byte order mark and CRLF change nothing, and a NUL is an error."""

import codecs

import pytest

import harness

COOKIES = ["", "# -*- coding: latin-1 -*-\n", "#!/usr/bin/python3\n# vim: set fileencoding=utf-16 :\n"]
CHECK = "print(len('é☃'), ascii('é☃'))\n"
SHOWN = r"2 '\xe9\u2603'"


def run(tmp_path, script, name="script", **named):
    """Does a run of a script, given as bytes. The file has no suffix, as with Nix."""
    path = tmp_path / name
    path.write_bytes(script)
    return harness.run("", options=["--script", path, *named.pop("options", [])], **named)


@pytest.mark.parametrize("assertion", ["", "assert '☃' in 'é☃'\n"])
@pytest.mark.parametrize("cookie", COOKIES)
def test_a_coding_cookie_says_nothing(tmp_path, cookie, assertion):
    assert run(tmp_path, (cookie + assertion + CHECK).encode()).lines == [SHOWN]


@pytest.mark.parametrize("name", ["script", "test_it.py"])
@pytest.mark.parametrize("cookie", COOKIES)
def test_a_coding_cookie_says_nothing_in_pytest_style(tmp_path, cookie, name):
    (tmp_path / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef beside(): return 'beside'\n")
    beside = "def test_beside(beside): print(beside)\n" if name.endswith(".py") else ""
    script = f"{cookie}{beside}def test_text():\n    {CHECK}"
    result = run(tmp_path, script.encode(), name, options=["--", "-s"])
    assert SHOWN in result.out and ("beside\n" in result.out or not beside)
    assert f"{name if beside else 'test_script.py'}::test_text" in result.out


@pytest.mark.parametrize("assertion", ["", "assert True\n"])
@pytest.mark.parametrize("style", ["{}", "def test_text():\n    {}"])
def test_a_byte_order_mark_and_crlf_say_nothing(tmp_path, style, assertion):
    text = assertion + style.format(CHECK) + "    # \n"
    script = codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode()
    result = run(tmp_path, script, options=["--mode", "pytest", "--", "-s"] if "def" in style else [])
    assert SHOWN in result.out


def test_crlf_in_a_string_is_a_newline(tmp_path):
    assert run(tmp_path, b"print(ascii('''a\r\nb'''))\r\nassert True\r\n").lines == [r"'a\nb'"]


@pytest.mark.parametrize("script", [
    b"print('before')\n\0\nraise Exception('the rest')\n",
    b"print('before')\nassert True\n# \0\n",
    b"def test_one(): print('before')\n\0\ndef test_two(): 1 / 0\n",
    b"\0",
])
def test_a_nul_is_an_error_before_anything_runs(tmp_path, script):
    result = run(tmp_path, script, status=1)
    line = script[:script.index(b"\0")].count(b"\n") + 1
    assert f"SyntaxError: there is a NUL byte in line {line} of {tmp_path}/script\n" in result.err
    assert result.out == "" and "start" not in result.err


def test_a_nul_in_a_file_that_pytest_reads(tmp_path):
    """A NUL is an error here, too, with pytest's message."""
    for name in "test_text.py", "conftest.py":
        (tmp_path / name).write_bytes(b"def test_one(): pass\n\0\ndef test_two(): 1 / 0\n")
        result = harness.run("", options=["--script", tmp_path], status=None)
        assert result.status not in (0, 1) and "cannot contain null bytes" in result.out + result.err
