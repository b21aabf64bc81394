// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way in which a host gets at a process's memory or at a file, tried on
 * the private memory of a running guest.  Each must give an error or nothing
 * of the guest's, and after each the guest must find its memory as it left it.
 *
 * The guest computes a secret and fills its private pages with it, and fills
 * shared pages with a marker.  What finds the marker and not the secret works
 * and sees no private memory.  This process must never hold the secret, or it
 * would find its own copy: it can tell a word of it, but computes no two.
 */
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "kvm_test_harness.h"

#include "frames.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#define KPF_UNEVICTABLE	18

/* Half a minute is not much on an emulated machine with a debug kernel. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

/* One memslot: private pages, then shared ones. */
#define NR_PAGES	8ULL
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define PRIVATE_GPA	0x10000000ULL
#define SHARED_GPA	(PRIVATE_GPA + SIZE)
#define DATA_SLOT	10

#define NR_WORDS	(SIZE / sizeof(uint64_t))
#define PATTERN_WORDS	8

#define CORE_DIR	"/dev/shm"

/* Bits 0 to 2 are @i, and bits 3 to 15 tell a candidate at little cost. */
#define TAG		0x5ec8ULL
#define TAG_MASK	0xfff8ULL

static __always_inline uint64_t pattern_word(uint64_t seed, uint64_t i)
{
	uint64_t x = seed + i * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	x ^= x >> 31;

	return (x & ~(TAG_MASK | 7)) | TAG | i;
}

/* Words of the pattern in memory that the host read. */
static uint64_t find(const void *memory, size_t size, uint64_t seed)
{
	const uint64_t *word = memory;
	uint64_t found = 0;
	size_t i;

	for (i = 0; i < size / sizeof(*word); i++) {
		if ((word[i] & TAG_MASK) == TAG &&
		    word[i] == pattern_word(seed, word[i] & 7))
			found++;
	}

	return found;
}

/* The guest's half */

static void fill(uint64_t gpa, uint64_t seed)
{
	volatile uint64_t *word = (void *)gpa;
	uint64_t i;

	for (i = 0; i < NR_WORDS; i++)
		word[i] = pattern_word(seed, i % PATTERN_WORDS);
}

static uint64_t count_intact(uint64_t gpa, uint64_t seed)
{
	volatile uint64_t *word = (void *)gpa;
	uint64_t i, intact = 0;

	for (i = 0; i < NR_WORDS; i++)
		intact += word[i] == pattern_word(seed, i % PATTERN_WORDS);

	return intact;
}

static void guest_code(uint64_t secret, uint64_t marker)
{
	fill(PRIVATE_GPA, secret);
	fill(SHARED_GPA, marker);
	for (;;)
		GUEST_SYNC(count_intact(PRIVATE_GPA, secret));
}

/* The host's half */

struct guest {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	uint64_t secret;	/* what the patterns are made from */
	uint64_t marker;
	int fd;
	char *private;		/* the host's memory at the private frames */
	char *shared;
};

/* Words of its secret that the guest finds in its memory. */
static uint64_t ask_guest(struct guest *guest)
{
	struct ucall uc;

	if (__vcpu_run(guest->vcpu) || get_ucall(guest->vcpu, &uc) != UCALL_SYNC)
		return ~0ULL;

	return uc.args[1];
}

