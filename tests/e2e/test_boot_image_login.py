"""Logins on the serial console of a boot image that knows of no driver (tests/guests/make-image): a real getty, login(1)
and PAM. A boot of its own, with UEFI, since no user but alice can be reached by SSH."""

import harness

LONG = 1800  # seconds: on a host with much else to do


def test_logins_on_the_serial_console(guests):
    harness.run(harness.ERROR_OF + harness.textwrap.dedent(f"""
        import time

        vm = create_image_machine({guests.image()!r}, ssh_user="alice", firmware="uefi", name="console")
        number, match = vm.expect("Kernel panic", r"(\\S+) login: ", timeout={LONG})
        assert (number, match[1]) == (1, "boot-image"), match

        text = error_of(vm.login, "alice", "wrong")
        assert text.startswith("RequestedAssertionFailed: machine 'console': the login of 'alice'"), text
        assert "the password is wrong" in text, text
        text = error_of(vm.login, "bob", "changeme")
        assert "needs a change of the password" in text, text

        vm.login("bob", "changeme", "a-new-Secret-7")
        assert vm.execute("id -un; exit 3") == (3, "bob\\n")
        assert vm.succeed("head -c 300000 /dev/zero | tr '\\\\0' x") == 300_000 * "x"
        assert vm.execute("sleep 1000", timeout=1)[0] == 124
        vm.send_console("exit\\n")

        # SSH has no key of alice's, and gets it by the console.
        vm.login("alice", "boot-image")
        end = time.monotonic() + {LONG}
        while vm.execute('test "${{SSH_CONNECTION-}}"')[0]:
            assert time.monotonic() < end
        assert vm.succeed("id -un") == "alice\\n"
        vm.crash()
    """), env={"TEST_VM_ACCEL": "tcg"}, seconds=LONG, global_timeout=LONG)
