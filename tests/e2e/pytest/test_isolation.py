"""Isolated tests, each of which begins from a snapshot."""

import re

import pytest
from isolation_harness import FOUR, RESTORE, IsolatedRun, run


def test_each_test_begins_from_the_snapshot(fake):
    result = run(FOUR, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 4
    assert (result.boots, result.saves, result.restores) == (1, 2, 3)


def test_without_the_option_nothing_is_saved(fake):
    result = run(FOUR, fake, options=(), status=1)
    assert result.outcomes["test_b"] == "FAILED" and (result.saves, result.restores) == (0, 0)


def test_trouble_does_not_reach_the_next_test(fake):
    result = run("""
        def test_crash(machine, prepared):
            assert has(machine) == ["prepared"]
            machine.crash()

        def test_kill(machine, prepared):
            assert has(machine) == ["prepared"]
            os.kill(machine.pid, signal.SIGKILL)
            machine.wait_for_shutdown()

        def test_hang(machine, prepared):
            assert has(machine) == ["prepared"]
            machine.qmp_client.send("stop")

        def test_background(machine, prepared):
            assert has(machine) == ["prepared"]
            machine.succeed("(while :; do touch $PWD/guest-state/late; done) > /dev/null 2>&1 &")

        def test_fails(machine, prepared):
            assert has(machine) == ["prepared"]
            put(machine, "left")
            machine.fail("true")

        def test_end(machine, prepared):
            assert has(machine) == ["prepared"] and machine.is_up()
        """, fake, status=1)
    assert result.outcomes.pop("test_fails") == "FAILED"
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 5
    assert (result.boots, result.saves, result.restores) == (1, 2, 5)


def test_the_report_says_what_was_saved(fake):
    result = run(FOUR, fake)
    line = re.search(r"^3 restores in [\d.]+ s and 2 snapshots in [\d.]+ s, in place of 3 boots, which would have "
                     r"taken ([\d.]+) s$", result.out, re.M)
    assert line and float(line[1]) > 0
    suite = {name: value for name, value in re.findall(r'<property name="(\S+)" value="(\S+)"/>', result.junit)}
    assert suite["isolation.restores"] == suite["isolation.boots_saved"] == "3" and suite["isolation.snapshots"] == "2"
    assert float(suite["isolation.boot_seconds_saved"]) > 0


# ---- fixtures


def test_another_fixture_is_set_up_in_a_clean_state(fake):
    """test_c needs one more fixture, whose set-up must not see what test_b has done; test_d begins after both."""
    result = run("""
        @pytest.fixture(scope="session")
        def more(prepared):
            assert give(prepared, "more") == ["prepared"]

        def test_a(prepared): assert give(prepared, "a") == ["prepared"]
        def test_b(prepared): assert give(prepared, "b") == ["prepared"]
        def test_c(prepared, more): assert give(prepared, "c") == ["more", "prepared"]
        def test_d(prepared): assert give(prepared, "d") == ["more", "prepared"]
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"}
    assert (result.saves, result.restores) == (3, 3)


CLASSES = """
class TestOne:
    @pytest.fixture(scope="class", autouse=True)
    def of_class(self, prepared):
        assert give(prepared, "one") == ["prepared"]
        yield
        assert has(prepared) == ["one", "prepared"], "it ends in the state in which it has left the machine"
        put(prepared, "end")

    def test_a(self, prepared): assert give(prepared, "a") == ["one", "prepared"]
    def test_b(self, prepared):
        assert give(prepared, "b") == ["one", "prepared"]
        prepared.crash()

class TestTwo:
    def test_c(self, prepared): assert give(prepared, "c") == ["prepared"]
    def test_d(self, prepared): assert give(prepared, "d") == ["prepared"]
"""


def test_the_end_of_a_fixture_uncovers_the_state_before_it(fake):
    result = run(CLASSES, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 4
    assert (result.boots, result.saves) == (1, 3)


@pytest.mark.parametrize("fixture", [
    '@pytest.fixture(scope="module", autouse=True)\ndef of_module(machine): assert give(machine, "{0}") == []',
    'def setup_module(): assert give(machine, "{0}") == []'], ids=["fixture", "setup_module"])
def test_modules_have_states_of_their_own(fake, fixture):
    """The first fixture that uses a machine ends before the others begin."""
    module = f"""{fixture}
def test_{{0}}a(machine): assert give(machine, "a") == ["{{0}}"]
def test_{{0}}b(machine): assert give(machine, "b") == ["{{0}}"]
"""
    result = run({f"test_{name}.py": module.format(name) for name in ("x", "y")}, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and result.boots == 1


def test_parameters_of_wider_scopes(fake):
    result = run("""
        @pytest.fixture(scope="session", params=["x", "y"])
        def kind(prepared, request):
            assert give(prepared, request.param) == ["prepared"]
            return request.param

        @pytest.mark.parametrize("number", [1, 2])
        def test_a(kind, number, prepared): assert give(prepared, f"a{number}") == sorted([kind, "prepared"])
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 4
    assert result.boots == 1


def test_fixtures_of_functions_are_undone_too(fake):
    result = run("""
        @pytest.fixture
        def small(prepared):
            assert give(prepared, "small") == ["prepared"]
            yield
            put(prepared, "end")

        def test_a(prepared, small): assert has(prepared) == ["prepared", "small"]
        def test_b(small, prepared): assert has(prepared) == ["prepared", "small"]
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and (result.saves, result.restores) == (2, 1)


def test_what_uses_no_machine_costs_nothing(fake):
    result = run("""
        @pytest.fixture(scope="module", autouse=True)
        def idle():
            yield 1

        @pytest.fixture(scope="class")
        def wrapped(prepared):
            return [prepared]

        def test_0(): pass
        def test_a(prepared): put(prepared, "a")
        def test_1(tmp_path): pass
        class TestIt:
            def test_b(self, wrapped): assert give(wrapped[0], "b") == ["prepared"]
        def test_2(): pass
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"}
    assert (result.saves, result.restores) == (2, 1)
    assert run("def test_a(): pass\ndef test_b(machine): pass\n", fake, words=["-k", "test_a"]).boots == 0


def test_a_fixture_that_fails_leaves_nothing(fake):
    result = run("""
        @pytest.fixture(scope="module")
        def broken(prepared):
            put(prepared, "half")
            raise ValueError("in the middle")

        def test_a(prepared): assert has(prepared) == ["prepared"]
        def test_b(broken): pass
        def test_c(prepared, broken): pass
        def test_d(prepared): assert has(prepared) == ["prepared"]
        """, fake, status=1)
    assert result.outcomes == {"test_a": "PASSED", "test_b": "ERROR", "test_c": "ERROR", "test_d": "PASSED"}


def test_a_fixture_asked_for_in_the_middle_of_a_test(fake):
    """It ends with the test, since its machine goes back."""
    result = run("""
        @pytest.fixture(scope="session")
        def late(machine):
            assert "late" not in has(machine)
            put(machine, "late")
            return 1

        def test_a(prepared, request):
            put(prepared, "a")
            assert request.getfixturevalue("late") and has(prepared) == ["a", "late", "prepared"]
        def test_b(prepared): assert has(prepared) == ["prepared"]
        def test_c(prepared, late): assert has(prepared) == ["late", "prepared"]
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"}


def test_old_fixtures_and_unittest(fake):
    result = run("""
        import unittest

        def setup_module():
            put(machine, "module")

        def test_a(): assert give(machine, "a") == ["module"]
        def test_b(): assert give(machine, "b") == ["module"]

        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                assert give(machine, "class") == ["module"]
            def setUp(self): put(machine, "setup")
            def test_c(self): assert give(machine, "c") == ["class", "module", "setup"]
            def test_d(self): assert give(machine, "d") == ["class", "module", "setup"]

        def test_e(): assert give(machine, "e") == ["module"]
        """, fake, options=(*RESTORE, "--mode", "pytest"))
    assert set(result.outcomes.values()) == {"PASSED"} and len(result.outcomes) == 5


# ---- marks


def test_single_tests(fake):
    """What marked tests do is undone; what others do stays."""
    result = run("""
        def test_a(machine): assert give(machine, "a") == []
        @pytest.mark.isolated
        def test_b(machine):
            assert give(machine, "b") == ["a"]
            machine.crash()
        @pytest.mark.isolated
        def test_c(machine): assert give(machine, "c") == ["a"]
        def test_d(machine): assert give(machine, "d") == ["a"]
        @pytest.mark.isolated
        def test_e(machine): assert give(machine, "e") == ["a", "d"]
        def test_f(machine): assert give(machine, "f") == ["a", "d"]
        """, fake, options=())
    assert set(result.outcomes.values()) == {"PASSED"}
    assert (result.boots, result.saves, result.restores) == (1, 2, 3)


def test_a_marked_class_among_others(fake):
    result = run("""
        @pytest.fixture(scope="class")
        def of_class(machine):
            put(machine, "class")

        def test_a(machine): put(machine, "a")

        @pytest.mark.isolated
        class TestIt:
            def test_b(self, of_class, machine): assert give(machine, "b") == ["a", "class"]
            def test_c(self, of_class, machine): assert give(machine, "c") == ["a", "class"]

        def test_d(machine): assert give(machine, "d") == ["a"]
        """, fake, options=())
    assert set(result.outcomes.values()) == {"PASSED"}


def test_what_others_do_outlives_the_fixtures(fake):
    result = run("""
        @pytest.fixture(scope="class")
        def of_class(machine):
            put(machine, "class")

        @pytest.mark.isolated
        def test_a(machine): put(machine, "a")

        class TestIt:
            @pytest.mark.isolated
            def test_b(self, of_class, machine): put(machine, "b")
            def test_c(self, of_class, machine): put(machine, "c")

        @pytest.mark.isolated
        def test_d(machine): assert give(machine, "d") == ["c", "class"]
        def test_e(machine): assert has(machine) == ["c", "class"]
        """, fake, options=())
    assert set(result.outcomes.values()) == {"PASSED"} and result.boots == 1


# ---- machines


def test_all_machines_are_of_one_moment(fakes):
    result = run("""
        @pytest.fixture(scope="session")
        def both(client, server):
            put(client, "both"), put(server, "both")

        def test_a(both, client): put(client, "a")
        def test_b(both, server): put(server, "b"), server.crash()
        def test_c(both, client, server): assert has(client) == has(server) == ["both"]
        """, fakes("client", "server"))
    assert set(result.outcomes.values()) == {"PASSED"}
    assert (result.boots, result.saves, result.restores) == (2, 2, 2)
    assert "in place of 4 boots" in result.out


def test_a_machine_that_a_test_starts_is_off_again(fakes):
    result = run("""
        pytestmark = pytest.mark.machines(start=False)

        def test_a(client, server):
            client.start()
            assert not server.booted
        def test_b(client, server):
            assert not client.booted
            start_all()
            server.succeed("true")
        def test_c(client, server): assert not client.booted and not server.booted
        """, fakes("client", "server"))
    assert set(result.outcomes.values()) == {"PASSED"}


def test_machines_of_a_test_itself_are_not_part_of_it(fake, fakes):
    vm = fakes("other")["other"]
    result = run(f"""
        @pytest.fixture(scope="session")
        def test_vm_options(): return {{"image": {vm!r}, "root_shell": True}}

        def test_a(prepared, test_vm): test_vm.succeed("true"), put(prepared, "a")
        def test_b(prepared, test_vm): assert has(prepared) == ["prepared"] and test_vm.succeed("echo 1") == "1\\n"
        """, fake)
    assert set(result.outcomes.values()) == {"PASSED"} and result.restores == 1


def test_containers_have_no_snapshots(fake, fakes):
    with IsolatedRun(FOUR, fake, containers={"box": "/bin/run-box-nspawn"}) as running:
        result = running.finish()
    text = "needs snapshots of all machines, and containers have none: box is a container"
    assert result.status == 4 and f"--isolation=restore {text}" in result.err
    assert not re.search("starting (vm|container)", result.log)


# ---- trouble with snapshots


def test_what_blocks_snapshots_is_told_once(fake):
    result = run("""
        def test_0(): pass
        def test_a(prepared): pass
        def test_b(prepared): pass
        @pytest.mark.parametrize("number", range(5))
        def test_c(machine, number): pass
        def test_1(): pass
        """, fake, env={"FAKE_BLOCKERS": "no snapshots of toasters"}, status=1)
    assert result.outcomes.pop("test_a") == "ERROR" and result.outcomes.pop("test_0") == "PASSED"
    assert result.outcomes.pop("test_1") == "PASSED" and set(result.outcomes.values()) == {"SKIPPED"}
    assert re.search(r"test_a cannot begin from a snapshot, nor can other tests: .*its state cannot be "
                     r"saved:\n.*toasters",
                     result.out)
    assert "[6] " in result.out and "no snapshot can be made: see script.py::test_a" in result.out


def test_a_fixture_that_blocks_snapshots_is_the_only_one(fake):
    result = run("""
        @pytest.fixture(scope="class")
        def blocking(machine):
            put(machine, "blocking")
            (machine.state_dir / "FAKE_BLOCKERS").write_text("a toaster")
            yield
            (machine.state_dir / "FAKE_BLOCKERS").unlink()

        def test_a(prepared): put(prepared, "a")
        class TestIt:
            def test_b(self, prepared, blocking): pass
            def test_c(self, prepared, blocking): pass
        def test_d(prepared): assert has(prepared) == ["prepared"]
        """, fake, status=1)
    assert result.outcomes == {"test_a": "PASSED", "TestIt::test_b": "ERROR", "TestIt::test_c": "SKIPPED",
                               "test_d": "PASSED"}


def test_a_restore_that_fails(fake):
    """The next test tries again."""
    result = run("""
        def test_a(prepared):
            put(prepared, "a")
            (prepared.state_dir / "FAKE_LOAD").write_text("killed")
        def test_b(prepared, tmp_path): pass
        def test_c(prepared): assert has(prepared) == ["prepared"]
        """, fake, status=1, env={"FAKE_LOAD": ""}, words=["-k", "test_a or test_b"])
    assert result.outcomes == {"test_a": "PASSED", "test_b": "ERROR"}
    assert "the machines could not be restored: " in result.out