static void start_guest(struct guest *guest)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SW_PROTECTED_VM,
	};

	struct timespec now;

	/* Nobody shall find the secret that an earlier guest left behind. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	guest->secret = (uint64_t)getpid() << 32 ^ now.tv_nsec;
	guest->marker = ~guest->secret;
	guest->vm = vm_create_shape_with_one_vcpu(shape, &guest->vcpu, guest_code);
	vm_userspace_mem_region_add(guest->vm, VM_MEM_SRC_ANONYMOUS, PRIVATE_GPA,
				    DATA_SLOT, 2 * NR_PAGES, KVM_MEM_GUEST_MEMFD);
	virt_map(guest->vm, PRIVATE_GPA, PRIVATE_GPA, 2 * NR_PAGES);
	vm_mem_set_private(guest->vm, PRIVATE_GPA, SIZE);
	vcpu_args_set(guest->vcpu, 2, guest->secret, guest->marker);

	guest->fd = memslot2region(guest->vm, DATA_SLOT)->region.guest_memfd;
	guest->private = addr_gpa2hva(guest->vm, PRIVATE_GPA);
	guest->shared = addr_gpa2hva(guest->vm, SHARED_GPA);
}

FIXTURE(access) {
	struct guest guest;
	char *buffer;		/* SIZE bytes, zero */
	int scratch;		/* a file of SIZE zeros */
	int pipe[2];
};

FIXTURE_SETUP(access)
{
	start_guest(&self->guest);
	ASSERT_EQ(ask_guest(&self->guest), NR_WORDS);
	/* The control: this is how the host finds what it may see. */
	ASSERT_EQ(find(self->guest.shared, SIZE, self->guest.marker), NR_WORDS);

	self->buffer = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->buffer, MAP_FAILED);
	self->scratch = memfd_create("scratch", 0);
	ASSERT_EQ(ftruncate(self->scratch, SIZE), 0);
	ASSERT_EQ(pipe2(self->pipe, O_NONBLOCK), 0);
}

FIXTURE_TEARDOWN(access)
{
	EXPECT_EQ(ask_guest(&self->guest), NR_WORDS);
	kvm_vm_free(self->guest.vm);
}

#define GUEST_INTACT() EXPECT_EQ(ask_guest(&self->guest), NR_WORDS)

