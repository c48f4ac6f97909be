"""Links in a tree of a guest, and what a copy of the tree on the host is to have in their place, however it is made."""

import os

MAKE = r"""
    set -e
    rm -rf /tmp/tree /tmp/apart; mkdir -p /tmp/tree/sub/deep "/tmp/tree/two words" /tmp/apart/inner
    cd /tmp/tree; echo in > file; echo out > /tmp/apart/file; echo hidden > sub/.file
    ln -s file same; ln -s ../file sub/up; ln -s same chain; ln -s .. sub/deep/above; ln -s . itself
    ln -s /tmp/tree/file sub/deep/absolute; ln -s /tmp/tree top; ln -s ../two\ words sub/words
    ln -s /tmp/apart/file outside; ln -s ../../apart/file sub/outside
    ln -s /tmp/apart apart; ln -s ../tree /tmp/apart/back; ln -s /tmp/apart /tmp/apart/inner/again
    ln -s file /tmp/apart/own; ln -s /tmp/apart/inner /tmp/apart/inside
    ln -s nowhere dangling; ln -s circle circle; ln -s /dev/null null
    ln -sfn /tmp/tree /tmp/one; ln -sfn one /tmp/linked
    ln -sfn /tmp/gone /tmp/lost; ln -sfn circular /tmp/circular; ln -sfn /tmp/apart/file /tmp/single
"""

TREE = {
    "file": "in\n", "same": "-> file", "chain": "-> file", "itself": "-> .", "top": "-> .", "two words": None,
    "sub": None, "sub/up": "-> ../file", "sub/.file": "hidden\n", "sub/words": "-> ../two words",
    "sub/deep": None, "sub/deep/above": "-> ..", "sub/deep/absolute": "-> ../../file",
    "outside": "out\n", "sub/outside": "out\n",
    "apart": None, "apart/file": "out\n", "apart/own": "-> file", "apart/back": "-> ..",
    "apart/inner": None, "apart/inner/again": "-> ..", "apart/inside": "-> inner",
}
SAID = "the copy of /tmp/linked is without 3 links that lead to no file and no directory: /tmp/[a-z]*/"


def seen(directory):
    """{path: "-> text" of a link, text of a file or None for a directory} of all below a directory."""
    def look(path):
        return f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text() if path.is_file() else None
    return {str(path.relative_to(directory)): look(path) for path in directory.rglob("*")}


def check(machine, out_dir, error_of, prefix=""):
    """Copies the trees to a directory below the output directory, and looks at what is there."""
    machine.succeed(MAKE)
    machine.copy_from_machine("/tmp/linked", f"{prefix}links")
    found = seen(out_dir / f"{prefix}links/linked")
    assert found == TREE, {path: (found.get(path), TREE.get(path)) for path in found | TREE if found.get(path) != TREE.get(path)}
    machine.copy_from_machine("/tmp/single", f"{prefix}links")
    assert seen(out_dir / f"{prefix}links")["single"] == "out\n"
    for path in "/tmp/lost", "/tmp/circular":
        assert error_of(machine.copy_from_machine, path, f"{prefix}links")
        assert not os.path.lexists(out_dir / f"{prefix}links" / path[5:])
