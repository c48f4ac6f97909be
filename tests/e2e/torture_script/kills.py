"""The script of torture.py, which the driver runs: kills at random moments, and what must hold around them.

A kill is planned by the seed and its number alone, so that it can be repeated; what comes first in a race is up to the
host. Each kill has operations, which threads do at the same time, a victim and a moment:

    before  the victim is killed, then the operations begin
    launch  the agent has been killed, so that the operations have to launch it, and the victim is killed meanwhile
    within  the victim is killed while the operations go on
    boot    QEMU is killed while the guest boots

Then each operation must have ended in time, with its result or with an error that tells of the victim; the next
commands must work; and nothing may be left in the guest and in the driver.
"""

# ---- the life of the machine


def boot():
    machine.start(allow_reboot=True)
    machine.connect()
    guest.attach()


def recover(victim):
    """The next commands work. Some of them may be told of a victim that was idle, of whose end the driver did not know
    yet. Shells also end when they read what the last one has left, since it makes no sense."""
    for attempt in range(5):
        try:
            same(machine.succeed("echo well"), "well\n")
            same(machine.execute("echo again; exit 3", timeout=None), (3, "again\n"))
            return
        except Exception as error:
            if victim == "qemu" or attempt == (4 if victim == "shell" else 1) or not re.search(ERRORS[victim], str(error)):
                raise Fault(f"the next command: {error}") from error


def has_agent():
    return machine.succeed("cat /proc/$PPID/comm") == "ntd-agent\n"


def descriptors():
    """How many descriptors of each kind the driver has open."""
    kinds = collections.Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{fd}").split(":")[0].partition(" ")[0]] += 1
        except OSError:
            pass  # it was that of the directory, or another thread's
    return kinds


def check_nothing_left():
    if left := not wait_until(lambda: not guest.left(), SECONDS * slowness()) and guest.left():
        raise Fault(f"left in the guest: {left}")
    allowed = sum(descriptors_up.values()) + 6  # ports come and go
    if not wait_until(lambda: sum(descriptors().values()) <= allowed, SECONDS * slowness()):
        raise Fault(f"descriptors: {descriptors() - descriptors_up}")


def check_driver_is_empty():
    """All machines are down."""
    if not wait_until(lambda: not descriptors() - descriptors_down, SECONDS * slowness()):
        raise Fault(f"descriptors of a machine that is down: {descriptors() - descriptors_down}")


# ---- a kill


def plan(number):
    rng = random.Random(f"{SETTINGS['seed']}/{number}")
    victim = rng.choices(list(guest.odds), guest.odds.values())[0]
    moments = ["before", "launch", "within", "within", "within"] + (["boot"] if victim == "qemu" else [])
    moment = rng.choice(moments)
    delay = rng.uniform(0, rng.choice([0.05, guest.busy]))
    operations = [Operation(rng, f"word-{number}-{i}") for i in range(rng.choice([1, 1, 2, 3, 4]))]
    return victim, moment, delay, operations


def kill(victim):
    """Returns when, or None: there was nobody to kill."""
    when = time.monotonic()
    return when if guest.kill(victim) else None


def strike(victim, moment, delay, operations):
    if moment == "boot":
        machine.crash()
        machine.start()
        time.sleep(delay)
        return kill(victim)
    if moment == "launch":
        kill("agent")
    if moment == "before":
        when = kill(victim)
    for operation in operations:
        operation.start()
    if moment != "before":
        time.sleep(delay)
        when = kill(victim)
    return when


def judge(victim, operation, killed, launch):
    if operation.is_alive():
        raise Fault(f"{operation.kind} hangs")
    took = operation.ended - (killed or operation.ended)
    limit = (SECONDS + 3 * guest.busy) * slowness()
    if took > limit:
        raise Fault(f"{operation.kind} ended {took:.1f} s after the kill, the limit is {limit:.1f} s")
    error = operation.error
    if isinstance(error, Fault):
        raise Fault(f"{operation.kind}: {error}\n{operation.trace}")
    expected = "|".join([*([ERRORS[victim]] if killed else []), *([NO_AGENT] if launch else []), *guest.errors,
                         *(guest.errors_of_qemu if victim == "qemu" else [])])
    if error and not re.search(expected, f"{type(error).__name__}: {error}"):
        raise Fault(f"{operation.kind}: {operation.trace}")


def one_kill(number):
    """Returns what was done, for the log."""
    victim, moment, delay, operations = plan(number)
    told = f"{victim} {moment} {delay:.3f} " + " ".join(operation.kind for operation in operations)
    log.info(f"kill {number}: {told}")
    had_agent = moment != "launch" and has_agent()
    killed = strike(victim, moment, delay, operations)
    started = [operation for operation in operations if operation.ident]
    for operation in started:
        operation.join(HANG)
    for operation in started:
        judge(victim, operation, killed, moment == "launch")
    if victim == "qemu":
        guest.detach()
        if not wait_until(lambda: not machine.booted, SECONDS * slowness()):
            raise Fault("the machine counts as booted")
        check_driver_is_empty()
        boot()
    recover(victim)
    for operation in started:
        if hasattr(operation.work, "after") and (victim != "qemu" or operation.kind == "get"):
            operation.work.after(operation.error is None, had_agent)
    machine.succeed(f"rm -rf {guest.directory}/*")
    check_nothing_left()
    if not has_agent() and random.Random(number).random() < 0.7:
        guest.kill("shell")
        recover("shell")
    outcomes = ["error" if operation.error else "result" for operation in started]
    return f"{told}: {'killed' if killed else 'nobody there'}: {' '.join(outcomes)}"


def measure_baseline():
    """From a killed shell to a command by the agent."""
    began = time.monotonic()
    guest.kill("shell")
    recover("shell")
    return time.monotonic() - began


guest = {"fake": Fake, "tiny": Tiny}[SETTINGS["guest"]]()
descriptors_down = descriptors()
baseline = 0
boot()
recover("agent")
machine.execute("head -c 100000 /dev/zero")
baseline = max(measure_baseline() for _ in range(2))
machine.succeed(f"mkdir -p {guest.directory}")
descriptors_up = descriptors()
print(f"baseline {baseline:.2f} s")

faults = 0
for number in range(SETTINGS["first"], SETTINGS["first"] + SETTINGS["kills"]):
    try:
        print(f"{number} {one_kill(number)}", flush=True)
    except Exception as error:
        faults += 1
        print(f"FAULT at kill {number} of seed {SETTINGS['seed']} in the {SETTINGS['guest']} guest: "
              f"{error if isinstance(error, Fault) else traceback.format_exc()}", flush=True)
        if faults >= SETTINGS["faults"]:
            break
        machine.crash()
        boot()
machine.crash()
guest.detach()
check_driver_is_empty()
assert not faults, f"{faults} faults"