/* A call that must fail. */
#define REFUSED(call)							\
	do {								\
		EXPECT_LT((long)(call), 0)				\
			TH_LOG("not refused: %s", #call);		\
		GUEST_INTACT()						\
			TH_LOG("after: %s", #call);			\
	} while (0)

/* A call that may do what it likes. */
#define HARMLESS(call)							\
	do {								\
		if ((long)(call) < 0)					\
			errno = 0;					\
		GUEST_INTACT()						\
			TH_LOG("after: %s", #call);			\
	} while (0)

/* Nothing of the secret is in memory that the host got hold of. */
#define NO_SECRET(memory, size)						\
	EXPECT_EQ(find(memory, size, self->guest.secret), 0)
#define HAS_MARKER(memory, size)					\
	EXPECT_EQ(find(memory, size, self->guest.marker), (size) / 8)

TEST_F(access, read_and_write)
{
	struct iovec iov = { .iov_base = self->buffer, .iov_len = SIZE };
	int fd = self->guest.fd;

	REFUSED(read(fd, self->buffer, SIZE));
	REFUSED(readv(fd, &iov, 1));
	REFUSED(pread(fd, self->buffer, SIZE, 0));
	REFUSED(pread(fd, self->buffer, 1, SIZE - 1));
	REFUSED(preadv2(fd, &iov, 1, 0, RWF_NOWAIT));
	REFUSED(write(fd, self->buffer, SIZE));
	REFUSED(writev(fd, &iov, 1));
	REFUSED(pwrite(fd, self->buffer, SIZE, 0));
	REFUSED(pwrite(fd, self->buffer, 1, 2 * SIZE));
	REFUSED(pwritev2(fd, &iov, 1, 0, RWF_APPEND));
	REFUSED(lseek(fd, 0, SEEK_SET));
	REFUSED(lseek(fd, 0, SEEK_END));
	REFUSED(lseek(fd, 0, SEEK_DATA));
	REFUSED(lseek(fd, 0, SEEK_HOLE));
	REFUSED(ftruncate(fd, 0));
	REFUSED(ftruncate(fd, 4 * SIZE));
	NO_SECRET(self->buffer, SIZE);
}

TEST_F(access, mmap)
{
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
		PROT_READ | PROT_EXEC,
	};
	static const int flags[] = {
		MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE,
		MAP_SHARED | MAP_POPULATE, MAP_PRIVATE | MAP_LOCKED,
	};
	int i, j;

	for (i = 0; i < (int)ARRAY_SIZE(prots); i++) {
		for (j = 0; j < (int)ARRAY_SIZE(flags); j++) {
			EXPECT_EQ(mmap(NULL, SIZE, prots[i], flags[j],
				       self->guest.fd, 0), MAP_FAILED);
			GUEST_INTACT();
		}
	}
	/* Over the memslot itself, which must stay. */
	EXPECT_EQ(mmap(self->guest.shared, SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED_NOREPLACE, self->guest.fd, 0),
		  MAP_FAILED);
	HAS_MARKER(self->guest.shared, SIZE);
	GUEST_INTACT();
}

TEST_F(access, splice_and_copy)
{
	struct iovec private = { .iov_base = self->guest.private, .iov_len = SIZE };
	struct iovec shared = { .iov_base = self->guest.shared, .iov_len = SIZE };
	int fd = self->guest.fd, sockets[2];
	loff_t zero = 0, other_zero = 0;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);

	REFUSED(splice(fd, &zero, self->pipe[1], NULL, SIZE, SPLICE_F_NONBLOCK));
	REFUSED(splice(fd, NULL, self->pipe[1], NULL, SIZE, SPLICE_F_MOVE));
	REFUSED(sendfile(self->scratch, fd, &zero, SIZE));
	REFUSED(sendfile(sockets[0], fd, &zero, SIZE));
	REFUSED(sendfile(self->pipe[1], fd, NULL, SIZE));
	REFUSED(copy_file_range(fd, &zero, self->scratch, &other_zero, SIZE, 0));
	REFUSED(read(self->pipe[0], self->buffer, SIZE));

	/* The other way, out of files and pipes that have something to give. */
	REFUSED(sendfile(fd, self->scratch, &zero, SIZE));
	REFUSED(copy_file_range(self->scratch, &zero, fd, &other_zero, SIZE, 0));
	ASSERT_EQ(write(self->pipe[1], self->buffer, 64), 64);
	REFUSED(splice(self->pipe[0], NULL, fd, &zero, 64, 0));
	REFUSED(tee(fd, self->pipe[1], 64, SPLICE_F_NONBLOCK));
	ASSERT_EQ(read(self->pipe[0], self->buffer, 64), 64);

	ASSERT_GT(vmsplice(self->pipe[1], &shared, 1, 0), 0);
	GUEST_INTACT();
	ASSERT_EQ(read(self->pipe[0], self->buffer, SIZE), SIZE);
	HAS_MARKER(self->buffer, SIZE);
	ASSERT_GT(vmsplice(self->pipe[1], &private, 1, 0), 0);
	GUEST_INTACT();
	ASSERT_EQ(read(self->pipe[0], self->buffer, SIZE), SIZE);
	NO_SECRET(self->buffer, SIZE);

	/* Given away, page and all. */
	HARMLESS(vmsplice(self->pipe[1], &private, 1, SPLICE_F_GIFT));
	HARMLESS(splice(self->pipe[0], NULL, self->scratch, &zero, SIZE,
			SPLICE_F_MOVE));
	ASSERT_EQ(pread(self->scratch, self->buffer, SIZE, 0), SIZE);
	NO_SECRET(self->buffer, SIZE);
}

/* The descriptor in other hands, and the file by other names. */
TEST_F(access, descriptor)
{
	int self_pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec iov = { .iov_base = self->buffer, .iov_len = SIZE };
	char path[64], handle[128] = {};
	int fd = self->guest.fd, other, mount_id;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	REFUSED(open(path, O_RDONLY));
	REFUSED(open(path, O_RDWR));
	REFUSED(open(path, O_RDWR | O_DIRECT));
	REFUSED(truncate(path, 0));
	/* What cannot be opened could be opened by its handle. */
	((struct file_handle *)handle)->handle_bytes = 64;
	HARMLESS(name_to_handle_at(fd, "", (struct file_handle *)handle,
				   &mount_id, AT_EMPTY_PATH));
	REFUSED(open_by_handle_at(fd, (struct file_handle *)handle, O_RDWR));

	ASSERT_GE(self_pidfd, 0);
	other = syscall(SYS_pidfd_getfd, self_pidfd, fd, 0);
	ASSERT_GE(other, 0);
	REFUSED(pread(other, self->buffer, SIZE, 0));
	REFUSED(preadv(other, &iov, 1, 0));
	EXPECT_EQ(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, other, 0), MAP_FAILED);
	HARMLESS(fcntl(other, F_SETFL, O_DIRECT | O_APPEND));
	REFUSED(pread(other, self->buffer, SIZE, 0));
	REFUSED(write(other, self->buffer, SIZE));
	close(other);
	GUEST_INTACT();

	HARMLESS(readahead(fd, 0, SIZE));
	HARMLESS(posix_fadvise(fd, 0, SIZE, POSIX_FADV_WILLNEED));
	HARMLESS(posix_fadvise(fd, 0, SIZE, POSIX_FADV_DONTNEED));
	HARMLESS(fsync(fd));
	HARMLESS(sync_file_range(fd, 0, SIZE, SYNC_FILE_RANGE_WRITE));
	REFUSED(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, SIZE));
	REFUSED(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, SIZE));
	NO_SECRET(self->buffer, SIZE);
}

