"""The file that --report writes, without a browser: it is there at any moment, however the driver ends; and pages that
--report-from makes of old events."""

import base64
import gzip
import json
import os
import re
import subprocess

import pytest

import harness

FORMAT = {"monotonic": 5, "wall": "2026-01-01T00:00:00.000000Z", "kind": "format", "format": "nixos-test-driver-events", "version": 1}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class PageFile:
    """What a page has behind its head. `lines`: its data. `ended`, `pictures` (their names), `text` (all of it)."""

    def __init__(self, path):
        self.text = path.read_text(errors="strict").partition("\n})();\n</script>\n")[2]
        assert self.text or path.stat().st_size > 50_000, "there is no head"
        self.lines, self.pictures = [], []
        for kind, content in re.findall(r'<script type="text/x-ntd-(\w+)">(.*?)</script>\n', self.text, re.S):
            if kind == "lines":
                self.add(gzip.decompress(base64.b64decode(content, validate=True)).decode(), whole=True)
            elif kind == "picture":
                self.pictures.append(json.loads(content.partition("\n")[0]))
        _, there, tail = self.text.partition('<noscript class="tail"><ul class="plain">\n')
        self.ended = self.text.endswith('<script type="text/x-ntd-end">{}</script>\n</body></html>\n')
        self.killed = self.text.endswith('<script type="text/x-ntd-killed"></script>\n</body></html>\n')
        self.unwritten = self.text.endswith('<script type="text/x-ntd-unwritten"></script>\n</body></html>\n')
        if there:
            assert not self.ended
            for part in f"\n{tail}".split("\n<!--\n")[1:]:
                lines = re.split("\n(?:-->|<!-- -->)", part)[0]
                assert "<" not in lines
                self.add(lines + "\n", whole=False)

    def add(self, text, whole):
        assert text.endswith("\n") or not whole
        lines = text.split("\n")[:-1]
        if not whole and lines and not lines[-1].endswith(("]", "}")):
            lines.pop()  # the driver was killed while it wrote the line, which the page passes over
        self.lines += [json.loads(line) for line in lines]

    def texts(self, kind):
        return [line["text"] for line in self.lines if isinstance(line, dict) and line["kind"] == kind]

    @property
    def console(self):
        return [line[3] for line in self.lines if isinstance(line, list) and line[0] == "c"]


def page_of(script, vms, *, status=0, name="report.html", **named):
    with harness.Run(script, vms, options=["--report", name], **named) as run:
        result = run.finish()
        if status is not None and result.status != status:
            run.fail(f"exit status {result.status}, expected {status}")
        return PageFile(run.directory / "out" / name)


# ---- the file of a run


def test_a_page_has_everything(fake):
    page = page_of("""
        machine.succeed("echo on the console >&2; echo output")
    """, fake)
    assert page.ended and page.lines[0]["kind"] == "format"
    assert "on the console" in page.console
    assert "must succeed: echo on the console >&2; echo output" in page.texts("nest-begin")
    assert page.texts("run-end") == ["exit status 0"] and page.lines[-1]["kind"] == "run-end"
    command = next(line for line in page.lines if isinstance(line, dict) and line["kind"] == "command-end")
    assert command["attributes"]["output"] == "output\n" and (command["source"], command["line"]) == (1, 2)
    assert '<p class="verdict good">Passed after' in page.text


def test_where_the_page_is(fake, tmp_path):
    harness.run("machine.start()", fake, options=["--report", tmp_path / "here.html"])
    assert PageFile(tmp_path / "here.html").ended
    result = harness.run("machine.start()", fake, options=["--report", "no/such/directory"], status=2)
    assert "argument --report: " in result.err and "No such file or directory" in result.err
    result = harness.run("machine.start()", fake, options=["--report", tmp_path], status=2)
    assert f"argument --report: {tmp_path} is a directory" in result.err
    result = harness.run("machine.start()", fake, options=["--report", "/dev/full"])
    assert "cannot write /dev/full: No space left on device" in result.err


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6])
def test_a_killed_driver_leaves_what_it_has_told(fake, after):
    """Among so many lines the tail becomes a piece again and again, and the driver may be killed then, too."""
    page = page_of(f"""
        import threading
        machine.connect()
        threading.Timer({after}, os.kill, (os.getpid(), 9)).start()
        machine.execute("while :; do echo a line of some length, as there are many; done >&2")
    """, fake, status=137)
    assert not page.ended and page.killed and page.texts("run-end") == []
    assert "connected to guest root shell" in page.texts("message")
    assert set(page.console) <= {"a line of some length, as there are many", "connecting to host..."}


