"""Disks and ISOs that boot without an operating system: real firmware runs the boot sector below. The boot sector
prints `hello from the image` on the serial port, tries to write on the disk, and prints `written` or `not written`."""

import struct
import subprocess

SOURCE = r"""
	.code16
	ljmp	$0, $start
start:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	sti				# SeaBIOS shows its last character at a tick of the clock,
	hlt				# which must not be in the middle of a line
	hlt
	movw	$hello, %si
	call	print
	movw	$0x0301, %ax		# write one sector
	movw	$0x0002, %cx		# the second
	movb	$0, %dh			# of the drive that was booted, %dl
	movw	$0x7c00, %bx
	int	$0x13
	movw	$written, %si
	jnc	1f
	movw	$failed, %si
1:	call	print
2:	hlt
	jmp	2b
print:	pushaw
	movw	$0x3f8, %dx
3:	lodsb
	testb	%al, %al
	jz	4f
	outb	%al, %dx
	jmp	3b
4:	popaw
	ret
hello:	.asciz	"\r\nhello from the image\r\n"
written:.asciz	"written\r\n"
failed:	.asciz	"not written\r\n"
	.org	510
	.word	0xaa55
"""


def boot_sector(directory):
    command = f"as --32 -o {directory}/boot.o && ld -m elf_i386 -Ttext=0x7c00 -e 0 --oformat binary " \
        f"-o {directory}/boot {directory}/boot.o"
    subprocess.run(["sh", "-c", command], input=SOURCE.encode(), check=True)
    return (directory / "boot").read_bytes()


def make_raw(directory):
    path = directory / "raw, with a comma.img"
    path.write_bytes(boot_sector(directory).ljust(1 << 20, b"\0"))
    return path


def make_qcow2(directory):
    path = directory / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", make_raw(directory), path], check=True)
    return path


def make_iso(directory):
    """Makes an ISO by the "El Torito" specification: sector 17 names the catalogue, whose only entry is the boot
    sector."""
    validation = struct.pack("<BBH24sHBB", 1, 0, 0, b"", 0, 0x55, 0xAA)
    checksum = -sum(struct.unpack("<16H", validation)) & 0xFFFF
    validation = validation[:28] + struct.pack("<H", checksum) + validation[30:]
    entry = struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, 4, 20)
    sectors = {
        16: b"\1CD001\1",
        17: struct.pack("<B5sB32s32sI", 0, b"CD001", 1, b"EL TORITO SPECIFICATION", b"", 19),
        18: b"\xffCD001\1",
        19: validation + entry,
        20: boot_sector(directory),
    }
    path = directory / "image.iso"
    with open(path, "wb") as file:
        for number, data in sectors.items():
            file.seek(number * 2048)
            file.write(data)
        file.truncate(64 * 2048)
    return path