/* The host's own mapping of the private frames is other memory. */
TEST_F(access, own_mapping)
{
	NO_SECRET(self->guest.private, SIZE);
	memset(self->guest.private, 0xff, SIZE);
	GUEST_INTACT();
	NO_SECRET(self->guest.private, SIZE);
}

TEST_F(access, proc_mem)
{
	int mem = open("/proc/self/mem", O_RDWR);

	ASSERT_GE(mem, 0);
	ASSERT_EQ(pread(mem, self->buffer, SIZE, (off_t)self->guest.shared), SIZE);
	HAS_MARKER(self->buffer, SIZE);
	ASSERT_EQ(pread(mem, self->buffer, SIZE, (off_t)self->guest.private), SIZE);
	NO_SECRET(self->buffer, SIZE);
	memset(self->buffer, 0xff, SIZE);
	ASSERT_EQ(pwrite(mem, self->buffer, SIZE, (off_t)self->guest.private), SIZE);
	GUEST_INTACT();
	close(mem);
}

/* Another process that may trace this one; its exit status is the step that failed. */
static int watcher(struct guest *guest, char *buffer, pid_t pid,
		   int (*watch)(struct guest *guest, char *buffer, pid_t pid))
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(watch(guest, buffer, pid));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define STEP(condition)							\
	do {								\
		step++;							\
		if (!(condition))					\
			return step;					\
	} while (0)

static int watch_proc_mem(struct guest *guest, char *buffer, pid_t pid)
{
	int mem, step = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR);
	STEP(mem >= 0);
	STEP(pread(mem, buffer, SIZE, (off_t)guest->shared) == SIZE);
	STEP(find(buffer, SIZE, guest->marker) == NR_WORDS);
	STEP(pread(mem, buffer, SIZE, (off_t)guest->private) == SIZE);
	STEP(!find(buffer, SIZE, guest->secret));
	memset(buffer, 0xff, SIZE);
	STEP(pwrite(mem, buffer, SIZE, (off_t)guest->private) == SIZE);

	return 0;
}

