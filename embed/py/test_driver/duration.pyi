# The types of test_driver.duration for type checkers; the module documents the names.

import datetime

Duration = datetime.timedelta | int | float

def as_timedelta(duration: Duration) -> datetime.timedelta: ...
def as_seconds(duration: Duration) -> float: ...
