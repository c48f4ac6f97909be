"""The script's global `t`, the assertions of unittest; a script that does not use `t` must not pay for it."""

import pytest

import harness


@pytest.fixture(scope="module")
def session():
    with harness.Session({}) as running:
        yield running


def test_a_failed_assertion_is_a_requested_one(session):
    session("""
        from test_driver.errors import RequestedAssertionFailed
        for check in (lambda: t.assertEqual(1, 2), lambda: t.assertIn("x", []), lambda: t.assertRegex("a", "b"),
                      lambda: t.assertIsNone(1), lambda: t.fail("no"), lambda: t.assertTrue(0)):
            try:
                check()
            except RequestedAssertionFailed:
                continue
            raise Exception("it passed")
        t.assertEqual({1: [2]}, {1: [2]})
        t.assertIn("b", "abc")
        t.assertAlmostEqual(0.1 + 0.2, 0.3)
        assert t.failureException is RequestedAssertionFailed
    """)


def test_messages(session):
    assert session("result = error_of(t.assertEqual, 1, 2)") == "RequestedAssertionFailed: 1 != 2"
    assert session("result = error_of(t.assertTrue, False, 'why')") == \
        "RequestedAssertionFailed: False is not true : why"


def test_context_managers(session):
    session("""
        with t.assertRaises(ValueError) as caught:
            int("x")
        assert "invalid literal" in str(caught.exception)
        with t.assertRaisesRegex(KeyError, "k"):
            {}["k"]
        with t.subTest("a part", n=1):
            t.assertEqual(1, 1)
        assert "ValueError not raised" in error_of(lambda: t.assertRaises(ValueError).__exit__(None, None, None))
    """)


def test_max_diff_can_be_set(session):
    session("""
        long = [str(n) for n in range(500)]
        t.maxDiff = 10
        assert "maxDiff" in error_of(t.assertEqual, long, [*long, "x"])
        t.maxDiff = None
        text = error_of(t.assertEqual, long, [*long, "x"])
        assert "maxDiff" not in text and "'499'" in text
    """)


def test_it_is_a_test_case(session):
    session("""
        import unittest
        assert isinstance(t, unittest.TestCase)
        assert "assertEqual" in dir(t)
        assert "TestCase" not in repr(t) and "Assertions" in repr(t)
        assert t.assertEqual.__self__ is t.assertIn.__self__
    """)


def test_a_script_that_fails_by_it():
    result = harness.run("""
        def check(n):
            t.assertEqual(n, 2)

        check(3)
    """, status=1)
    start = result.log.index("!!! Traceback (most recent call last):")
    assert result.log[start:].splitlines()[:7] == [
        "!!! Traceback (most recent call last):",
        '!!!   File "<string>", line 5, in <module>',
        "!!!     check(3)",
        '!!!   File "<string>", line 3, in check',
        "!!!     t.assertEqual(n, 2)",
        "!!! ",
        "!!! RequestedAssertionFailed: 3 != 2",
    ]


def test_the_notes_of_an_error_are_shown():
    result = harness.run("""
        from test_driver.errors import RequestedAssertionFailed

        error = RequestedAssertionFailed("what is wrong")
        error.add_note("what else is known")
        error.add_note(f"two{chr(10)}lines")
        raise error
    """, status=1)
    lines = [line for line in result.log.splitlines() if line.startswith("!!! ")]
    assert lines[-4:] == ["!!! RequestedAssertionFailed: what is wrong", "!!! what else is known", "!!! two", "!!! lines"]


def test_a_script_that_does_not_use_it_imports_nothing():
    result = harness.run("""
        import sys
        print(sorted({"unittest", "re", "pdb", "json", "pathlib", "test_driver", "typing"} & set(sys.modules)))
        repr(type(t)), repr(type(debug))
        print("unittest" in sys.modules)
        t.assertTrue(True)
        print("unittest" in sys.modules)
    """)
    assert result.lines == ["[]", "False", "True"]


def test_threads_that_use_it_first_get_the_same_object():
    result = harness.run("""
        from threading import Barrier, Thread
        barrier, seen = Barrier(8), []

        def use():
            barrier.wait()
            seen.append(t.assertEqual.__self__)

        threads = [Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(seen), len({id(case) for case in seen}))
    """)
    assert result.lines == ["8 1"]