static int watch_process_vm(struct guest *guest, char *buffer, pid_t pid)
{
	struct iovec local = { .iov_base = buffer, .iov_len = SIZE };
	struct iovec private = { .iov_base = guest->private, .iov_len = SIZE };
	struct iovec shared = { .iov_base = guest->shared, .iov_len = SIZE };
	int step = 0;

	STEP(process_vm_readv(pid, &local, 1, &shared, 1, 0) == SIZE);
	STEP(find(buffer, SIZE, guest->marker) == NR_WORDS);
	STEP(process_vm_readv(pid, &local, 1, &private, 1, 0) == SIZE);
	STEP(!find(buffer, SIZE, guest->secret));
	memset(buffer, 0xff, SIZE);
	STEP(process_vm_writev(pid, &local, 1, &private, 1, 0) == SIZE);

	return 0;
}

static int watch_ptrace(struct guest *guest, char *buffer, pid_t pid)
{
	int status, step = 0;
	long word;
	size_t i;

	STEP(!ptrace(PTRACE_SEIZE, pid, 0, 0));
	STEP(!ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	STEP(waitpid(pid, &status, __WALL) == pid);
	for (i = 0; i < PAGE_SIZE; i += sizeof(word))
		*(long *)(buffer + i) = ptrace(PTRACE_PEEKDATA, pid,
					       guest->shared + i, 0);
	STEP(find(buffer, PAGE_SIZE, guest->marker) == PAGE_SIZE / 8);
	for (i = 0; i < PAGE_SIZE; i += sizeof(word)) {
		*(long *)(buffer + i) = ptrace(PTRACE_PEEKDATA, pid,
					       guest->private + i, 0);
		STEP(!ptrace(PTRACE_POKEDATA, pid, guest->private + i, -1L));
	}
	STEP(!find(buffer, PAGE_SIZE, guest->secret));
	STEP(!ptrace(PTRACE_DETACH, pid, 0, 0));

	return 0;
}

TEST_F(access, proc_mem_of_another)
{
	EXPECT_EQ(watcher(&self->guest, self->buffer, getpid(), watch_proc_mem), 0);
	GUEST_INTACT();
}

TEST_F(access, process_vm_readv)
{
	struct iovec iov = { .iov_base = self->buffer, .iov_len = SIZE };

	if (process_vm_readv(getpid(), &iov, 1, &iov, 1, 0) < 0 && errno == ENOSYS)
		SKIP(return, "this kernel has no CONFIG_CROSS_MEMORY_ATTACH");
	EXPECT_EQ(watcher(&self->guest, self->buffer, getpid(), watch_process_vm), 0);
	GUEST_INTACT();
}

TEST_F(access, ptrace)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	EXPECT_EQ(watcher(&self->guest, self->buffer, getpid(), watch_ptrace), 0);
	GUEST_INTACT();
}

/* Devices write to and read from the memslot's pages directly. */
TEST_F(access, direct_io)
{
	const char *dir = getenv("GMEM_RESULTS");
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/host_access.direct", dir ? dir : "/tmp");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	if (fd < 0)
		SKIP(return, "the file system of %s has no O_DIRECT", path);
	unlink(path);

	ASSERT_EQ(pwrite(fd, self->guest.shared, SIZE, 0), SIZE);
	GUEST_INTACT();
	ASSERT_EQ(pwrite(fd, self->guest.private, SIZE, SIZE), SIZE);
	GUEST_INTACT();
	ASSERT_EQ(pread(fd, self->buffer, SIZE, 0), SIZE);
	HAS_MARKER(self->buffer, SIZE);
	ASSERT_EQ(pread(fd, self->buffer, SIZE, SIZE), SIZE);
	NO_SECRET(self->buffer, SIZE);

	/* The file's first half goes to where the private frames are mapped. */
	ASSERT_EQ(pread(fd, self->guest.private, SIZE, 0), SIZE);
	GUEST_INTACT();
	HAS_MARKER(self->guest.private, SIZE);
	close(fd);
}

