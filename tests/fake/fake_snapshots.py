"""States of the fake guest: saved in a disk and loaded again, and moved through a file. They consist of the names of
the ports and of the files below guest-state, in the state directory. Those who load a state in another process of the
fake machine get this, too. Where it is loaded in the same one, processes of the shell that have begun since then are
killed, and what the shell has not told yet is dropped; the shell itself goes on.

A state with the tag T in the disk F is the file F.d/T.state, as if it were in F; it is empty in the disks that do not
get the guest's memory. While it is written, it is called F.d/T.incomplete.
"""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

from fake_disks import state_file
from fake_settings import Failure, changeable

FILES = "guest-state"
DESCRIPTION = "state.json"


def pack(machine):
    import tarfile  # takes a while

    state = {"ports": sorted(machine.ports.by_id), "pid": os.getpid(), "processes": machine.guest_processes()}
    text, packed = json.dumps(state).encode(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(DESCRIPTION)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
        if os.path.isdir(FILES):
            archive.add(FILES)
    return packed.getvalue()


def unpack(machine, packed):
    """Loads a state as a generator, which yields while nothing goes on."""
    import tarfile

    try:
        archive = tarfile.open(fileobj=io.BytesIO(packed))
    except tarfile.TarError:
        raise Failure("Error -22 while loading VM state")
    with archive:
        state = json.load(archive.extractfile(DESCRIPTION))
        ports = sorted(machine.ports.by_id)
        if state["ports"] != ports:
            print(f"qemu: Unknown savevm section or instance: {ports} instead of {state['ports']}. "
                  "Make sure that your current VM setup matches your saved VM setup, including any hotplugged devices",
                  file=sys.stderr, flush=True)
            raise Failure("Error -22 while loading VM state")
        shutil.rmtree(FILES, ignore_errors=True)
        yield from faults("LOAD")
        archive.extractall(members=[member for member in archive if member.name != DESCRIPTION])
    machine.restored(state["processes"] if state["pid"] == os.getpid() else None)


def faults(name):
    """Obeys FAKE_SAVE or FAKE_LOAD as a generator, which yields while nothing goes on."""
    for word in changeable(name).split():
        if word == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "full":
            raise Failure("Error while writing VM state: No space left on device")
        elif word == "hangs":
            yield
        elif word == "stuck":
            while True:
                with contextlib.suppress(Failure):
                    yield
        else:
            time.sleep(float(word))


def blockers():
    return [line for line in changeable("BLOCKERS").replace("\\n", "\n").splitlines() if line]


class Snapshots:
    def __init__(self, machine, disks, jobs):
        self.machine, self.disks, self.jobs = machine, disks, jobs
        self.commands = {f"snapshot-{verb}": self.command(f"snapshot-{verb}", getattr(self, verb))
                         for verb in ("save", "load", "delete")}

    def command(self, type, work):
        def start(job_id, tag, devices, **vmstate):
            return self.jobs.start(job_id, type, work(tag, devices, **vmstate))

        return start

    def from_monitor(self, word, tag):
        """Does savevm, loadvm or delvm, and returns the text that the monitor shows."""
        verbs = {"savevm": self.overwrite, "loadvm": self.load, "delvm": self.delete}
        try:
            for _ in verbs[word](tag, None):
                threading.Event().wait()
        except Failure as failure:
            return f"Error: {failure}\r\n"
        return ""

    def place(self, nodes, vmstate):
        if vmstate is not None and vmstate not in nodes:
            raise Failure(f"vmstate block device '{vmstate}' does not exist")
        if not nodes:
            raise Failure("no block device can store vmstate for snapshot")
        return nodes[vmstate or next(iter(nodes))]

    def overwrite(self, tag, devices):
        yield from self.delete(tag, devices)
        yield from self.save(tag, devices)

    def save(self, tag, devices, vmstate=None):
        if blockers():
            raise Failure(blockers()[0])
        nodes = self.disks.with_states(devices)
        if all(state_file(node, tag).exists() for node in nodes.values()):
            raise Failure(f"Snapshot '{tag}' already exists in one or more devices")
        place = self.place(nodes, vmstate)
        running = self.machine.is_running()
        self.machine.stop("save-vm")
        try:
            packed = pack(self.machine)
            for node in nodes.values():
                state_file(node, tag).parent.mkdir(exist_ok=True)
            incomplete = state_file(place, tag).with_suffix(".incomplete")
            incomplete.write_bytes(packed[: len(packed) // 2])
            try:
                yield from faults("SAVE")
                for node in nodes.values():
                    state_file(node, tag).write_bytes(packed if node is place else b"")
            finally:
                incomplete.unlink()
        finally:
            if running:
                self.machine.set_status("running")

    def load(self, tag, devices, vmstate=None):
        running = self.machine.is_running()
        self.machine.stop("restore-vm")
        nodes = self.disks.with_states(devices)
        if not all(state_file(node, tag).exists() for node in nodes.values()):
            raise Failure(f"Snapshot '{tag}' does not exist in one or more devices")
        packed = state_file(self.place(nodes, vmstate), tag).read_bytes()
        if not packed:
            raise Failure("This is a disk-only snapshot. Revert to it offline using qemu-img")
        yield from unpack(self.machine, packed)
        if running:
            self.machine.set_status("running")

    def delete(self, tag, devices):
        for node in self.disks.with_states(devices).values():
            state_file(node, tag).unlink(missing_ok=True)
        yield from ()


class Migration:
    """Moves the guest to another process by a file or a pipe."""

    def __init__(self, machine, incoming):
        self.machine, self.incoming = machine, incoming
        self.state, self.work, self.sends_events = {}, None, False
        self.commands = {"query-migrate": self.query, "migrate_cancel": self.cancel, "migrate": self.migrate,
                         "migrate-incoming": self.migrate_incoming, "migrate-set-parameters": lambda **_: {},
                         "migrate-set-capabilities": self.set_capabilities}

    def query(self):
        return {**self.state, **({"blocked-reasons": blockers()} if blockers() else {})}

    def set_capabilities(self, capabilities):
        for one in capabilities:
            if one["capability"] == "events":
                self.sends_events = one["state"]
        return {}

    def enter(self, status, **others):
        self.state = {"status": status, **others}
        if self.sends_events:
            self.machine.send_event("MIGRATION", status=status)

    def start(self, work):
        self.work = work
        self.enter("setup")
        self.machine.after_reply.append(lambda: self.advance(lambda: next(work)))
        return {}

    def advance(self, step):
        try:
            step()
        except StopIteration:
            self.enter("completed")
        except Failure as failure:
            self.enter("cancelled" if str(failure) == "cancelled" else "failed", **{"error-desc": str(failure)})
            if self.machine.status == "inmigrate":
                print(f"qemu: load of migration failed: {failure}", file=sys.stderr, flush=True)
                os._exit(1)

    def cancel(self):
        if self.state.get("status") == "active":
            self.advance(lambda: self.work.throw(Failure("cancelled")))
        return {}

    def migrate(self, uri, **others):
        if blockers():
            raise Failure(blockers()[0])
        command = self.shell_command(uri, "cat >")

        def work():
            self.enter("active")
            running = self.machine.is_running()
            self.machine.stop("finish-migrate")
            try:
                yield from faults("SAVE")
                done = subprocess.run(command, input=pack(self.machine), shell=True)
                if done.returncode:
                    raise Failure("Unable to write to command: Broken pipe")
            except Failure:
                if running:
                    self.machine.set_status("running")
                raise
            self.machine.set_status("postmigrate")

        return self.start(work())

    def migrate_incoming(self, uri, **others):
        if not self.incoming:
            raise Failure("'-incoming' was not specified on the command line")
        if self.state:
            raise Failure("The incoming migration has already been started")
        command = self.shell_command(uri, "cat")

        def work():
            self.enter("active")
            yield from unpack(self.machine, subprocess.run(command, stdout=subprocess.PIPE, shell=True).stdout)
            self.machine.set_status("paused" if self.machine.arguments.begins_stopped else "running")

        return self.start(work())

    def shell_command(self, uri, cat):
        """Only exec: is one of QEMU 7.2."""
        kind, _, rest = uri.partition(":")
        if kind == "exec":
            return rest
        if kind == "file":
            return f"{cat} {shlex.quote(rest)}"
        raise Failure("Parameter 'uri' expects a valid migration protocol")
