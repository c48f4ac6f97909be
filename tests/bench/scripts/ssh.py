# Measures a command and copies of 64 MB over SSH beside OpenSSH's programs, on one guest: ssh with a connection that is
# kept (ControlMaster), and scp on the same connection. The two take turns, so that both see the same load of the host.
import hashlib
import os
import statistics
import subprocess
from pathlib import Path

from measure import duration, report
from test_driver.image_machine import create_image_machine
from test_driver.ssh_key import run_key

CALLS, COPIES = 60, 6
directory = Path(os.environ["BENCH_RESULT"]).parent
machine = create_image_machine(os.environ["BENCH_ISO"])
machine.succeed("true")

program, *options = machine.ssh_command(key=run_key().private)
port = options.index("-p")
kept = [f"-oControlPath={directory}/kept", "-oControlMaster=auto", "-oControlPersist=600", *options[:port]]
ssh = [program, *kept, *options[port:]]
scp = ["scp", "-q", *kept, "-P", options[port + 1]]
there = f"{options[port + 2]}:/tmp"


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


run(*ssh, "true")  # makes the connection that is kept
samples = {name: [] for name in ("execute", "ssh", "put", "scp_put", "get", "scp_get")}
for _ in range(CALLS):
    samples["execute"].append(duration(machine.execute, "true"))
    samples["ssh"].append(duration(run, *ssh, "true"))

source = directory / "source"
source.write_bytes(os.urandom(64_000_000))
copies = {
    "put": lambda: machine.copy_from_host(str(source), "/tmp/ours"),
    "scp_put": lambda: run(*scp, str(source), f"{there}/theirs"),
    "get": lambda: machine.copy_from_machine("/tmp/ours", str(directory)),
    "scp_get": lambda: run(*scp, f"{there}/theirs", str(directory)),
}
# An emulated guest takes three times as long for its first copies, which are not counted. Who is first takes turns.
for number in range(COPIES + 1):
    for pair in (("put", "scp_put"), ("get", "scp_get")):
        for name in pair[:: -1 if number % 2 else 1]:
            seconds = duration(copies[name]) / 1000
            if number:
                samples[name].append(seconds)
assert digest(directory / "ours") == digest(directory / "theirs") == digest(source)
run(*ssh, "-O", "exit")

figures = {name: statistics.median(collected) for name, collected in samples.items()}
figures |= {f"{ours}_ratio": figures[ours] / figures[theirs]
            for ours, theirs in (("execute", "ssh"), ("put", "scp_put"), ("get", "scp_get"))}
report(figures)
machine.crash()
