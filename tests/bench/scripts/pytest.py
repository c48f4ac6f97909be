"""Measures the time to the first test, and the time of tests that do nothing."""

import os
import time

import pytest
from measure import report

TESTS = 500
times = []


@pytest.mark.parametrize("number", range(TESTS))
def test_nothing(number):
    times.append(time.perf_counter())


def test_last():
    report({
        "first": (times[0] - float(os.environ["BENCH_BEGAN"])) * 1e3,
        "each": (time.perf_counter() - times[0]) / TESTS * 1e3,
    })
