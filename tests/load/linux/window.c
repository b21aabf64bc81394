// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM may read of a guest whose memory is private.  Where the processor
 * says too little of an instruction that left the guest (AMD's without NRIP
 * and decode assists; QEMU's has neither), KVM reads it by the host's view of the
 * memslot.  That of private memory is empty.  So the memslot gets a view of its
 * own: the text of the kernel, which is no secret, where the guest has it, and
 * everywhere else one page that serves as each of its page tables.
 *
 * Not here: code that is not in the kernel's own text.  What of that leaves the
 * guest is completed in gmemboot.c.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <asm/bootparam.h>
#include <zlib.h>

#include "gmemboot.h"

/* How many bytes of the view are one piece of it, mapped again and again. */
#define PIECE		(2 * MIB)

#define KERNEL_MAP	0xffffffff80000000ULL
#define PTE_FLAGS	0x63ULL
#define PTE_LARGE	0x80ULL

static uint8_t *window;
static uint64_t window_size;
static int piece_fd;

/* What is of the start only: the guest then uses the memory for other things. */
static struct range {
	uint64_t at;
	uint64_t size;
} of_start[4];
static unsigned int nr_of_start;

/*
 * One page for all levels: its entry for the kernel's map leads to a page that
 * is the same, and the one that is reached last has the memory in it.
 */
static void make_piece(void)
{
	uint64_t page[512] = {}, i;

	page[511] = PTE_FLAGS;
	page[510] = PTE_FLAGS;
	for (i = 0; i < 510 && i * 2 * MIB < window_size; i++)
		page[i] = i * 2 * MIB | PTE_FLAGS | PTE_LARGE;

	piece_fd = memfd_create("gmemboot", MFD_CLOEXEC);
	if (piece_fd < 0)
		die("cannot make shared memory: %s", strerror(errno));
	for (i = 0; i < PIECE / PAGE_SIZE; i++) {
		if (write(piece_fd, page, sizeof(page)) != sizeof(page))
			die("cannot write shared memory: %s", strerror(errno));
	}
}

static void map_piece(uint64_t at, uint64_t size)
{
	if (mmap(window + at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, piece_fd, 0) ==
	    MAP_FAILED)
		die("cannot map shared memory: %s", strerror(errno));
}

/* The kernel as its build made it, an ELF file. */
static uint8_t *unpack(const struct kernel *kernel, size_t *size)
{
	const uint8_t *payload = kernel->code + kernel->header->payload_offset;
	size_t length = kernel->header->payload_length;
	z_stream z = {};
	uint32_t last;
	uint8_t *out;

	if (kernel->header->payload_offset >= kernel->code_size ||
	    length > kernel->code_size - kernel->header->payload_offset || length < 18)
		die("the bzImage is cut short");
	if (payload[0] != 0x1f || payload[1] != 0x8b)
		die("the bzImage is not packed with gzip, and KVM has to see the kernel's text");
	/* gzip's own: the size of what is packed. */
	memcpy(&last, payload + length - 4, 4);
	*size = last;
	out = malloc(*size);
	if (!out)
		die("out of memory");
	z.next_in = (uint8_t *)payload;
	z.avail_in = length;
	z.next_out = out;
	z.avail_out = *size;
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK || inflate(&z, Z_FINISH) != Z_STREAM_END)
		die("cannot unpack the bzImage: %s", z.msg ?: "it is damaged");
	inflateEnd(&z);
	return out;
}

static bool is_zero(const uint8_t *p, size_t size)
{
	return !size || (!p[0] && !memcmp(p, p + 1, size - 1));
}

/*
 * The pages around @size bytes at @at.  Those with nothing in them are the
 * guest's to use, for tables as well.
 */
static void show(const uint8_t *text, uint64_t at, uint64_t size)
{
	uint64_t done, n;

	for (done = 0; done < size; done += n) {
		uint64_t offset = (at + done) % PAGE_SIZE;
		uint8_t *page = window + at + done - offset;

		n = size - done < PAGE_SIZE - offset ? size - done : PAGE_SIZE - offset;
		if (is_zero(text + done, n))
			continue;
		if (mmap(page, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			die("cannot map memory: %s", strerror(errno));
		memcpy(page + offset, text + done, n);
	}
}

static void show_at_start(const uint8_t *text, uint64_t at, uint64_t size)
{
	show(text, at, size);
	of_start[nr_of_start].at = at & -PAGE_SIZE;
	of_start[nr_of_start++].size = ((at + size + PAGE_SIZE - 1) & -PAGE_SIZE) - (at & -PAGE_SIZE);
}

static void show_kernel(const struct kernel *kernel)
{
	const Elf64_Phdr *ph;
	const Elf64_Ehdr *eh;
	uint8_t *elf;
	size_t size;
	int i;

	elf = unpack(kernel, &size);
	eh = (const void *)elf;
	if (size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_phoff > size ||
	    eh->e_phnum > (size - eh->e_phoff) / sizeof(*ph))
		die("there is no ELF file in the bzImage");
	ph = (const void *)(elf + eh->e_phoff);
	for (i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		if (ph->p_vaddr != KERNEL_MAP + ph->p_paddr || ph->p_paddr % PAGE_SIZE ||
		    ph->p_filesz > size || ph->p_offset > size - ph->p_filesz ||
		    ph->p_paddr > window_size || ph->p_filesz > window_size - ph->p_paddr)
			die("the kernel's text is not where its memory is");
		/* What can be written as well is of the start only. */
		if (ph->p_flags & PF_W)
			show_at_start(elf + ph->p_offset, ph->p_paddr, ph->p_filesz);
		else
			show(elf + ph->p_offset, ph->p_paddr, ph->p_filesz);
	}
	free(elf);
}

/* The code that unpacks the kernel, around it, and the tables that it runs with. */
static void show_loaded(const struct kernel *kernel, const uint8_t *mem)
{
	uint64_t payload = kernel->header->payload_offset;
	uint64_t end = payload + kernel->header->payload_length;

	show_at_start(mem + TABLES, TABLES, NR_TABLES * PAGE_SIZE);
	show_at_start(kernel->code, KERNEL_AT, payload);
	show_at_start(kernel->code + end, KERNEL_AT + end, kernel->code_size - end);
}

void *window_open(const struct kernel *kernel, const struct vm *vm)
{
	uint64_t at;

	window_size = vm->size;
	window = mmap(NULL, vm->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		die("cannot map %llu MiB: %s", (unsigned long long)(vm->size / MIB), strerror(errno));
	make_piece();
	for (at = 0; at < vm->size; at += PIECE)
		map_piece(at, vm->size - at < PIECE ? vm->size - at : PIECE);
	show_kernel(kernel);
	show_loaded(kernel, vm->mem);
	return window;
}

void window_drop_start(void)
{
	uint64_t done, n;

	while (nr_of_start) {
		const struct range *r = &of_start[--nr_of_start];

		for (done = 0; done < r->size; done += n) {
			n = r->size - done < PIECE ? r->size - done : PIECE;
			map_piece(r->at + done, n);
		}
	}
}
