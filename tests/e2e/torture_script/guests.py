"""The guests, as they are seen without the driver's channels: what is killed in them, and what is left."""

def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Fake:
    """The fake guest, whose processes are the host's; they have this run's mark in their environment."""

    MARK = f"NTD_E2E={os.environ['NTD_E2E']}".encode()
    directory = str(machine.state_dir / "torture")
    odds = {"agent": 45, "shell": 35, "qemu": 20}
    busy = 0.5  # seconds that operations take
    errors = ["which the guest does not share"]  # copies without the agent
    # The same copies, when QEMU is killed before the driver has asked why they fail.
    errors_of_qemu = [r"command `cp -r /tmp/shared/\S+ \S+` failed \(exit code 1\)"]

    def __init__(self):
        self.shells = set()
        self.began = time.time()
        self.mine = self.processes()

    def attach(self):
        """The guest has booted: as in a memory that it has lost, there are no files of the last boot."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def detach(self):
        pass

    def processes(self):
        """Returns {pid: (name, parent, command)}."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if self.MARK not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    continue
                name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if rest.split()[0] not in "ZX":
                    found[int(pid)] = name, int(rest.split()[1]), command.strip()
            except OSError:
                pass
        return found

    def find(self, victim):
        processes = self.processes()
        qemus = [pid for pid, (_, parent, command) in processes.items()  # not what it has forked
                 if "run-machine-vm" in command and processes.get(parent, ("",) * 3)[2] != command]
        shells = {pid for pid, (_, parent, command) in processes.items()
                  if command == "bash --norc" and parent in qemus}
        self.shells |= shells
        agents = [pid for pid, (name, parent, _) in processes.items() if name == "ntd-agent" and parent in shells]
        return {"agent": agents, "shell": sorted(shells), "qemu": qemus}[victim]

    def kill(self, victim):
        """Returns when the victim has ended, and an agent with its shell: on a busy host, they can still answer for a
        while."""
        pids = self.find(victim)[-1:]
        ending = pids + (self.find("agent") if pids and victim == "shell" else [])
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(runs, ending)), HANG)
        return bool(pids)

    def left(self):
        """Returns what should not be there when no operation goes on."""
        driver = self.mine[os.getpid()][2]
        found = [f"{pid} {command or name}" for pid, (name, _, command) in self.processes().items()
                 if name != "ntd-agent" and "run-machine-vm" not in command
                 and command not in (driver, "bash --norc", "sleep infinity")]
        agents = [pid for pid, (name, _, _) in self.processes().items() if name == "ntd-agent"]
        found += [f"agents {agents}"] if len(agents) > 1 else []
        found += [str(path) for place in SHELL_PLACES for pid in self.shells
                  for path in Path(place).glob(f".ntd-*{pid}") if path.stat().st_mtime > self.began and path.stat().st_size]
        found += map(str, Path(self.directory).glob(".ntd-*"))
        ports = list((machine.state_dir / "virtio-ports").glob("*"))
        return found + ([f"ports {ports}"] if len(ports) > 2 else [])


# What runs in the tiny guest beside the driver's channels: a bash that starts no processes and does what is asked for
# on a connection with the script. It belongs to no session of the root shell's.
KILLER = r"""
exec 3<> /dev/tcp/10.0.2.2/PORT
name() { read -r name < $p/comm && mapfile -d "" words < $p/cmdline; } 2> /dev/null
parent() { read -r line < $p/stat && set -- ${line##*) } && parent=$2; } 2> /dev/null
shells() { shells=; for p in /proc/[0-9]*; do
    name && [ "${words[*]}" = "bash --norc /dev/hvc0" ] && parent && [ $parent = 1 ] && shells="$shells ${p#/proc/}"
done; }
agents() { agents=; for p in /proc/[0-9]*; do
    name && [ "$name" = ntd-agent ] && parent && [[ " $shells " = *" $parent "* ]] && agents="$agents ${p#/proc/}"
done; }
left() {
    n=0
    for p in /proc/[0-9]*; do
        name || continue
        [ "$name" = ntd-agent ] && n=$((n + 1)) && continue
        case "${p#/proc/} ${words[*]}" in
        "1 "*|*" "|"$$ "*|*" -sh"|*" sh -i"|*" bash --norc /dev/hvc0"|*" /bin/bash /etc/backdoor") ;;
        *) echo -n "${p#/proc/} ${words[*]};" ;;
        esac
    done
    [ $n -le 1 ] || echo -n "$n agents;"
    shopt -s nullglob
    for f in {/run,/dev/shm,/tmp,/root,/tmp/torture}/.ntd-*; do [ -s $f ] && echo -n "$f;"; done
    set -- /sys/class/virtio-ports/*/name
    [ $# -le 3 ] || echo -n "$# ports;"
}
while read -r what <&3; do
    case $what in
    agent) shells; agents; victim=$agents ;;
    shell) shells; victim=$shells ;;
    left) left; echo; continue ;;
    esac
    [ "$victim" ] && kill -KILL $victim && echo yes || echo no
done >&3
"""


class Tiny:
    """The tiny guest, in a real QEMU."""

    directory = "/tmp/torture"
    odds = {"agent": 50, "shell": 40, "qemu": 10}
    busy = 1.5
    errors = errors_of_qemu = []

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)
        self.connection = None

    def attach(self):
        """Has the killer run in a guest that has just booted."""
        self.detach()
        text = KILLER.replace("PORT", str(self.listener.getsockname()[1]))
        machine.succeed(f"mkdir -p {self.directory}; cat > /tmp/killer <<'END'\n{text}\nEND\n"
                        "setsid bash /tmp/killer < /dev/null > /tmp/killer.log 2>&1 &")
        self.connection = self.listener.accept()[0]
        self.connection.settimeout(60)
        self.stream = self.connection.makefile("rw")

    def detach(self):
        if self.connection:
            self.stream.close()
            self.connection.close()
            self.connection = None

    def ask(self, what):
        self.stream.write(what + "\n")
        self.stream.flush()
        return self.stream.readline().strip()

    def kill(self, victim):
        if victim == "qemu":
            os.kill(qemu(machine), signal.SIGKILL)
            return True
        return self.ask(victim) == "yes"

    def left(self):
        return [part for part in self.ask("left").split(";") if part.strip()]