/* Words of a pattern in a file. */
static uint64_t find_in_file(const char *path, uint64_t seed, uint64_t *size)
{
	int fd = open(path, O_RDONLY);
	uint64_t found;
	void *memory;

	*size = 0;
	if (fd < 0)
		return 0;
	*size = lseek(fd, 0, SEEK_END);
	memory = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	found = memory == MAP_FAILED ? 0 : find(memory, *size, seed);
	munmap(memory, *size);
	close(fd);

	return found;
}

/* The VMM that dies; it must not have looked for the secret before. */
static void dump_core(int ready)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct guest guest;

	setrlimit(RLIMIT_CORE, &unlimited);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	/* Everything there is: shared, file-backed and huge mappings, too. */
	write_file("/proc/self/coredump_filter", "0x1ff");
	signal(SIGABRT, SIG_DFL);
	start_guest(&guest);
	if (ask_guest(&guest) == NR_WORDS && ask_guest(&guest) == NR_WORDS &&
	    write(ready, &guest, sizeof(guest)) == sizeof(guest))
		abort();
	_exit(1);
}

TEST_F(access, core_dump)
{
	char pattern[256] = {}, core[64];
	struct guest guest;
	int fd, status;
	uint64_t size;
	pid_t child;

	fd = open("/proc/sys/kernel/core_pattern", O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_GT(read(fd, pattern, sizeof(pattern) - 1), 0);
	write_file("/proc/sys/kernel/core_pattern", CORE_DIR "/gmem.core.%p");

	child = fork();
	if (!child)
		dump_core(self->pipe[1]);
	waitpid(child, &status, 0);
	write_file("/proc/sys/kernel/core_pattern", pattern);
	close(fd);

	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGABRT);
	EXPECT_TRUE(WCOREDUMP(status));
	ASSERT_EQ(read(self->pipe[0], &guest, sizeof(guest)), sizeof(guest));

	snprintf(core, sizeof(core), CORE_DIR "/gmem.core.%d", child);
	EXPECT_GE(find_in_file(core, guest.marker, &size), NR_WORDS);
	EXPECT_GT(size, 2 * SIZE);
	EXPECT_EQ(find_in_file(core, guest.secret, &size), 0);
	unlink(core);
	GUEST_INTACT();
}

/* Starts a guest of whose private pages the page frames are known. */
static uint64_t trace_frames(struct guest *guest, uint64_t *pfns)
{
	frames_trace();
	start_guest(guest);
	ask_guest(guest);

	return frames_read(PRIVATE_GPA / PAGE_SIZE, NR_PAGES, pfns);
}

/* The page frame behind an address of this process, 0 if there is none. */
static uint64_t frame_of(const void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry),
		  (uintptr_t)address / PAGE_SIZE * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);

	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

/* Reads a page frame through the direct map; the length or -1. */
static ssize_t read_kcore(int kcore, uint64_t pfn, void *page)
{
	uint64_t phys = pfn * PAGE_SIZE;
	Elf64_Phdr phdr;
	Elf64_Ehdr ehdr;
	int i;

	if (pread(kcore, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr))
		return -1;
	for (i = 0; i < ehdr.e_phnum; i++) {
		if (pread(kcore, &phdr, sizeof(phdr),
			  ehdr.e_phoff + i * sizeof(phdr)) != sizeof(phdr))
			return -1;
		if (phdr.p_type == PT_LOAD && phdr.p_paddr != ~0ULL &&
		    phys >= phdr.p_paddr && phys - phdr.p_paddr < phdr.p_memsz)
			return pread(kcore, page, PAGE_SIZE,
				     phdr.p_offset + phys - phdr.p_paddr);
	}

	return -1;
}

/*
 * A guest that is not encrypted has its memory in the kernel's direct map,
 * which /proc/kcore shows to root, but for a guest's private pages: there it
 * shows zeros.
 */