def test_a_full_disk_ends_the_page_and_not_the_run(fake):
    """A file that may not become longer is like one on a disk that is full."""
    page = page_of("""
        import resource
        machine.succeed("echo before >&2")
        limit = os.stat("out/report.html").st_size + 100000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for number in range(30):
            log.log(f"message {number} " + 5000 * "x")
            machine.succeed("true")
        assert machine.succeed("echo goes on") == "goes on\\n"
    """, fake)
    assert page.unwritten and not page.ended and page.texts("run-end") == [] and "before" in page.console
    assert any(text.startswith("message 0 ") for text in page.texts("message"))


def test_a_forked_process_writes_nothing_into_the_page(fake):
    page = page_of("""
        log.log("before")
        if os.fork() == 0:
            log.log("in the child")
            os._exit(0)
        os.wait()
        log.log("after")
    """, fake)
    assert page.ended and [text for text in page.texts("message") if text in ("before", "in the child", "after")] == ["before", "after"]


def test_the_end_of_a_flood_is_in_the_page(fake):
    """The first lines beyond the limit are left out, the last ones are there."""
    page = page_of("""
        machine.succeed("head -c 55000000 /dev/zero | tr '\\\\0' x | fold -w 5000 >&2; echo >&2; echo the last line >&2")
    """, fake, seconds=120)
    left_out, = [line[1] for line in page.lines if isinstance(line, list) and line[0] == "d"]
    assert page.console[-1] == "the last line" and len(page.console) + left_out >= 11000
    assert 0 < left_out < 1000


# ---- --report-from


def line_of(kind, number, text, **more):
    return {"monotonic": 5 + number, "wall": "w", "kind": kind, "id": number, "parent": None, "thread": 1, "machine": None,
            "text": text, **more}


