from pathlib import Path
from typing import final

@final
class VLan:
    @property
    def nr(self) -> int: ...
    @property
    def socket_dir(self) -> Path: ...
    @property
    def pid(self) -> int: ...
