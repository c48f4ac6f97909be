# The types of test_driver.console_search for type checkers; the module documents the names.

import collections
import re

SPAN: int

class ConsoleSearch:
    pattern: re.Pattern[str]
    before: collections.deque[str]
    length: int
    def __init__(self, regex: str | re.Pattern[str]) -> None: ...
    def add(self, text: str) -> int: ...
    def add_partial(self, text: str) -> bool: ...
    def report(self, console: str) -> str: ...
