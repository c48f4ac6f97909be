"""CompositeLogger."""

from _test_driver import CompositeLogger

__all__ = ["CompositeLogger"]
