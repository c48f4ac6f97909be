# retry(): attempts, time-outs and exceptions.
calls = []


def third(last):
    calls.append(last)
    return len(calls) == 3


began = time.monotonic()
retry(third)
assert calls == [False] * 3 and time.monotonic() - began > 1.9
calls = []
refused(RequestedAssertionFailed, timed_out(2), retry, lambda last: calls.append(last), timeout=2)
assert calls[0] is False and calls[-1] is True and 2 <= calls.count(False) <= 3, calls
refused(RequestedAssertionFailed, timed_out(1), retry, lambda last: None, 1)
refused(ZeroDivisionError, "division by zero", retry, lambda last: 1 / 0)
