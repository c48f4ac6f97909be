"""The check of the floors, tests/layers, on small trees: the includes that it accepts, and its messages for others."""

import shutil
import subprocess
from pathlib import Path

import pytest

LAYERS = Path(__file__).resolve().parents[1] / "layers"
FLOORS = "driver/base driver/net driver/guest driver/top embed/bridge embed/main"
GOOD = {
    "driver/base/text.h": "#pragma once\nint ntd_text(void);\n",
    "driver/base/text.c": '#include "base/text.h"\nint ntd_text(void) { return 1; }\n',
    "driver/net/net_internal.h": "#pragma once\n",
    "driver/net/vde.h": '#pragma once\n#include "base/text.h"\nint ntd_vde(void);\n',
    "driver/net/vde.c": '#include "net/vde.h"\n#include "net/net_internal.h"\nint ntd_vde(void) { return ntd_text(); }\n',
    "driver/net/tap.c": "int ntd_vde(void);\nint ntd_tap(void);\nint ntd_tap(void) { return ntd_vde(); }\n",
    "driver/guest/files.c": "int ntd_vde(void);\nint ntd_files(void) { return ntd_vde(); }\n",
    "embed/bridge/python.c": "// #include <Python.h>\nint ntd_files(void);\nint py_init(void) { return ntd_files(); }\n",
    "embed/main.c": "int py_init(void);\nint main(void) { return py_init(); }\n",
}

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no compiler")


