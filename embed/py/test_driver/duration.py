"""Durations in the form that machines' methods take, for scripts with methods of their own. Only scripts import this
module."""

import datetime

Duration = datetime.timedelta | int | float


def as_timedelta(duration):
    """Returns `duration` as a timedelta; a number means seconds. TypeError for anything else."""
    if isinstance(duration, datetime.timedelta):
        return duration
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise TypeError(f"a duration must be a timedelta or a number of seconds, not {type(duration).__name__}")
    return datetime.timedelta(seconds=duration)


def as_seconds(duration):
    """Returns `duration`, a timedelta or a number of seconds, as a float of seconds. TypeError for anything else."""
    return as_timedelta(duration).total_seconds()