def write_events(path, lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_the_last_line_needs_no_end(tmp_path):
    """Editors, and who cuts such a file by lines, may leave it out."""
    end = json.dumps(line_of("run-end", 5, "exit status 0", seconds=4, failed=False))
    make("--report-from", write_events(tmp_path / "events.jsonl", [FORMAT, end]))
    page = PageFile(tmp_path / "report.html")
    assert page.ended and page.texts("run-end") == ["exit status 0"] and "Passed after 4.00 seconds" in page.text
    make("--report-from", write_events(tmp_path / "events.jsonl", [json.dumps(FORMAT)]))
    assert PageFile(tmp_path / "report.html").ended


def make(*words, status=0):
    done = subprocess.run([harness.DRIVER, *words], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def test_a_page_of_old_events(tmp_path):
    events = write_events(tmp_path / "events.jsonl", [
        FORMAT,
        line_of("nest-begin", 1, "a step", step="command"),
        line_of("serial", 2, "</script>", machine="m"),
        {**line_of("nest-end", 1, "a step", step="command", seconds=1, failed=False), "monotonic": 9},
        line_of("run-end", 5, "exit status 0", seconds=4, failed=False),
    ])
    done = make("--report-from", events)
    assert done.stdout == f"{tmp_path}/report.html\n" and done.stderr == ""
    page = PageFile(tmp_path / "report.html")
    assert page.ended and page.console == ["</script>"] and page.texts("nest-begin") == ["a step"]
    assert page.lines[0]["wall"] == FORMAT["wall"]
    other = tmp_path / "other.html"
    assert make("--report-from", events, "--report", other).stdout == f"{other}\n"
    assert PageFile(other).lines == page.lines


def test_lines_that_are_no_events_are_skipped(tmp_path):
    """As of a newer driver, or of one that was killed within a line."""
    events = write_events(tmp_path / "events.jsonl", [
        FORMAT, "\n", "not JSON\n", "[1, 2]\n", line_of("unheard of", 1, "x"), line_of("message", 2, "y", level="info", new={"a": [1]}),
        "x" * (17 << 20) + "\n", line_of("message", 3, "z", level="error"), '{"monotonic": 9, "wall": "w", "kind": "mess',
    ])
    make("--report-from", events)
    page = PageFile(tmp_path / "report.html")
    assert page.ended and page.texts("message") == ["y", "z"] and len(page.lines) == 3
    assert "The end of the run is not known" in page.text


@pytest.mark.parametrize("lines, said", [
    ([], "it has no line"),
    (["a text\n"], "its first line does not say that --events has written it"),
    ([{**FORMAT, "version": 7}], "its format has the version 7, and this program reads 1"),
])
def test_files_that_are_no_events(tmp_path, lines, said):
    events = write_events(tmp_path / "events.jsonl", lines)
    done = make("--report-from", events, status=2)
    assert f"{events}: {said}" in done.stderr and done.stdout == ""
    assert not (tmp_path / "report.html").exists()


def test_files_that_are_not_there(tmp_path):
    assert "cannot read" in make("--report-from", tmp_path / "none", status=2).stderr
    assert "cannot read it: Is a directory" in make("--report-from", tmp_path, status=2).stderr
    events = write_events(tmp_path / "events.jsonl", [FORMAT])
    assert "cannot write" in make("--report-from", events, "--report", tmp_path / "no/dir", status=2).stderr
    assert "cannot write /dev/full: No space left" in make("--report-from", events, "--report", "/dev/full", status=2).stderr


def test_a_page_is_not_written_over_its_events(tmp_path):
    events = write_events(tmp_path / "events.jsonl", [FORMAT])
    before = events.read_bytes()
    (tmp_path / "link").symlink_to(events)
    for page in events, tmp_path / "link":
        assert f"{events}: the page would be written over it" in make("--report-from", events, "--report", page, status=2).stderr
    assert events.read_bytes() == before


def test_pictures_come_from_below_the_events(tmp_path):
    """Whatever the events name, no other file gets into the page, and nothing that is no picture."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for directory in out / "failure/m", elsewhere:
        directory.mkdir(parents=True)
    for picture in out / "here.png", out / "failure/m/screen.png", elsewhere / "secret.png":
        picture.write_bytes(PNG)
    (out / "text.png").write_text("no picture")
    (out / "link.png").symlink_to(elsewhere / "secret.png")
    named = ["/build/out/here.png", "/build/out/failure/m/screen.png", f"{elsewhere}/secret.png", "../elsewhere/secret.png",
             "/build/out/text.png", "/build/out/link.png", "/build/out/none.png", "", "/", "..", "/build/out/.."]
    events = write_events(out / "events.jsonl", [
        FORMAT, *[line_of("detail", number, path, detail="picture") for number, path in enumerate(named, 1)]])
    make("--report-from", events)
    assert PageFile(out / "report.html").pictures == named[:2]


@pytest.mark.parametrize("option", ["--report", "--events", "--junit-xml"])
def test_a_pipe_that_nobody_reads_is_not_waited_for(fake, tmp_path, option):
    os.mkfifo(tmp_path / "pipe")
    result = harness.run("", fake, options=[option, tmp_path / "pipe"], status=2)
    assert f"cannot write {tmp_path}/pipe: no program reads this pipe" in result.err


@pytest.mark.parametrize("one, other", [("--report", "--events"), ("--junit-xml", "--report"), ("LOGFILE", "--events")])
@pytest.mark.parametrize("name", ["same", "link", "./same"])
def test_two_reports_are_two_files(fake, tmp_path, one, other, name):
    (tmp_path / "link").symlink_to("same")
    first = {"env": {"LOGFILE": str(tmp_path / "same")}} if one == "LOGFILE" else {}
    options = [] if first else [one, tmp_path / "same"]
    result = harness.run("", fake, options=[*options, other, f"{tmp_path}/{name}"], status=2, **first)
    assert f"{one} and {other} are one file, {tmp_path}/{name}" in result.err


def test_two_reports_may_go_to_a_device(fake):
    harness.run("", fake, options=["--report", "/dev/null", "--events", "/dev/null", "--junit-xml", "/dev/null"])
