"""pdb, Python's debugger, for a client on a TCP port. test_driver.debug imports this module at the first breakpoint."""

import contextlib
import errno
import pdb
import socket
import sys


def _listen(host, port):
    """Returns a listening socket, at a free port if `port` is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            listener.close()
            raise
        listener.bind((address[0], 0))
    listener.listen(1)
    return listener


class RemotePdb(pdb.Pdb):
    """A debugger that the script survives: `quit`, the end of the client, and `continue` without breakpoints let the
    script go on without the debugger. Only Ctrl-C at the driver's terminal (KeyboardInterrupt) ends the script."""

    def __init__(self, host, port, log, on_close):
        """Waits, without limit, for a client. host, port: the address to listen on; a free port if that one is taken.
        log: a function that is given lines for the log. on_close: a function without arguments that is called when the
        client is gone. OSError if the address cannot be listened on."""
        with _listen(host, port) as listener:
            log("RemotePdb session open at {}:{}, waiting for connection ...".format(*listener.getsockname()[:2]))
            self._connection, address = listener.accept()
        log(f"RemotePdb accepted connection from {address!r}.")
        # Telnet clients want CR LF and send it; others send LF alone.
        reader = self._connection.makefile("r", encoding="utf-8", errors="replace")
        writer = self._connection.makefile("w", encoding="utf-8", errors="replace", newline="\r\n")
        super().__init__(stdin=reader, stdout=writer, nosigint=True, readrc=False)
        self._on_close = on_close
        self.closed = False

    def set_trace(self, frame=None):
        sys.settrace(None)  # with tracing on, pdb would trace its own set-up
        super().set_trace(frame or sys._getframe().f_back)  # must be the last call: later ones would be traced

    def get_stack(self, f, t):
        stack, index = super().get_stack(f, t)
        own = [i for i, (frame, _) in enumerate(stack) if frame.f_code.co_filename == "<string>"]
        return stack, own[-1] if t and own else index  # after a failure: the script's innermost frame

    def interaction(self, *where):
        try:
            super().interaction(*where)
        except OSError:  # the connection has failed; pdb itself catches errors of what the client executes
            self.set_quit()

    def cmdloop(self, intro=None):
        try:
            super().cmdloop(intro)
        except KeyboardInterrupt:  # pdb would only print a line and go on
            raise SystemExit(130) from None

    def user_return(self, frame, return_value):
        super().user_return(frame, return_value)
        if frame is self.botframe:  # the script ends here; the driver's own code follows
            self.set_quit()

    def set_continue(self):
        super().set_continue()
        if not self.breaks:
            self._close()

    def set_quit(self):
        self.clear_all_breaks()
        self.set_continue()

    def _close(self):
        if self.closed:
            return
        self.closed = True
        for part in self.stdout, self.stdin, self._connection:
            with contextlib.suppress(OSError):
                part.close()
        self._on_close()
