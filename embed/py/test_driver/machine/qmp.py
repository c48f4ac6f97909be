"""QEMU's machine protocol."""

from _test_driver import QMPSession


class QMPAPIError(RuntimeError):
    """QEMU refused a command. Made from its reply, {"error": {"class": ..., "desc": ...}}."""

    def __init__(self, message):
        super().__init__(message)
        self.class_name = message["error"].get("class")
        self.description = message["error"].get("desc")
        self.transaction_id = message.get("id")

    def __str__(self):
        return f"<QMP API error related to transaction {self.transaction_id} [{self.class_name}]: {self.description}>"


__all__ = ["QMPAPIError", "QMPSession"]
