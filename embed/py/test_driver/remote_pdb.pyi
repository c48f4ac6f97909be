# The types of test_driver.remote_pdb for type checkers; the module documents the names.

from collections.abc import Callable
from pdb import Pdb

class RemotePdb(Pdb):
    closed: bool
    def __init__(
        self, host: str, port: int, log: Callable[[str], None], on_close: Callable[[], None]
    ) -> None: ...
