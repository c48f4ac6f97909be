# Pictures of the screen.
# vms: machine=tiny

import struct
import zlib


def size_of_picture(path):
    """Checks each part of a PNG file and returns (width, height)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, size, pixels, names = 8, None, b"", []
    while place < len(data):
        length, name = struct.unpack(">I4s", data[place:place + 8])
        chunk = data[place + 8:place + 8 + length]
        assert zlib.crc32(name + chunk) == struct.unpack(">I", data[place + 8 + length:place + 12 + length])[0]
        names.append(name)
        if name == b"IHDR":
            size = struct.unpack(">II", chunk[:8])
        elif name == b"IDAT":
            pixels += chunk
        place += 12 + length
    assert names[0] == b"IHDR" and names[-1] == b"IEND" and len(zlib.decompress(pixels)) > size[1]
    return size


machine.wait_until_tty_matches("1", "tty1-sh# ")
machine.screenshot("shot")
#: machine: making screenshot .../out/shot.png
#: (finished: making screenshot .../out/shot.png, in S.SS seconds)
machine.screenshot("with.dots.png")
#: machine: making screenshot .../out/with.dots.png
(machine.tmp_dir / "sub").mkdir()
machine.screenshot(str(machine.tmp_dir / "sub/absolute"))
machine.screenshot("shot")  # replaces the file
#: machine: making screenshot .../out/shot.png
sizes = {size_of_picture(path) for path in (
    machine.out_dir / "shot.png", machine.out_dir / "with.dots.png",
    next((machine.tmp_dir / "sub").iterdir()))}
assert len(sizes) == 1 and all(320 <= number <= 2000 for number in sizes.pop()), sizes
assert sorted(path.name for path in machine.out_dir.iterdir()) == ["shot.png", "with.dots.png"]
