"""The command line, the environment and the configuration file of every generation, and errors in them."""

import json
import re
import subprocess

import pytest

import harness

SHOW = """
    print([one.name for one in machines], [vlan.nr for vlan in vlans], driver.out_dir.name)
"""


def usage_error(**named):
    """Does a run that must be refused, with exit status 2, one message, and nothing started or written. Returns the
    message."""
    with harness.Run(named.pop("script", SHOW), named.pop("vms", {}), seconds=10, **named) as run:
        before = sorted(run.directory.rglob("*"))
        result = run.finish()
        assert sorted(set(run.directory.rglob("*")) - {run.directory / "started"}) == before
        assert not (run.directory / "started").exists()
    assert result.status == 2 and result.out == "", result.err
    assert "Traceback" not in result.err and "start" not in re.sub("start[-_ ][Ss]cript|started", "", result.err)
    assert len(result.err) < 2000
    return result.err


# ---- options


def test_help_explains_every_option():
    with harness.Run("", arguments=["--help"]) as run:
        result = run.finish()
    assert result.status == 0 and result.err == ""
    for option in ["--config", "--keep-machine-state", "--interactive", "--debug-hook-attach", "--start-scripts",
                   "--vm-start-scripts", "--container-start-scripts", "--vm-names", "--container-names", "--vlans",
                   "--global-timeout", "--output_directory", "--junit-xml", "--log-level", "--dump-vsocks",
                   "--boot-timeout", "--script", "--pause-on-failure", "--help"]:
        paragraph = re.search(rf"^  (?:-\w, )?{option}\b.*\n((?:        .*\n)+)", result.out, re.M)
        assert paragraph and len(paragraph[1].split()) >= 4, option


def old_style(fakes, *options, env=None, names=("machine",)):
    scripts = list(fakes(*names).values())
    return harness.run(SHOW, arguments=["{dir}/script.py", "-o", "{dir}/out", "--start-scripts", *scripts, *options],
                       env=env)


@pytest.mark.parametrize("options", [
    ["--global-timeout", "77"], ["--global-timeout=77"], ["--global=77"], ["--glob", "77"],
    ["--global-timeout", "77.0"],
])
def test_prefixes_and_values(fakes, options):
    assert "Test will time out and terminate in 77.0 seconds" in old_style(fakes, *options).log


@pytest.mark.parametrize("option", ["-K", "--keep-machine-state", "--keep-vm-state", "--keep-vm", "--keep-m"])
def test_keep_state_options(fakes, option):
    assert "Machine state will be reset" not in old_style(fakes, option).log


def test_old_and_new_style_are_equal(fakes):
    """Log and output are the same, whichever way the machines and networks are given."""
    vms = fakes("server", "client-1")
    script = SHOW + """
    start_all()
    client_1.succeed("true")
    server.succeed("true")
    """
    seen = set()
    names = " ".join(vms)
    for style, env in [
        ("json", None),
        ("options", None),
        ("environment", {"startScripts": " ".join(vms.values()), "vlans": "1 2", "testScript": "{dir}/script.py",
                         "globalTimeout": "300"}),
        ("environment", {"vmStartScripts": "\n".join(vms.values()), "vmNames": names, "vlans": " 1\t2 1 ",
                         "testScript": "{dir}/script.py", "globalTimeout": "300", "containerStartScripts": ""}),
    ]:
        given = {"style": style} if not env else {"arguments": ["-o", "{dir}/out"], "env": env}
        result = harness.run(script, vms, vlans=[1, 2], **given)
        log = re.sub(r"pid \d+|/tmp/e2e-\w+|\d+\.\d\d ?s", "N", result.log)
        lines = [line for line in log.splitlines() if not re.match(r"\S+ # |\S+: (starting vm|QEMU running)", line)]
        seen.add((result.out, "\n".join(lines)))
    assert len(seen) == 1, seen
    assert "['client-1', 'server'] [1, 2] out" in seen.pop()[0]


