/* A boot sector that tells whether KVM runs 64-bit code at a sensible speed: it turns on 64-bit
 * mode, counts to 50 million, and ends QEMU by its device isa-debug-exit with the status
 * (42 << 1) | 1. test_driver/vm_image.py runs the sector, which is data of the program; on other
 * processors than x86-64 it is empty.
 */
#define ORIGIN 0x7c00 /* where firmware puts it */
#define AT(label) (label - py_machine_kvm_probe + ORIGIN)
#define TABLES 0x1000 /* three pages: the page tables, which map the first 2 MB to themselves */
#define PRESENT_WRITABLE 3
#define BIG_PAGE 0x80
#define CR4_PAE_PGE 0xa0
#define CR0_PG_PE 0x80000001
#define EFER 0xc0000080
#define EFER_LME 0x100
#define CODE_SEGMENT 8
#define ROUNDS 50000000
#define EXIT_PORT 0xf4
#define EXIT_CODE 42

	.section .rodata
	.globl py_machine_kvm_probe, py_machine_kvm_probe_size
py_machine_kvm_probe:
#ifdef __x86_64__
	.code16
	cli
	xorl %eax, %eax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss

	movw $TABLES, %di
	movw $(3 * 4096 / 2), %cx
	cld
	rep stosw
	movw $(TABLES + 0x1000 + PRESENT_WRITABLE), TABLES
	movw $(TABLES + 0x2000 + PRESENT_WRITABLE), TABLES + 0x1000
	movw $(BIG_PAGE + PRESENT_WRITABLE), TABLES + 0x2000

	movb $CR4_PAE_PGE, %al
	movl %eax, %cr4
	movl $TABLES, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orw $EFER_LME, %ax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG_PE, %eax
	movl %eax, %cr0
	lgdt AT(descriptor)
	ljmp $CODE_SEGMENT, $AT(long_mode)

	.code64
long_mode:
	movl $ROUNDS, %ecx
count:
	decl %ecx
	jnz count
	movb $EXIT_CODE, %al
	outb %al, $EXIT_PORT
	hlt

segments: /* none, and 64-bit code */
	.quad 0, 0x00209a0000000000
descriptor:
	.word descriptor - segments - 1
	.long AT(segments)

	.org py_machine_kvm_probe + 510
	.word 0xaa55 /* by which firmware knows a boot sector */
#endif
py_machine_kvm_probe_end:
	.balign 4
py_machine_kvm_probe_size:
	.long py_machine_kvm_probe_end - py_machine_kvm_probe
	.section .note.GNU-stack, "", %progbits