def check(top, changes, floors=FLOORS):
    """Runs the check on the good tree with some files replaced. Returns the exit status and the output."""
    files = {**GOOD, **changes}
    objects = [Path("obj", name).with_suffix(".o") for name in files if name.endswith(".c")]
    for name in [*files, *objects]:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (top / name).write_text(text)
    for path in objects:
        source = path.relative_to("obj").with_suffix(".c")
        subprocess.run(["cc", "-Idriver", "-c", "-o", path, source], cwd=top, check=True)
    done = subprocess.run(
        [LAYERS, "--floors", floors, "--objects", "obj", *objects],
        cwd=top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_uses_of_lower_floors_are_fine(tmp_path):
    assert check(tmp_path, {}) == (0, "")


CASES = {
    "include up": (
        {"driver/base/text.c": '\n #  include "net/vde.h"\nint ntd_text(void) { return 1; }\n'},
        "driver/base/text.c:2 includes driver/net/vde.h, but driver/net is above driver/base.\n  => Move what ",
    ),
    "circle of includes": (
        {
            "driver/base/text.h": '#pragma once\n#include "base/buf.h"\n',
            "driver/base/buf.h": '#pragma once\n#include "base/mem.h"\n',
            "driver/base/mem.h": '#pragma once\n#include "text.h"\n',
            "driver/base/text.c": "int ntd_text(void) { return 1; }\n",
        },
        "Headers include each other in a circle: driver/base/buf.h -> driver/base/mem.h -> driver/base/text.h"
        " -> driver/base/buf.h.\n  => Declare ",
    ),
    "internal header of another folder": (
        {"driver/guest/files.c": '#include "net/net_internal.h"\n'},
        "driver/guest/files.c:1 includes driver/net/net_internal.h, which is for the files of its own folder.\n  => ",
    ),
    "Python below": (
        {"driver/net/tap.c": "#if 0\n#include <Python.h>\n#endif\n"},
        "driver/net/tap.c:2 includes Python.h, of which driver/ knows nothing.\n  => Move ",
    ),
    "Python below without its header": (
        {"driver/net/tap.c": "int PyErr_Occurred(void);\nint ntd_tap(void) { return PyErr_Occurred(); }\n"},
        "driver/net/tap.c uses PyErr_Occurred, and driver/ knows nothing of Python.\n  => Move ",
    ),
    "include up of a file that is no header": (
        {"driver/base/text.c": '#include "net/table.inc"\nint ntd_text(void) { return 1; }\n', "driver/net/table.inc": ""},
        "driver/base/text.c:1 includes driver/net/table.inc, but driver/net is above driver/base.\n  => Move what ",
    ),
    "include of a file that stands on no floor": (
        {"driver/base/text.c": '#include "x/table.inc"\nint ntd_text(void) { return 1; }\n', "driver/x/table.inc": ""},
        "driver/x/table.inc, which driver/base/text.c:1 includes, stands on no floor.\n  => Name ",
    ),
    "include by a macro": (
        {"driver/base/text.c": '#define NET "net/vde.h"\n#include NET\nint ntd_text(void) { return 1; }\n'},
        "driver/base/text.c:2 includes NET, which cannot be checked.\n  => Name ",
    ),
    "use of what is internal, without the header": (
        {
            "driver/net/net_internal.h": "#pragma once\nint ntd_vde_port(void);\n",
            "driver/net/vde.c": "int ntd_vde_port(void) { return 1; }\nint ntd_vde(void) { return 1; }\n",
            "driver/guest/files.c": "int ntd_vde_port(void);\nint ntd_files(void) { return ntd_vde_port(); }\n",
        },
        "driver/guest/files.c uses ntd_vde_port of driver/net/vde.c, which is for the files of its own folder.\n  => Use ",
    ),
    "use of what is above": (
        {"driver/base/text.c": "int ntd_files(void);\nint ntd_text(void) { return ntd_files(); }\n"},
        "driver/base/text.c uses ntd_files of driver/guest/files.c, but driver/guest is above driver/base.\n  => ",
    ),
    "use of a file above": (
        {
            "driver/guest/files.c": "extern int ntd_status;\nint ntd_files(void) { return ntd_status; }\n",
            "driver/top.c": "int ntd_status;\n",
        },
        "driver/guest/files.c uses ntd_status of driver/top.c, but driver/top is above driver/guest.\n  => ",
    ),
    "circle of two files": (
        {
            "driver/net/vde.c": "int ntd_tap(void), ntd_tap_end(void);\n"
            "int ntd_vde(void) { return ntd_tap() + ntd_tap_end(); }\n",
            "driver/net/tap.c": "int ntd_vde(void), ntd_tap_end(void);\nint ntd_tap_end(void) { return 0; }\n"
            "int ntd_tap(void) { return ntd_vde(); }\n",
        },
        "Files use each other in a circle:\n"
        "    driver/net/tap.c uses ntd_vde of driver/net/vde.c\n"
        "    driver/net/vde.c uses ntd_tap, ntd_tap_end of driver/net/tap.c\n  => Move ",
    ),
    "circle of three files": (
        {
            "driver/net/vde.c": "int ntd_port(void);\nint ntd_vde(void) { return ntd_port(); }\n",
            "driver/net/port.c": "extern int ntd_tap_count;\nint ntd_port(void) { return ntd_tap_count; }\n",
            "driver/net/tap.c": "int ntd_vde(void), ntd_tap_count;\nint ntd_tap(void) { return ntd_vde(); }\n",
        },
        "Files use each other in a circle:\n"
        "    driver/net/port.c uses ntd_tap_count of driver/net/tap.c\n"
        "    driver/net/tap.c uses ntd_vde of driver/net/vde.c\n"
        "    driver/net/vde.c uses ntd_port of driver/net/port.c\n  => Move ",
    ),
    "name without the prefix": (
        {"embed/bridge/python.c": "int ntd_init(void) { return 0; }\nint py_init(void) { return 0; }\n"},
        "embed/bridge/python.c defines ntd_init for other files; the prefix there is py_.\n  => ",
    ),
    "folder without a floor": (
        {"driver/audio/beep.c": "static int unused;\n"},
        "driver/audio/beep.c stands on no floor.\n  => Name ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes,message", CASES.values(), ids=CASES)
def test_what_goes_up_or_round_is_told(tmp_path, changes, message):
    status, output = check(tmp_path, changes)
    assert status == 1
    assert output.startswith(message)
    assert output.count("=>") == 1


def test_an_object_that_is_missing_is_told(tmp_path):
    done = subprocess.run(
        [LAYERS, "--floors", FLOORS, "--objects", "obj", "obj/driver/base/text.o"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "'obj/driver/base/text.o': No such file" in done.stderr
    assert "Build first" in done.stderr
