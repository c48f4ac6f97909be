"""Durations as the driver's methods take them, for methods of one's own."""

import datetime

Duration = datetime.timedelta | int | float


def as_timedelta(duration):
    """A timedelta; numbers are seconds."""
    if isinstance(duration, datetime.timedelta):
        return duration
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise TypeError(f"a duration must be a timedelta or a number of seconds, not {type(duration).__name__}")
    return datetime.timedelta(seconds=duration)


def as_seconds(duration):
    return as_timedelta(duration).total_seconds()
