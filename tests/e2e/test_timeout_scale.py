"""The accelerator in the log, time-outs that --timeout-scale stretches, and their errors."""

import pytest

import harness

# ---- the accelerator


@pytest.mark.parametrize("accelerator, told", [
    ("kvm", "QEMU runs the guest with KVM"),
    ("tcg", "QEMU runs the guest with TCG: it emulates the processor, which is slow"),
    ("hvf", "QEMU runs the guest with HVF"),
])
def test_the_accelerator_is_in_the_log(fake, accelerator, told):
    result = harness.run("""
        machine.start()
        machine.succeed("true")
        assert "QEMU runs" not in machine.get_console_log()
    """, fake, env={"FAKE_ACCELERATOR": accelerator})
    assert f"\nmachine # {told}\n" in result.log
    assert result.log.index("starting vm") < result.log.index(told)


def test_each_machine_has_its_own(fakes):
    result = harness.run("start_all()\nfor m in machines: m.connect()", fakes("one", "two"), env={"FAKE_ACCELERATOR": "kvm"})
    for name in "one", "two":
        assert result.log.count(f"{name} # QEMU runs the guest with KVM\n") == 1


def test_it_is_told_at_every_start(fake):
    result = harness.run("""
        for _ in range(2):
            machine.succeed("true")
            machine.crash()
    """, fake, env={"FAKE_ACCELERATOR": "kvm"})
    assert result.log.count("with KVM") == 2


@pytest.mark.parametrize("fault", ["", "mute", "closes"])
def test_who_does_not_tell_is_not_waited_for(fake, fault):
    result = harness.run("""
        import time
        began = time.monotonic()
        machine.start()
        print(time.monotonic() - began < 10)
        machine.succeed("true")
    """, fake, env={"FAKE_QMP": fault})
    assert result.lines == ["True"]
    assert "QEMU runs the guest" not in result.log


def test_a_real_one(tiny):
    """The real guests of the tests run under TCG."""
    result = harness.run("""
        import time
        machine.start()
        machine.wait_for_console_text("SeaBIOS|connecting")
        began = time.monotonic()
        try:
            machine.wait_for_file("/no", timeout=0.5)
        except Exception as error:
            print("which --timeout-scale made 4 times as long" in str(error), time.monotonic() - began >= 2)
    """, tiny, options=["--timeout-scale", "auto"])
    assert "machine # QEMU runs the guest with TCG: it emulates the processor" in result.log
    assert result.lines == ["True True"]


# ---- the option


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf", "1e9", "4x", "automatic", ""])
def test_what_is_not_a_factor(value):
    result = harness.run("", options=[f"--timeout-scale={value}"], status=2)
    assert f"argument --timeout-scale: '{value}' is not a factor" in result.log


def test_help_explains_it():
    result = harness.run("", arguments=["--help"])
    assert "--timeout-scale FACTOR" in result.out and "(default: 1)" in result.out


# The waits with a default time-out, which a scale of 0.001 makes a second or less.
BUILT_IN = {
    "machine.wait_for_file('/no')": "waiting for file '/no'; last seen: `test -e /no`: exit code 1",
    "machine.wait_for_open_port(1)": "waiting for TCP port 1 on localhost; last seen: `nc -z localhost 1`: exit code 1",
    "machine.wait_for_open_unix_socket('/no')": "waiting for UNIX-domain stream on '/no'; last seen: `nc -z -U /no`: exit code 1",
    "machine.wait_for_x()": "waiting for the X11 server; last seen: `journalctl",
    "machine.wait_until_succeeds('echo no; exit 3')":
        "waiting for success: echo no; exit 3; last seen: exit code 3, output:\n    no",
    "machine.wait_until_fails('true')": "waiting for failure: true; last seen: exit code 0, no output",
    "machine.wait_until_tty_matches('99', 'x')": "waiting for x to appear on tty 99; last seen: no text",
}


@pytest.mark.parametrize("call", BUILT_IN)
def test_built_in_time_outs_are_scaled(fake, call):
    result = harness.run(f"""
        import time
        machine.succeed("true")
        began = time.monotonic()
        try:
            {call}
        except Exception as error:
            print(type(error).__name__, str(error).replace("\\n", "|"))
        print(time.monotonic() - began < 40)
    """, fake, options=["--timeout-scale", "0.001"])
    text, quick = result.lines
    start, _, rest = text.partition(", which --timeout-scale made 0.001 times as long: machine 'machine': ")
    assert start.startswith("RequestedAssertionFailed action timed out after ") and start.endswith(" seconds (timeout=900.0)")
    assert rest.replace("|", "\n").startswith(BUILT_IN[call])
    assert quick == "True"


def test_given_time_outs_are_scaled(fake):
    result = harness.run("""
        import time

        def of(function, *arguments, **named):
            began = time.monotonic()
            try:
                function(*arguments, **named)
            except Exception as error:
                text = " ".join([type(error).__name__, str(error), *getattr(error, "__notes__", [])])
                print(time.monotonic() - began >= 2, text.replace("\\n", "|"))

        machine.succeed("true")
        of(machine.wait_for_file, "/no", timeout=0.5)
        of(machine.wait_until_succeeds, "false", timeout=0.5)
        of(machine.wait_for_console_text, "never", timeout=0.5)
        of(machine.wait_for_qmp_event, lambda event: False, timeout=0.5)
        of(machine.wait_for_shutdown, timeout=0.5)
    """, fake, options=["--timeout-scale", "4"])
    assert len(result.lines) == 5
    for line in result.lines:
        assert line.startswith("True ") and "(timeout=0.5), which --timeout-scale made 4 times as long" in line
    assert "MachineTimeout machine 'machine': waiting for a QMP event: timed out after" in result.lines[3]
    assert "TimeoutExpired Command 'qemu' timed out after 0.5 seconds" in result.lines[4]
    assert "machine 'machine': waiting for the VM to power off: it still runs" in result.lines[4]


def test_commands_and_functions_keep_theirs(fake):
    result = harness.run("""
        import time
        began = time.monotonic()
        print(machine.execute("sleep 300", timeout=1)[0])
        try:
            retry(lambda last: False, timeout=1)
        except Exception as error:
            print(str(error).endswith(" seconds (timeout=1.0)"))
        print(time.monotonic() - began < 50)
    """, fake, options=["--timeout-scale", "60"])
    assert result.lines == ["124", "True", "True"]


@pytest.mark.parametrize("accelerator, stretched", [("kvm", False), ("tcg", True), ("", False)])
def test_auto(fake, accelerator, stretched):
    result = harness.run("""
        try:
            machine.wait_for_file("/no", timeout=0.2)  # begins before the driver knows the accelerator
        except Exception as error:
            print(error)
    """, fake, options=["--timeout-scale", "auto"], env={"FAKE_ACCELERATOR": accelerator})
    assert result.lines[0].startswith("action timed out after ")
    assert ("(timeout=0.2), which --timeout-scale made 4 times as long: " in result.lines[0]) == stretched
    assert ("(timeout=0.2): machine 'machine': waiting for" in result.lines[0]) != stretched
