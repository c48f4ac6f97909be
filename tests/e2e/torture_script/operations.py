"""What the threads do. Each operation is a function of a random number generator and a unique word, which chooses at
once and returns the work, a function that fails unless the result is right. Where it has another, `after`, that one looks
at what is there when the next commands work again, and is told whether the work has succeeded, and whether it had an
agent: a copy without it is made by `cp`, which leaves a part of a file when it is killed.
"""

work = Path(os.environ["TMPDIR"]) / "torture"
work.mkdir()


def text_of(rng, size):
    return "".join(rng.choices("abcdefgh\n", k=1000)) * (size // 1000 + 1)


def same(seen, expected):
    if seen != expected:
        raise Fault(f"{str(seen)[:200]!r} instead of {str(expected)[:200]!r}")


def short(rng, word):
    return lambda: same(machine.succeed(f"echo {word}"), f"{word}\n")


def status(rng, word):
    code, timeout = rng.randrange(1, 100), rng.choice([None, 60])
    return lambda: same(machine.execute(f"echo {word}; exit {code}", timeout=timeout), (code, f"{word}\n"))


def slow(rng, word):
    seconds, timeout = rng.uniform(0.1, 1.5), rng.choice([None, 60])
    return lambda: same(machine.execute(f"sleep {seconds:.2f}; echo {word}", timeout=timeout), (0, f"{word}\n"))


def timed_out(rng, word):
    return lambda: same(machine.execute(f"echo {word}; sleep 2", timeout=1), (124, f"{word}\n"))


def output(rng, word):
    count, timeout = rng.choice([1000, 20_000, 150_000]), rng.choice([None, 60])
    expected = "".join(f"{number}\n" for number in range(1, count + 1)) + word
    return lambda: same(machine.execute(f"seq {count}; printf {word}", timeout=timeout), (0, expected))


def trickle(rng, word):
    """An output that comes in the course of a second."""
    def run():
        seen = []
        same(machine.execute(f"for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; echo {word}", on_output=seen.append),
             (0, f"1\n2\n3\n4\n5\n{word}\n"))
        same("".join(seen), f"1\n2\n3\n4\n5\n{word}\n")
    return run


def errors_apart(rng, word):
    def run():
        try:
            same(machine.execute(f"echo {word}; echo wrong >&2", stderr=True), (0, f"{word}\n", "wrong\n"))
        except ValueError as error:  # there is no agent
            if "does not keep standard error apart" not in str(error):
                raise
    return run


def long_text(rng, word):
    size = rng.choice([10_000, 130_000, 700_000])
    return lambda: same(machine.execute(f": {'x' * size}; echo {word}"), (0, f"{word}\n"))


def make_later(rng, word):
    """The text of a command that has a file made in the course of the next second, and the path of the file. When the
    command has ended, what makes the file is in a session of its own: it outlives a shell that is killed then, whose
    process group gets SIGHUP."""
    path = f"{guest.directory}/{word}"
    text = f"mkdir -p {guest.directory}; sleep {rng.uniform(0, 1):.2f}; echo {word} > {path}"
    return f": $(setsid sh -c 'exec > /dev/null 2>&1; {text}' < /dev/null &)", path


def wait_file(rng, word):
    text, path = make_later(rng, word)

    def run():
        machine.succeed(text)
        machine.wait_for_file(path, timeout=60)
        same(machine.succeed(f"cat {path}"), f"{word}\n")
    return run


def wait_success(rng, word):
    text, path = make_later(rng, word)

    def run():
        machine.succeed(text)
        same(machine.wait_until_succeeds(f"grep {word} {path}", timeout=60), f"{word}\n")
    return run


def put(rng, word, copy=None):
    """The target of a small file is whole or not there, as `after` asserts. A large one is copied as by `cp`."""
    path, size = work / word, rng.choice([10, 100_000, 3_000_000] if copy else [10, 100_000, 3_000_000, 6_000_000])
    path.write_text(text_of(rng, size))

    def run():
        (copy or machine.copy_from_host)(str(path), f"{guest.directory}/{word}")

    def after(done, had_agent):
        found = machine.execute(f"cat {guest.directory}/{word}")
        may_be_a_part = copy or size > 4_000_000 or not had_agent
        if done or not (found[0] or may_be_a_part):
            same(found, (0, path.read_text()))
    run.after = after
    return run


def put_via_shell(rng, word):
    return put(rng, word, copy=machine.copy_from_host_via_shell)


def put_tree(rng, word):
    tree = work / word
    (tree / "a/b").mkdir(parents=True)
    for number in range(20):
        (tree / f"a/b/{number}").write_text(f"{word} {number}\n" * rng.choice([1, 5000]))
    expected = "".join((tree / f"a/b/{number}").read_text() for number in range(20))

    def run():
        machine.copy_from_host(str(tree), f"{guest.directory}/{word}")

    def after(done, had_agent):
        found = machine.execute(f"cd {guest.directory}/{word}/a/b && cat $(seq 0 19)")
        if done or not (found[0] or not had_agent):
            same(found, (0, expected))
        elif had_agent:
            same(machine.execute(f"test -e {guest.directory}/{word}")[0], 1)
    run.after = after
    return run


def get(rng, word):
    count = rng.choice([1000, 300_000])
    expected = "".join(f"{number}\n" for number in range(1, count + 1))

    def run():
        machine.succeed(f"mkdir -p {guest.directory}; seq {count} > {guest.directory}/{word}")
        machine.copy_from_machine(f"{guest.directory}/{word}", word)

    def after(done, had_agent):
        path = machine.out_dir / word / word
        if done or path.exists():
            same(path.read_text(), expected)
        same([str(path) for path in (machine.out_dir / word).glob(".*")], [])
    run.after = after
    return run


OPERATIONS = [short, short, status, slow, timed_out, output, output, trickle, errors_apart, long_text, wait_file,
              wait_success, put, put_via_shell, put_tree, get]


class Operation(threading.Thread):
    def __init__(self, rng, word):
        super().__init__(daemon=True)
        make = rng.choice(OPERATIONS)
        self.kind, self.work = make.__name__, make(rng, word)
        self.error = self.trace = self.ended = None

    def run(self):
        try:
            self.work()
        except Exception as error:
            self.error, self.trace = error, traceback.format_exc()
        self.ended = time.monotonic()
