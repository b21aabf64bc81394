/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of gmemboot share.
 */
#ifndef GMEMBOOT_H
#define GMEMBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#define PAGE_SIZE	4096ULL
#define MIB		(1ULL << 20)

/* Where a guest finds the page tables that it starts with, and its kernel. */
#define TABLES		0x9000ULL
#define NR_TABLES	6
#define KERNEL_AT	(1 * MIB)

/**
 * struct vm - a guest with one vCPU
 * @kvm: /dev/kvm
 * @fd: the VM
 * @vcpu: its vCPU
 * @memfd: the guest_memfd with all of its memory
 * @run: what the vCPU shares with us
 * @mem: host mapping of the guest_memfd, of use while memory is shared
 * @size: of the memory, in bytes
 * @is_private: it becomes a software-protected VM
 */
struct vm {
	int kvm;
	int fd;
	int vcpu;
	int memfd;
	struct kvm_run *run;
	uint8_t *mem;
	uint64_t size;
	bool is_private;
};

/**
 * struct kernel - a bzImage
 * @file: all of it, mapped
 * @size: of the file, in bytes
 * @header: the setup header in it
 * @code: the part that runs in protected mode
 * @code_size: of that part, in bytes
 */
struct kernel {
	const uint8_t *file;
	size_t size;
	const struct setup_header *header;
	const uint8_t *code;
	size_t code_size;
};

/**
 * die() - print one line of error and end with exit status 1
 * @fmt: for printf()
 */
__attribute__((format(printf, 1, 2), noreturn))
void die(const char *fmt, ...);

/* vm.c */

/**
 * vm_create() - make the VM and its memory, with nothing in it
 * @vm: with size and is_private set
 */
void vm_create(struct vm *vm);

/**
 * vm_add_memory() - give the guest its memory
 * @vm: a VM
 * @hva: what the memslot names as the host's view
 */
void vm_add_memory(struct vm *vm, void *hva);

/**
 * vm_make_private() - convert all memory in place
 * @vm: a VM whose memory is shared and loaded
 */
void vm_make_private(struct vm *vm);

/**
 * vm_start_at() - make the vCPU, ready to run in 64-bit mode
 * @vm: a VM
 * @rip: where it starts
 * @rsi: what it finds in RSI
 * @tables: gpa of its page tables
 * @gdt: gpa of its descriptors
 */
void vm_start_at(struct vm *vm, uint64_t rip, uint64_t rsi, uint64_t tables, uint64_t gdt);

/**
 * vm_tsc_khz() - frequency of the guest's TSC
 * @vm: a VM
 *
 * Return: 0 if KVM does not tell.
 */
unsigned int vm_tsc_khz(struct vm *vm);

/* image.c */

/**
 * kernel_open() - map a bzImage and look at its header
 * @kernel: to be filled
 * @path: of the file
 */
void kernel_open(struct kernel *kernel, const char *path);

/**
 * kernel_load() - put all that a guest begins with into its memory
 * @kernel: to boot
 * @vm: a VM, whose vCPU is made as well
 * @cmdline: for the kernel
 */
void kernel_load(const struct kernel *kernel, struct vm *vm, const char *cmdline);

/* window.c */

/**
 * window_open() - what KVM may read of a guest with private memory
 * @kernel: what the guest boots
 * @vm: the guest, loaded and not private yet
 *
 * Return: a mapping as large as the guest's memory.
 */
void *window_open(const struct kernel *kernel, const struct vm *vm);

/**
 * window_drop_start() - the guest is past its kernel's code of the start
 *
 * May be called again.
 */
void window_drop_start(void);

/* uart.c */

/**
 * uart_has() - whether a port is the serial console's
 * @port: number
 */
bool uart_has(uint16_t port);

/**
 * uart_read() - a guest reads a register
 * @vm: a VM
 * @port: number
 */
uint8_t uart_read(struct vm *vm, uint16_t port);

/**
 * uart_write() - a guest writes a register
 * @vm: a VM
 * @port: number
 * @value: the byte
 */
void uart_write(struct vm *vm, uint16_t port, uint8_t value);

/**
 * uart_is_open() - whether a driver waits for interrupts
 */
bool uart_is_open(void);

/**
 * console_byte() - a byte that the guest sent, for gmemboot.c
 * @c: the byte
 */
void console_byte(char c);

#endif