TEST_F(access, kcore)
{
	int kcore = open("/proc/kcore", O_RDONLY);
	uint64_t pfns[NR_PAGES], i, shown = 0;
	struct guest guest;
	ssize_t len;

	if (kcore < 0)
		SKIP(return, "no /proc/kcore");

	ASSERT_EQ(read_kcore(kcore, frame_of(self->guest.shared), self->buffer),
		  PAGE_SIZE);
	HAS_MARKER(self->buffer, PAGE_SIZE);

	ASSERT_EQ(trace_frames(&guest, pfns), NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		memset(self->buffer, 0, PAGE_SIZE);
		len = read_kcore(kcore, pfns[i], self->buffer);
		EXPECT_TRUE(len == PAGE_SIZE || len < 0);
		shown += find(self->buffer, PAGE_SIZE, guest.secret);
		EXPECT_EQ(ask_guest(&guest), NR_WORDS);
	}
	EXPECT_EQ(shown, 0);
	/* It is read-only, whoever asks. */
	EXPECT_LT(write(kcore, self->buffer, PAGE_SIZE), 0);
	kvm_vm_free(guest.vm);
	close(kcore);
}

TEST_F(access, dev_mem)
{
	int mem = open("/dev/mem", O_RDWR);
	uint64_t pfns[NR_PAGES], i;
	struct guest guest;
	void *map;

	if (mem < 0)
		SKIP(return, "no /dev/mem");
	if (pread(mem, self->buffer, PAGE_SIZE,
		  frame_of(self->guest.shared) * PAGE_SIZE) == PAGE_SIZE &&
	    find(self->buffer, PAGE_SIZE, self->guest.marker))
		SKIP(return, "/dev/mem shows root all memory: no CONFIG_STRICT_DEVMEM");
	ASSERT_EQ(trace_frames(&guest, pfns), NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		memset(self->buffer, 0, PAGE_SIZE);
		pread(mem, self->buffer, PAGE_SIZE, pfns[i] * PAGE_SIZE);
		EXPECT_EQ(find(self->buffer, PAGE_SIZE, guest.secret), 0);
		map = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   mem, pfns[i] * PAGE_SIZE);
		EXPECT_EQ(map, MAP_FAILED);
		EXPECT_EQ(ask_guest(&guest), NR_WORDS);
	}
	kvm_vm_free(guest.vm);
	close(mem);
}

static uint64_t page_info(const char *path, uint64_t pfn)
{
	int fd = open(path, O_RDONLY);
	uint64_t value = ~0ULL;

	if (pread(fd, &value, sizeof(value), pfn * sizeof(value)) != sizeof(value))
		value = ~0ULL;
	close(fd);

	return value;
}

/* Reads a file of /proc to its end. */
static ssize_t read_all(const char *path)
{
	static char buffer[1 << 16];
	int fd = open(path, O_RDONLY);
	ssize_t len, total = 0;

	while ((len = read(fd, buffer, sizeof(buffer))) > 0)
		total += len;
	close(fd);

	return len < 0 ? -1 : total;
}

/* What tells of pages rather than of their contents. */
TEST_F(access, page_information)
{
	uint64_t pfns[NR_PAGES], i, j;
	struct guest guest;
	char path[64];

	ASSERT_EQ(trace_frames(&guest, pfns), NR_PAGES);
	/* A new page waits in a CPU's batch for its flag; this empties them. */
	write_file("/proc/sys/vm/drop_caches", "1");
	for (i = 0; i < NR_PAGES; i++) {
		/* In nobody's page tables, and not for reclaim to take. */
		EXPECT_EQ(page_info("/proc/kpagecount", pfns[i]), 0);
		EXPECT_EQ(page_info("/proc/kpageflags", pfns[i]) >>
			  KPF_UNEVICTABLE & 1, 1);
		page_info("/proc/kpagecgroup", pfns[i]);
		for (j = 0; j < NR_PAGES; j++)
			EXPECT_NE(frame_of(guest.private + j * PAGE_SIZE), pfns[i]);
	}
	EXPECT_EQ(ask_guest(&guest), NR_WORDS);

	EXPECT_GT(read_all("/proc/self/maps"), 0);
	EXPECT_GT(read_all("/proc/self/smaps"), 0);
	EXPECT_GT(read_all("/proc/self/smaps_rollup"), 0);
	EXPECT_NE(read_all("/proc/self/numa_maps"), -1);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", guest.fd);
	EXPECT_GT(read_all(path), 0);
	EXPECT_EQ(ask_guest(&guest), NR_WORDS);
	kvm_vm_free(guest.vm);
}

