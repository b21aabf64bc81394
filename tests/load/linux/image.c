// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in a guest's memory when it starts: a bzImage, as Linux's boot
 * protocol for 64 bits wants it, and an initramfs with one program in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/bootparam.h>

#include "gmemboot.h"

/* Low memory, in the order of the addresses. */
#define GDT		0x1000
#define BOOT_PARAMS	0x7000
#define CMDLINE		0x20000
#define LOW_END		0x9fc00

/* The 64-bit entry is this far into the code. */
#define ENTRY_64	0x200
#define MAX_CMDLINE	2048

/* For page tables: present, writable, accessed, dirty; and large. */
#define PTE_FLAGS	0x63ULL
#define PTE_LARGE	0x80ULL

asm(".pushsection .rodata\n"
    "guest_init:\n"
    ".incbin \"build/tests/load/linux/init\"\n"
    "guest_init_end:\n"
    ".popsection\n");
extern const char guest_init[], guest_init_end[];

/* The bzImage */

void kernel_open(struct kernel *kernel, const char *path)
{
	const struct setup_header *h;
	struct stat st;
	size_t start;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die("cannot open %s: %s", path, strerror(errno));
	kernel->size = st.st_size;
	if (kernel->size < 0x1000)
		die("%s is not a bzImage", path);
	kernel->file = mmap(NULL, kernel->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (kernel->file == MAP_FAILED)
		die("cannot map %s: %s", path, strerror(errno));
	close(fd);

	h = (const void *)(kernel->file + offsetof(struct boot_params, hdr));
	start = ((h->setup_sects ?: 4) + 1) * 512;
	if (h->header != 0x53726448 || !(h->loadflags & LOADED_HIGH) || start >= kernel->size)
		die("%s is not a bzImage", path);
	if (h->version < 0x20c || !(h->xloadflags & XLF_KERNEL_64))
		die("%s does not start in 64-bit mode", path);
	kernel->header = h;
	kernel->code = kernel->file + start;
	kernel->code_size = kernel->size - start;
}

/* The initramfs */

/* A cpio archive that grows at @at; the first pass only counts. */
struct cpio {
	uint8_t *at;
	size_t size;
	unsigned int nr;
};

static void cpio_put(struct cpio *c, const void *data, size_t size)
{
	static const char zeroes[4];
	size_t pad = -size & 3;

	if (c->at) {
		memcpy(c->at + c->size, data, size);
		memcpy(c->at + c->size + size, zeroes, pad);
	}
	c->size += size + pad;
}

static void cpio_add(struct cpio *c, const char *name, unsigned int mode,
		     unsigned int major, unsigned int minor, const void *data, size_t size)
{
	size_t name_size = strlen(name) + 1;
	char header[110 + 32];
	int len;

	len = snprintf(header, sizeof(header),
		       "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s",
		       ++c->nr, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0, name);
	cpio_put(c, header, len + 1);
	cpio_put(c, data, size);
}

static size_t make_initramfs(uint8_t *at)
{
	struct cpio c = { .at = at };

	cpio_add(&c, "dev", S_IFDIR | 0755, 0, 0, NULL, 0);
	cpio_add(&c, "dev/console", S_IFCHR | 0600, 5, 1, NULL, 0);
	cpio_add(&c, "proc", S_IFDIR | 0755, 0, 0, NULL, 0);
	cpio_add(&c, "init", S_IFREG | 0755, 0, 0, guest_init, guest_init_end - guest_init);
	cpio_add(&c, "TRAILER!!!", 0, 0, 0, NULL, 0);
	return c.size;
}

/* All of it */

/* The first 4 GiB at their own addresses, in large pages. */
static void make_tables(uint8_t *mem)
{
	uint64_t *table = (uint64_t *)(mem + TABLES);
	uint64_t i;

	table[0] = (TABLES + PAGE_SIZE) | PTE_FLAGS;
	for (i = 0; i < 4; i++)
		table[512 + i] = (TABLES + (2 + i) * PAGE_SIZE) | PTE_FLAGS;
	for (i = 0; i < 4 * 512; i++)
		table[2 * 512 + i] = i * 2 * MIB | PTE_FLAGS | PTE_LARGE;
}

static void add_ram(struct boot_params *params, uint64_t from, uint64_t to, uint32_t type)
{
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
		.addr = from, .size = to - from, .type = type,
	};
}

void kernel_load(const struct kernel *kernel, struct vm *vm, const char *cmdline)
{
	/* None, none, code, data. */
	static const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	struct boot_params *params = (void *)(vm->mem + BOOT_PARAMS);
	size_t initramfs_size = make_initramfs(NULL);
	uint64_t initramfs = (vm->size - initramfs_size) & -PAGE_SIZE;
	uint64_t needed;

	/* It unpacks itself where it prefers to run. */
	needed = kernel->header->pref_address + kernel->header->init_size + initramfs_size +
		 PAGE_SIZE;
	if (vm->size < needed || vm->size < KERNEL_AT + kernel->code_size + initramfs_size + PAGE_SIZE)
		die("this kernel wants %llu MiB to start: give more --mem",
		    (unsigned long long)(needed / MIB + 1));
	if (strlen(cmdline) >= MAX_CMDLINE)
		die("the kernel's command line is too long");

	memcpy(vm->mem + GDT, gdt, sizeof(gdt));
	make_tables(vm->mem);
	strcpy((char *)vm->mem + CMDLINE, cmdline);
	memcpy(vm->mem + KERNEL_AT, kernel->code, kernel->code_size);
	make_initramfs(vm->mem + initramfs);

	/* The header ends where the byte after its jump's opcode says. */
	memcpy(&params->hdr, kernel->header,
	       0x202 + kernel->file[0x201] - offsetof(struct boot_params, hdr));
	params->hdr.type_of_loader = 0xff;
	params->hdr.cmd_line_ptr = CMDLINE;
	params->hdr.ramdisk_image = initramfs;
	params->hdr.ramdisk_size = initramfs_size;
	add_ram(params, 0, LOW_END, 1);
	add_ram(params, LOW_END, KERNEL_AT, 2);
	add_ram(params, KERNEL_AT, vm->size, 1);

	vm_start_at(vm, KERNEL_AT + ENTRY_64, BOOT_PARAMS, TABLES, GDT);
}
