/*
 * Boot an uncompressed Linux kernel out of a bzImage, skipping its decompressor.
 *
 * Theory of operation.  A bzImage is real-mode setup code followed by a part
 * that the boot loader puts at 1 MiB and that setup enters in 32-bit protected
 * mode, with paging off, flat segments and the address of boot_params in %esi
 * (Linux Documentation/arch/x86/boot.rst).  Normally that part is a
 * decompressor; under emulation unpacking xz takes longer (3 s) than all the
 * rest of the kernel's start.  `build` replaces it by this stub, padded so
 * that the flat kernel image which follows lands on its link address.  What is
 * left of the decompressor's job is to switch to 64-bit mode with an identity
 * map and to jump to ENTRY, the kernel's 64-bit entry point, with boot_params
 * in %rsi.  The setup code still runs, so the kernel learns of the VGA text
 * mode; the ELF file's PVH entry would be as fast but leaves it no screen.
 *
 * The page tables are data of this file: 512 pages of 2 MiB map the first GiB,
 * where kernel, boot_params and command line are.  The kernel builds its own.
 */
	.set	PRESENT_WRITABLE, 0x003
	.set	LARGE_PAGE, 0x083		/* present, writable, 2 MiB */
	.set	CR4_PAE, 0x20
	.set	MSR_EFER, 0xc0000080
	.set	EFER_LME, 0x100
	.set	CR0_PG_PE, 0x80000001

	.code32
	.globl	_start
_start:
	cli
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	lgdt	gdt_pointer
	mov	%cr0, %eax
	or	$CR0_PG_PE, %eax
	mov	%eax, %cr0
	ljmp	$0x10, $long_mode

	.code64
long_mode:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%esi, %esi			/* clear the upper half of %rsi */
	mov	$ENTRY, %eax
	jmp	*%rax

	.balign	8
gdt:	.quad	0, 0				/* the boot protocol fixes the selectors: */
	.quad	0x00af9a000000ffff		/* 0x10, 64-bit code */
	.quad	0x00cf92000000ffff		/* 0x18, data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.balign	4096
pml4:	.quad	page_directories + PRESENT_WRITABLE
	.balign	4096
page_directories:
	.quad	page_directory + PRESENT_WRITABLE
	.balign	4096
page_directory:
	.set	address, 0
	.rept	512
	.quad	address + LARGE_PAGE
	.set	address, address + 0x200000
	.endr
