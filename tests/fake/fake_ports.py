"""The ports of the fake machine that come and go by QMP. A port is a pseudo-terminal in raw mode."""

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import tty
from pathlib import Path

from fake_settings import Failure, setting


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


class OpenCount:
    """How often a file is open, by what inotify(7) tells of a path since it was made."""

    OPEN, CLOSE = 0x20, 0x18

    def __init__(self, path):
        libc = ctypes.CDLL(None)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        libc.inotify_add_watch(self.fd, os.fsencode(path), self.OPEN | self.CLOSE)
        self.count = 0

    def changes(self):
        """Whether the file is open, once for each time that this has changed since the last call."""
        data = os.read(self.fd, 65536)
        for mask, in struct.iter_unpack("=4xI8x", data):  # without names, as for a file that is watched itself
            before = self.count
            self.count += 1 if mask & self.OPEN else -1 if mask & self.CLOSE else 0
            if bool(before) != bool(self.count):
                yield bool(self.count)


class Port:
    """A port in the guest: a directory of the class, and a device. Here, one slave of the pseudo-terminal stays open,
    so that the guest's processes may open and close it as often as they like."""

    def __init__(self, chardev, name, changed, runs):
        self.chardev, self.name, self.changed, self.runs = chardev, name, changed, runs
        self.files = []

    def add(self, ports, devices):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        # It is the terminal of a session, lest it becomes that of the first process that opens it.
        self.owner = subprocess.Popen(["sleep", "infinity"], stdin=self.slave, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        number = 1
        while (ports / f"vport0p{number}").exists():
            number += 1
        self.files = [ports / f"vport0p{number}", devices / f"vport0p{number}"]
        self.files[0].mkdir(parents=True)
        devices.mkdir(parents=True, exist_ok=True)
        self.files[1].unlink(missing_ok=True)
        self.files[1].symlink_to(os.ttyname(self.slave))
        self.opened = OpenCount(os.ttyname(self.slave))
        (self.files[0] / "name").write_text(f"{self.name}\n")
        self.wake, self.woken = os.pipe()
        self.forwarder = threading.Thread(target=self.forward, daemon=True)
        self.forwarder.start()

    def give_end(self):
        """The guest's next read, or the one that waits, finds the end, when the guest has read everything."""
        if int.from_bytes(fcntl.ioctl(self.slave, termios.FIONREAD, bytes(4)), sys.byteorder):
            return
        mode = termios.tcgetattr(self.slave)
        mode[3] |= termios.ICANON
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        os.write(self.master, mode[6][termios.VEOF])

    def forward(self):
        """Passes bytes on, in both directions, until the port is removed. When QEMU's side has ended, what the guest
        writes is dropped. Nothing is passed on while `runs` is not set."""
        host, guest = self.chardev.fileno(), self.master
        os.set_blocking(host, False)
        os.set_blocking(guest, False)
        to_guest, to_host, ended = b"", b"", False
        while True:
            wait = select.poll()
            wait.register(self.wake, select.POLLIN)
            runs = self.runs.is_set()
            if runs:
                wait.register(self.opened.fd, select.POLLIN)
                wait.register(guest, (not to_host and select.POLLIN) | (to_guest != b"" and select.POLLOUT))
            if runs and not ended and (not to_guest or to_host):
                wait.register(host, (not to_guest and select.POLLIN) | (to_host != b"" and select.POLLOUT))
            ready = dict(wait.poll(None if runs and not ended else 10))
            if self.wake in ready:
                break
            if not runs or not self.runs.is_set():
                continue
            if self.opened.fd in ready and not to_host:
                for change in self.opened.changes():
                    self.changed(change)
            try:
                if ready.get(guest, 0) & select.POLLIN:
                    to_host = os.read(guest, 65536)
                if ready.get(guest, 0) & select.POLLOUT:
                    to_guest = to_guest[os.write(guest, to_guest):]
                if not to_guest and ready.get(host, 0) & (select.POLLIN | select.POLLHUP):
                    to_guest = os.read(host, 65536)
                    ended = not to_guest
                if ready.get(host, 0) & select.POLLOUT:
                    to_host = to_host[os.write(host, to_host):]
                if ended and not to_guest:
                    to_host = b""
                    self.give_end()
            except BlockingIOError:
                pass
            except OSError:
                ended, to_host = True, b""
        self.owner.kill()
        self.owner.wait()
        os.close(self.master)
        os.close(self.slave)
        os.close(self.opened.fd)

    def remove(self):
        if self.files:
            (self.files[0] / "name").unlink()
            self.files[0].rmdir()
            self.files[1].unlink()
            os.close(self.woken)
            self.forwarder.join()
            os.close(self.wake)


class Ports:
    """The ports, by their ids, and QMP's commands for them."""

    def __init__(self, machine):
        self.machine = machine
        self.chardevs, self.by_id = {}, {}
        self.commands = {"chardev-add": self.add_chardev, "chardev-remove": self.remove_chardev,
                         "device_add": self.add_device, "device_del": self.remove_device}

    def add_chardev(self, id, backend):
        assert backend["type"] == "socket" and not backend["data"]["server"], backend
        if id in self.chardevs:
            raise Failure(f"Chardev '{id}' already exists")
        try:
            self.chardevs[id] = connect(backend["data"]["addr"]["data"]["path"])
        except OSError as error:
            raise Failure(f"Failed to add chardev '{id}': {error}")
        return {}

    def remove_chardev(self, id):
        if any(port.chardev is self.chardevs.get(id) for port in self.by_id.values()):
            raise Failure(f"Chardev '{id}' is busy")
        if id not in self.chardevs:
            raise Failure(f"Chardev '{id}' not found")
        self.chardevs.pop(id).close()
        return {}

    def add_device(self, driver, id, chardev, name):
        assert driver == "virtserialport", driver
        if setting("PORT") == "refuse":
            raise Failure("No 'virtio-serial-bus' bus found for device 'virtserialport'")
        port = self.by_id[id] = Port(self.chardevs[chardev], name,
                                     lambda open: self.machine.send_event("VSERPORT_CHANGE", id=id, open=open),
                                     self.machine.runs)

        def add():
            if self.by_id.get(id) is port:
                port.add(Path(self.machine.guest_places["NTD_PORTS"]), Path(self.machine.guest_places["NTD_DEV"]))

        if setting("PORT") == "late":
            threading.Timer(1, add).start()
        else:
            add()
        return {}

    def remove_device(self, id):
        if id not in self.by_id:
            raise Failure(f"Device '{id}' not found")
        self.by_id[id].remove()

        def gone():
            del self.by_id[id]
            self.machine.send_event("DEVICE_DELETED", device=id, path=f"/machine/peripheral/{id}")

        self.machine.after_reply.append(gone)
        return {}
