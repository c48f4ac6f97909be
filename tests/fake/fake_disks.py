"""Block nodes and jobs of the fake machine, as QEMU 7.2 has them."""

import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

from fake_settings import Failure, changeable

QCOW2 = b"QFI\xfb"  # with which such files begin


class Jobs:
    """Jobs that QMP's commands start. As with QEMU, whose main loop does nothing meanwhile, the work is done before the
    reply is sent, and the job ends after it. The work is a generator, which yields if it goes no further; a Failure is
    then thrown into it by job-cancel."""

    def __init__(self, machine):
        self.machine, self.by_id = machine, {}
        self.commands = {"query-jobs": self.query, "job-cancel": self.cancel, "job-dismiss": self.dismiss}

    def start(self, id, type, work):
        if id in self.by_id:
            raise Failure(f"Job ID '{id}' already in use")
        job = self.by_id[id] = {"id": id, "type": type, "current-progress": 0, "total-progress": 1}
        self.enter(job, "created", "running")
        self.advance(job, lambda: next(work))
        job["work"] = work
        return {}

    def advance(self, job, step):
        try:
            step()
            return
        except StopIteration:
            end = "waiting", "pending", "concluded"
        except Failure as failure:
            job["error"] = str(failure)
            end = "aborting", "concluded"
        job["current-progress"] = 1
        self.machine.after_reply.append(lambda: self.enter(job, *end))

    def enter(self, job, *states):
        for state in states:
            job["status"] = state
            self.machine.send_event("JOB_STATUS_CHANGE", status=state, id=job["id"])

    def find(self, id, verb):
        if id not in self.by_id:
            raise Failure("Job not found")
        job = self.by_id[id]
        if (verb == "dismiss") != (job["status"] == "concluded"):
            raise Failure(f"Job '{id}' in state '{job['status']}' cannot accept command verb '{verb}'")
        return job

    def query(self):
        return [{key: value for key, value in job.items() if key != "work"} for job in self.by_id.values()]

    def cancel(self, id):
        job = self.find(id, "cancel")
        self.advance(job, lambda: job["work"].throw(Failure("Operation canceled")))
        return {}

    def dismiss(self, id):
        self.enter(self.find(id, "dismiss"), "null")
        del self.by_id[id]
        return {}


def state_file(node, tag):
    """The file that has the state with this tag which is in the qcow2 file of a node."""
    return Path(f"{node['file']}.d", f"{quote(tag, '')}.state")


class Disks:
    """Nodes are dictionaries as query-block shows them below `inserted`."""

    def __init__(self, machine, jobs):
        self.machine, self.jobs = machine, jobs
        self.added = {}  # by their names; `below` is the name of another node
        self.commands = {"query-block": self.query, "query-named-block-nodes": self.query_nodes,
                         "blockdev-create": self.create, "blockdev-add": self.add, "blockdev-del": self.remove}

    def of_guest(self):
        """The guest's disks: one with qcow2, unless FAKE_DISKS tells others."""
        disks = json.loads(changeable("DISKS") or "[{}]")
        return [self.node(f"#block{100 + number}", **{"file": f"{self.machine.name}{number or ''}.qcow2", **disk})
                for number, disk in enumerate(disks)]

    def node(self, name, file, drv="qcow2", **others):
        file = os.path.abspath(file)
        return {"node-name": name, "drv": drv, "ro": False, "file": file, "encrypted": False, "backing_file_depth": 0,
                "image": {"filename": file, "format": drv, "virtual-size": 1 << 30}, **others}

    def named(self):
        return {node["node-name"]: node for node in [*self.of_guest(), *self.added.values()]}

    def query(self):
        return [{"device": f"drive{number}", "type": "unknown", "locked": False, "removable": False, "io-status": "ok",
                 "qdev": f"/machine/peripheral-anon/device[{number}]/virtio-backend", "inserted": node}
                for number, node in enumerate(self.of_guest())]

    def query_nodes(self, flat=False):
        return list(self.named().values())

    def with_states(self, names):
        """The nodes of these names, which must be able to have states of the guest. None: all that the guest or nobody
        uses."""
        nodes = self.named()
        if names is None:
            used = {node.get("below") for node in nodes.values()}
            names = [name for name in nodes if name not in used]
        if not names:
            raise Failure("At least one device is required for snapshot")
        for name in names:
            if name not in nodes:
                raise Failure(f"No block device node '{name}'")
            if nodes[name]["drv"] != "qcow2" and not nodes[name]["ro"]:
                raise Failure(f"Device '{name}' is writable but does not support snapshots")
        return {name: nodes[name] for name in names if not nodes[name]["ro"]}

    def create(self, job_id, options):
        def work():
            if options["driver"] == "file":
                try:
                    Path(options["filename"]).write_bytes(b"")
                except OSError as error:
                    raise Failure(f"Could not create '{options['filename']}': {error.strerror}")
                shutil.rmtree(f"{options['filename']}.d", ignore_errors=True)
            elif options["file"] not in self.added:
                raise Failure(f"Cannot find device='' nor node-name='{options['file']}'")
            else:
                Path(self.added[options["file"]]["file"]).write_bytes(QCOW2)
            yield from ()

        return self.jobs.start(job_id, "create", work())

    def add(self, driver, node_name, filename=None, file=None, read_only=False, **others):
        if node_name in self.named():
            raise Failure(f"Duplicate nodes with node-name='{node_name}'")
        if isinstance(file, dict):
            filename, file = file["filename"], None
        if file is not None and file not in self.added:
            raise Failure(f"Cannot find device='' nor node-name='{file}'")
        path = filename or self.added[file]["file"]
        try:
            begin = Path(path).read_bytes()[:4]
        except OSError as error:
            raise Failure(f"Could not open '{path}': {error.strerror}")
        if driver == "qcow2" and begin != QCOW2:
            raise Failure("Image is not in qcow2 format")
        self.added[node_name] = self.node(node_name, path, driver, ro=read_only, **({"below": file} if file else {}))
        return {}

    def remove(self, node_name):
        if node_name not in self.named():
            raise Failure(f"Failed to find node with node-name='{node_name}'")
        if node_name not in self.added or any(node.get("below") == node_name for node in self.added.values()):
            raise Failure(f"Block device {node_name} is in use")
        del self.added[node_name]
        return {}