def test_options_override_the_environment(fakes):
    fake = fakes("machine")["machine"]
    result = harness.run(SHOW, arguments=["--vlans", "3", "-o", "{dir}/out", "--start-scripts", fake,
                                          "--global-timeout", "55", "--", "{dir}/script.py"],
                         env={"vlans": "1 2", "startScripts": "/no/run-other-vm", "globalTimeout": "44",
                              "testScript": "/no/such/script"})
    assert result.lines == ["['machine'] [3] out"]
    assert "terminate in 55.0 seconds" in result.log


def test_configuration_file_takes_the_place_of_the_variables(fake):
    result = harness.run(SHOW, fake, vlans=[4], env={
        "vlans": "1 2", "startScripts": "/no/run-other-vm", "vmStartScripts": "/no/run-third-vm",
        "globalTimeout": "44", "testScript": "/no/such/script"})
    assert result.lines == ["['machine'] [4] out"]
    assert "terminate in 300.0 seconds" in result.log


def test_unknown_keys_are_ignored(fake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print(machines[0].name)")
    (tmp_path / "config.json").write_text(json.dumps({
        "vms": {"the-key": {"name": "another", "start_script": fake["machine"], "later": [{}]}}, "containers": {},
        "vlans": [], "global_timeout": 12.5, "enable_ssh_backdoor": False, "test_script": str(script),
        "new": {"a": 1}}))
    result = harness.run("", arguments=["-c", tmp_path / "config.json", "-o", "{dir}/out"])
    assert result.lines == ["the-key"]
    assert "terminate in 12.5 seconds" in result.log


def test_names(fakes):
    result = harness.run("""
        print(a_b.name, _st.name, x_y.name)
        print("machine" in globals())
    """, {**fakes("a-b"), "1st": "true", "x.y": "true"})
    assert result.lines == ["a-b 1st x.y", "False"]
    result = harness.run("print(machine is server, machine.name)", fakes("server"))
    assert result.lines == ["True server"]
    result = harness.run("print(machine.name, machine is other)", fakes("machine", "other"))
    assert result.lines == ["machine False"]


def test_names_from_start_scripts(fakes):
    scripts = list(fakes("web", "db-1").values())
    result = harness.run("print(web.name, db_1.name)", arguments=["{dir}/script.py", "--start-scripts", *scripts])
    assert result.lines == ["web db-1"]


def test_default_output_directory_is_the_current_one(fake):
    with harness.Run("print(driver.out_dir)", arguments=["{dir}/script.py", "--start-scripts", fake["machine"]]) as run:
        assert run.finish().lines == [str(run.directory)]


def test_relative_paths(fake, tmp_path):
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms/run-machine-vm").symlink_to(fake["machine"])
    result = harness.run("print(machine.succeed('echo ran'), driver.out_dir)", directory=tmp_path, arguments=[
        "script.py", "--vm-start-scripts", "vms/run-machine-vm", "-o", "out"])
    assert result.lines == ["ran", f" {tmp_path}/out"]


def test_arguments_of_the_script(fake):
    """A script has its own sys.argv, can import the standard library, and sees its globals in functions and classes."""
    harness.run("""
        import sys
        assert __name__ in ("__main__", "builtins", "test_script"), __name__
        assert sys.argv[0].endswith("nixos-test-driver"), sys.argv
        import json, decimal, ctypes, sqlite3, ssl, unittest
        def function():
            return machine.name, [machine.name for _ in range(1)]
        class Class:
            name = machine.name
        assert function() == ("machine", ["machine"]) and Class.name == "machine"
    """, fake)


def test_python_path_is_respected(fake, tmp_path):
    (tmp_path / "helper_of_a_test.py").write_text("ANSWER = 42\n")
    result = harness.run("import helper_of_a_test; print(helper_of_a_test.ANSWER)", fake, env={"PYTHONPATH": tmp_path})
    assert result.lines == ["42"]


def test_generate_driver_symbols(tmp_path):
    program = harness.DRIVER.parent / "generate-driver-symbols"
    (tmp_path / "testScriptWithTypes").touch()
    subprocess.run([program], cwd=tmp_path, check=True, timeout=20)
    names = (tmp_path / "driver-symbols").read_text()
    assert "\n" not in names
    expected = {"start_all", "machines", "vlans", "log", "os", "subtest", "create_machine", "retry"}
    assert expected <= set(names.split(","))


# ---- errors


@pytest.mark.parametrize("arguments, text", [
    ([], "script"),
    (["--no-such-option"], "unknown option: --no-such-option"),
    (["{dir}/script.py", "-Z"], "unknown option: -Z"),
    (["{dir}/script.py", "--glbal-timeout", "3"], "did you mean --global-timeout?"),
    (["{dir}/script.py", "--vm", "x"], "ambiguous option: --vm could be --vm-start-scripts, --vm-names"),
    (["{dir}/script.py", "--keep"], "ambiguous option: --keep could be "),
    (["{dir}/script.py", "--global-timeout"], "--global-timeout"),
    (["{dir}/script.py", "--global-timeout", "soon"], "soon"),
    (["{dir}/script.py", "--global-timeout", "-1"], "--global-timeout"),
    (["{dir}/script.py", "--global-timeout", "nan"], "--global-timeout"),
    (["{dir}/script.py", "--global-timeout", "0"], "--global-timeout"),
    (["{dir}/script.py", "--vlans", "1", "two"], "two"),
    (["{dir}/script.py", "--vlans", "4096"], "4096"),
    (["{dir}/script.py", "--vlans=-1"], "-1"),
    (["{dir}/script.py", "--log-level", "loud"], "loud"),
    (["{dir}/script.py", "--keep-machine-state=yes"], "takes no value"),
    (["{dir}/script.py", "{dir}/other.py"], "{dir}/other.py"),
    (["{dir}/no-script.py"], "{dir}/no-script.py"),
    (["{dir}", "--mode", "legacy"], "{dir} is a directory, which holds pytest style tests only"),
    (["{dir}/script.py", "-o", "{dir}/nowhere"], "{dir}/nowhere"),
    (["{dir}/script.py", "-o", "{dir}/script.py"], "{dir}/script.py"),
    (["{dir}/script.py", "-o", "/proc"], "/proc"),
    (["{dir}/script.py", "--junit-xml", "nowhere/a.xml"], "nowhere"),
    (["-c", "{dir}/nowhere.json"], "{dir}/nowhere.json"),
    (["-c", "{dir}"], "{dir}"),
    (["{dir}/script.py", "--vm-names", "a", "b", "--vm-start-scripts", "/x"], "names"),
    (["{dir}/script.py", "--start-scripts", "/a/run-x-vm", "/b/run-x-vm"], '"x"'),
    (["{dir}/script.py", "--start-scripts", "/a/run-x-y-vm", "/b/run-x_y-vm"], "x_y"),
    (["{dir}/script.py", "--vm-names", "a/b", "--vm-start-scripts", "/x"], "slash"),
], ids=lambda value: " ".join(value).replace("{dir}/", "") if isinstance(value, list) else "")
def test_bad_command_line(arguments, text):
    with harness.Run("", arguments=arguments) as run:
        expected = text.replace("{dir}", str(run.directory))
    message = usage_error(arguments=arguments)
    assert re.sub(r"/e2e-\w+", "", expected) in re.sub(r"/e2e-\w+", "", message)


STARTS = {"name": "a", "start_script": "touch {dir}/started #"}
VALID = {"vms": {"a": STARTS}, "containers": {}, "vlans": [1], "global_timeout": 10, "enable_ssh_backdoor": False,
         "test_script": "{dir}/script.py"}


def config_error(text):
    """Does a run with a configuration file of this text, where {dir} is replaced by the run's directory. Returns the
    error message."""
    with harness.Run("machines[0].start()", arguments=["--config", "/dev/stdin"], stdin=subprocess.PIPE,
                     seconds=10) as run:
        before = sorted(run.directory.rglob("*"))
        run.process.stdin.write(text.replace("{dir}", str(run.directory)).encode())
        run.process.stdin.close()
        result = run.finish()
        assert sorted(run.directory.rglob("*")) == before
    assert result.status == 2 and result.out == "", (result.status, result.err)
    return result.err


@pytest.mark.parametrize("change, text", [
    ({"vms": []}, r"\bvms\b.*object"),
    ({"vms": {"a": "x"}}, r"vms\.a\b.*object"),
    ({"vms": {"a": {"name": "a"}}}, r"vms\.a: .*start_script"),
    ({"vms": {"a": {"start_script": 5}}}, r"vms\.a\.start_script\b.*string"),
    ({"vms": {"a": {"start_script": ""}}}, r"vms\.a"),
    ({"vms": {"a/b": STARTS}}, "slash"),
    ({"vms": {"": STARTS}}, "empty"),
    ({"vms": {"a" * 300: STARTS}}, "long"),
    ({"vms": {"a-b": STARTS, "a_b": STARTS}}, '"a-b".*"a_b"'),
    ({"vms": {"a b": STARTS}, "containers": {"a-b": STARTS}}, '"a b".*"a-b"'),
    ({"vlans": "1"}, r"\bvlans\b.*array"),
    ({"vlans": [1, "2"]}, r"vlans\[1\].*number"),
    ({"vlans": [1, 2.5]}, r"vlans\[1\].*2\.5"),
    ({"vlans": [-1]}, r"vlans\[0\].*-1"),
    ({"global_timeout": "soon"}, "global_timeout"),
    ({"global_timeout": -5}, "global_timeout"),
    ({"global_timeout": [1]}, "global_timeout"),
    ({"enable_ssh_backdoor": "no"}, "enable_ssh_backdoor"),
    ({"test_script": None}, "test_script"),
    ({"test_script": "{dir}/nowhere.py"}, r"/nowhere\.py"),
], ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "")
def test_bad_configuration(change, text):
    assert re.search(text, config_error(json.dumps({**VALID, **change})))


@pytest.mark.parametrize("key", ["vms", "test_script"])
def test_missing_key(key):
    config = {name: value for name, value in VALID.items() if name not in (key, "containers")}
    assert key in config_error(json.dumps(config))


@pytest.mark.parametrize("text, place", [
    ("", ""),
    ("{", "1:2"),
    ('{"vms": {},\n "containers": {},\n "vlans": [1,],\n}', "3:14"),
    ('{"vms": {}\n "containers": {}}', "2:2"),
    ('{"vms": {}} trailing', "1:13"),
    ("nonsense", "1:1"),
    ('{"vms": "\\ud800"}', "1:10"),
    ("[" * 100_000, r"1:\d+"),
    ('{"a": 1, "vms": {"\0": 1}}', "1:19"),
], ids=["empty", "brace", "comma", "no-comma", "trailing", "word", "surrogate", "deep", "nul"])
def test_malformed_json(text, place):
    """The message has the file, the line and the column."""
    assert re.search(f"error: /dev/stdin:{place}", config_error(text))


def test_json_that_is_no_object():
    assert "object" in config_error("[1, 2]")


@pytest.mark.parametrize("env, text", [
    ({"TMPDIR": "{dir}/script.py"}, "TMPDIR"),
    ({"TMPDIR": "/proc/nowhere"}, "/proc/nowhere"),
    ({"XDG_RUNTIME_DIR": "{dir}/a/b/c"}, "XDG_RUNTIME_DIR"),
    ({"globalTimeout": "soon"}, "globalTimeout"),
    ({"vlans": "1 x"}, "vlans"),
    ({"logLevel": "loud"}, "logLevel"),
    ({"LOGFILE": "/no/such/file"}, "LOGFILE|/no/such"),
])
def test_bad_environment(env, text):
    assert re.search(text, usage_error(arguments=["{dir}/script.py"], env=env))
