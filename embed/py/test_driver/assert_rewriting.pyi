# The types of test_driver.assert_rewriting for type checkers; the module documents the names.

import types

class Assertion:
    template: tuple[str | int, ...]
    sources: tuple[str, ...]
    equality: bool
    values: dict[int, object]
    def __init__(self, template: tuple[str | int, ...], sources: tuple[str, ...], equality: bool) -> None: ...
    def keep(self, number: int, value: object) -> object: ...
    def failure(self, *message: object) -> AssertionError: ...

MOST_TEXT: int
MOST_ASSERTIONS: int

def compile_script(text: str, filename: str) -> tuple[types.CodeType, ...]: ...