/* What the VMM does to its mapping is not done to the private pages. */
TEST_F(access, advice_on_the_mapping)
{
	static const int advice[] = {
		MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT,
		MADV_REMOVE, MADV_HUGEPAGE, MADV_COLLAPSE, MADV_NOHUGEPAGE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_DONTDUMP, MADV_DODUMP,
		MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};
	char *private = self->guest.private;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(advice); i++) {
		if (madvise(private, SIZE, advice[i]))
			errno = 0;
		GUEST_INTACT()
			TH_LOG("after advice %d", advice[i]);
		NO_SECRET(private, SIZE);
	}
	HARMLESS(mlock(private, SIZE));
	NO_SECRET(private, SIZE);
	HARMLESS(mprotect(private, SIZE, PROT_NONE));
	HARMLESS(munmap(private, SIZE));
	EXPECT_EQ(mmap(private, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		       MAP_ANONYMOUS | MAP_FIXED, -1, 0), private);
	GUEST_INTACT();
	NO_SECRET(private, SIZE);
}

/* Nobody answers the faults: a guest that caused one would hang. */
TEST_F(access, userfaultfd)
{
	struct uffdio_register range = {
		.range = {
			.start = (uintptr_t)self->guest.private,
			.len = SIZE,
		},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_copy copy = {
		.dst = range.range.start,
		.src = (uintptr_t)self->buffer,
		.len = SIZE,
	};
	struct pollfd event = { .events = POLLIN };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		SKIP(return, "no userfaultfd");
	event.fd = fd;
	ASSERT_EQ(ioctl(fd, UFFDIO_API, &api), 0);
	ASSERT_EQ(ioctl(fd, UFFDIO_REGISTER, &range), 0);
	ASSERT_EQ(madvise(self->guest.private, SIZE, MADV_DONTNEED), 0);
	GUEST_INTACT();
	EXPECT_EQ(poll(&event, 1, 0), 0);

	memset(self->buffer, 0xff, SIZE);
	EXPECT_EQ(ioctl(fd, UFFDIO_COPY, &copy), 0);
	GUEST_INTACT();
	NO_SECRET(self->guest.private, SIZE);
	close(fd);
}

/* The host wants memory back, or to have it elsewhere. */
TEST_F(access, reclaim_and_migration)
{
	const uint64_t other_node = 1;
	void *page = self->guest.private;
	int node = 0, status;

	write_file("/proc/sys/vm/drop_caches", "3");
	GUEST_INTACT();
	write_file("/proc/sys/vm/compact_memory", "1");
	GUEST_INTACT();
	write_file("/sys/fs/cgroup/memory.reclaim", "64M");
	GUEST_INTACT();
	HARMLESS(syscall(SYS_move_pages, 0, 1, &page, &node, &status, 2));
	HARMLESS(syscall(SYS_mbind, page, SIZE, MPOL_BIND, &other_node, 8,
			 MPOL_MF_MOVE));
	HARMLESS(syscall(SYS_migrate_pages, 0, 8, &other_node, &other_node));
	NO_SECRET(self->guest.private, SIZE);
}

int main(int argc, char **argv)
{
	return test_harness_run(argc, argv);
}
