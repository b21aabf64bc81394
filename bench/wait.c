// SPDX-License-Identifier: GPL-2.0-only
/*
 * wait VARIANT...: how long operations on private memory take beside another
 * one on the same file (busy, and absent: a prefault that allocates its page),
 * how long some take by themselves (call), and how long a BPF program that
 * sleeps in the hook of a VM keeps operations on others waiting (asleep).
 *
 * "none" is all of them for the kernel without the patches, but for the last.
 *
 * Figures are microseconds of the icount clock: 1,000 instructions, or the
 * idle time until the next timer.  There is one CPU.  What keeps others waiting
 * is an ordinary thread; the thread that waits is a real-time one.  It wakes up
 * again and again in between timer ticks, has the CPU as soon as the other can
 * be preempted, does its operation and sleeps.  So an operation takes as long
 * as it would alone, unless it has to wait for something that the other has,
 * and the longest of all of them is the figure.  What the other does until it
 * can be preempted is in no figure, and neither is a tick, with all that it
 * does for RCU, unless the operation waits for so long that it meets one.
 *
 * Allocating a page takes half a millisecond now and then, on either kernel,
 * and that is why "absent" has a limit of its own.
 *
 * The rows of "call" are the least of several runs.  Those of "asleep" are what
 * the call takes longer than with nothing asleep, or one second if it does not
 * end until the program does.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <bpf/libbpf.h>

#include "gmem_sample.h"
#include "pass.skel.h"
#include "sleeper.skel.h"
#include "vm.h"

#define GIB		(1ULL << 30)
#define UNIT		"microseconds"

static double microseconds(uint64_t clock)
{
	return clock / 1000.0;
}

static void change_pages(int fd, int mode, uint64_t offset, uint64_t size)
{
	BENCH_MUST(!fallocate(fd, FALLOC_FL_KEEP_SIZE | mode, offset, size),
		   "change the pages of a file");
}

static void populate(int fd, uint64_t offset, uint64_t size)
{
	change_pages(fd, 0, offset, size);
}

static void punch(int fd, uint64_t offset, uint64_t size)
{
	change_pages(fd, FALLOC_FL_PUNCH_HOLE, offset, size);
}

static void guest_code(void)
{
	GUEST_DONE();
}

/* Waiting for a thread that is busy with the same file */

/* A part of the file is for who waits and another for who is busy. */
#define BUSY_OFFSET	GIB
#define BUSY_SIZE	(2 * GIB)
#define TURNS		8192U

/* From one timer tick to the next: CONFIG_HZ of the test kernels is 250. */
#define TICK_NS		4000000ULL
#define PERIOD_NS	(TICK_NS / 10)

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static sem_t begin;
static volatile bool done;

static void be_ordinary(void)
{
	const struct sched_param param = { .sched_priority = 0 };

	BENCH_MUST(!sched_setscheduler(0, SCHED_OTHER, &param),
		   "lower the priority");
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	const struct timespec ts = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
		;
}

/* Until half a period after a multiple of it, and not just before a tick. */
static void wait_for_turn(void)
{
	do {
		sleep_until((now_ns() / PERIOD_NS + 1) * PERIOD_NS +
			    PERIOD_NS / 2);
	} while (now_ns() % TICK_NS > TICK_NS - PERIOD_NS);
}

static uint64_t prefault_page(unsigned int nr)
{
	if (nr == TURNS)
		BENCH_DIE("there are more turns than pages");

	return bench_prefault(vcpu, nr * PAGE_SIZE, PAGE_SIZE);
}

static uint64_t convert_page(unsigned int nr)
{
	return bench_convert(vm, PAGE_SIZE, PAGE_SIZE, nr & 1);
}

/**
 * struct meanwhile - an operation beside another one
 * @variant: what bench/limits calls it
 * @op: what the table calls it
 * @wait: the operation; returns what it cost
 * @change: the other one
 * @present: the pages of the operation are there
 */
static const struct meanwhile {
	const char *variant;
	const char *op;
	uint64_t (*wait)(unsigned int nr);
	void (*change)(int fd, uint64_t offset, uint64_t size);
	bool present;
} meanwhile[] = {
	{ "busy", "prefault while 2 GiB are punched", prefault_page, punch, true },
	{ "busy", "convert 4 KiB while 2 GiB are punched", convert_page, punch, true },
	{ "busy", "prefault while 2 GiB are allocated", prefault_page, populate, true },
	{ "busy", "convert 4 KiB while 2 GiB are allocated", convert_page, populate, true },
	{ "absent", "prefault a new page while 2 GiB are punched", prefault_page, punch, false },
	{ "absent", "prefault a new page while 2 GiB are allocated", prefault_page, populate, false },
};

static void *be_busy(void *arg)
{
	const struct meanwhile *m = arg;

	be_ordinary();
	sem_wait(&begin);
	m->change(bench_data_fd(vm), BUSY_OFFSET, BUSY_SIZE);
	done = true;

	return NULL;
}

static void prepare(const struct meanwhile *m)
{
	int fd;

	vm = bench_vm(BUSY_OFFSET + BUSY_SIZE, guest_code, &vcpu);
	fd = bench_data_fd(vm);
	bench_convert(vm, 0, BUSY_OFFSET + BUSY_SIZE, true);
	if (m->change == punch)
		populate(fd, BUSY_OFFSET, BUSY_SIZE);
	/* Page tables stay when what they map goes. */
	bench_prefault(vcpu, 0, TURNS * PAGE_SIZE);
	punch(fd, 0, TURNS * PAGE_SIZE);
	if (m->present)
		populate(fd, 0, TURNS * PAGE_SIZE);
	bench_settle();
}

/* The longest while the other is going on. */
static uint64_t longest(const struct meanwhile *m)
{
	uint64_t most = 0, cost;
	unsigned int nr = 0;
	pthread_t thread;

	done = false;
	BENCH_MUST(!pthread_create(&thread, NULL, be_busy, (void *)m),
		   "start a thread");
	/* The first two are to warm up. */
	m->wait(nr++);
	m->wait(nr++);
	bench_settle();
	sem_post(&begin);
	for (wait_for_turn(); !done; wait_for_turn()) {
		cost = m->wait(nr++);
		if (cost > most)
			most = cost;
	}
	pthread_join(thread, NULL);
	printf("%s: the longest of %u\n", m->op, nr - 2);

	return most;
}

static void measure_meanwhile(const char *wanted)
{
	const struct meanwhile *m;
	uint64_t cost;

	BENCH_MUST(!sem_init(&begin, 0, 0), "make a semaphore");
	for (m = meanwhile; m < meanwhile + ARRAY_SIZE(meanwhile); m++) {
		if (strcmp(wanted, "none") && strcmp(wanted, m->variant))
			continue;
		prepare(m);
		cost = longest(m);
		bench_report(wanted, m->op, UNIT, microseconds(cost));
		kvm_vm_free(vm);
		bench_settle();
	}
}

/* Calls that take long by themselves */

#define BOUND_SIZE	(3 * GIB)
#define AGAIN_SIZE	GIB
#define CALLS		3

static int memfd;
static void *bound_memory;

static void set_slot(uint64_t size)
{
	BENCH_MUST(!__vm_set_user_memory_region2(vm, DATA_SLOT, KVM_MEM_GUEST_MEMFD,
						 DATA_GPA, size, bound_memory,
						 memfd, 0),
		   "set a memslot");
}

static uint64_t bind_slot(void)
{
	uint64_t began = bench_now(), cost;

	set_slot(BOUND_SIZE);
	cost = bench_now() - began;
	set_slot(0);
	bench_settle();

	return cost;
}

static uint64_t populate_again(void)
{
	uint64_t began = bench_now();

	populate(memfd, 0, AGAIN_SIZE);

	return bench_now() - began;
}

static uint64_t create_and_destroy(void)
{
	int kvm = open("/dev/kvm", O_RDWR), fd;
	uint64_t began = bench_now(), cost;

	fd = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	BENCH_MUST(fd >= 0, "create a VM");
	close(fd);
	cost = bench_now() - began;
	close(kvm);

	return cost;
}

static void measure_calls(const char *variant)
{
	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	bound_memory = mmap(NULL, BOUND_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BENCH_MUST(bound_memory != MAP_FAILED, "map memory");
	memfd = vm_create_guest_memfd(vm, BOUND_SIZE, 0);
	populate(memfd, 0, BOUND_SIZE);

	bench_report(variant, "allocate 1 GiB that is there", UNIT,
		     microseconds(bench_least(populate_again, CALLS)));
	bench_report(variant, "bind 3 GiB of pages, shared", UNIT,
		     microseconds(bench_least(bind_slot, CALLS)));
	bench_convert(vm, 0, BOUND_SIZE, true);
	bench_settle();
	bench_report(variant, "bind 3 GiB of pages, private", UNIT,
		     microseconds(bench_least(bind_slot, CALLS)));

	munmap(bound_memory, BOUND_SIZE);
	close(memfd);
	kvm_vm_free(vm);
	bench_settle();

	bench_report(variant, "create and destroy a VM", UNIT,
		     microseconds(bench_least(create_and_destroy, CALLS)));
}

static void measure_none(const char *variant)
{
	measure_meanwhile(variant);
	measure_calls(variant);
}

/* Waiting for a program that sleeps in the hook of another VM */

/* Of what takes longer, the program is woken up and this is the figure. */
#define TIMEOUT_S	1

static struct sleeper_bpf *sleeper;
static struct bpf_link *sleeper_link;
static struct pass_bpf *pass;
static int uffd;
static char *sleeping_page;

/* The id of the one VM that is not @other. */
static uint64_t id_beside(uint64_t other)
{
	struct gmem_sampler *sampler = gmem_sampler_open();
	struct gmem_sample sample = {};
	uint64_t id = 0;
	size_t i;

	if (!sampler || gmem_sampler_read(sampler, &sample))
		BENCH_DIE("cannot sample the VMs");
	for (i = 0; i < sample.nr_vms; i++) {
		if (sample.vms[i].vm_id != other)
			id = sample.vms[i].vm_id;
	}
	if (!id)
		BENCH_DIE("a VM has no id");
	gmem_sample_free(&sample);
	gmem_sampler_close(sampler);

	return id;
}

static void open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	BENCH_MUST(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api),
		   "open a userfaultfd");
}

/* A page that whoever reads it waits for. */
static void new_sleeping_page(void)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	sleeping_page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	BENCH_MUST(sleeping_page != MAP_FAILED, "map a page");
	reg.range.start = (uintptr_t)sleeping_page;
	reg.range.len = PAGE_SIZE;
	BENCH_MUST(!ioctl(uffd, UFFDIO_REGISTER, &reg),
		   "register a page with userfaultfd");
}

static void *convert_in_sleep(void *unused)
{
	bench_convert(vm, 0, PAGE_SIZE, true);

	return NULL;
}

static pthread_t put_to_sleep(void)
{
	struct uffd_msg msg;
	pthread_t thread;

	new_sleeping_page();
	sleeper->bss->page = (uintptr_t)sleeping_page;
	BENCH_MUST(!pthread_create(&thread, NULL, convert_in_sleep, NULL),
		   "start a thread");
	BENCH_MUST(read(uffd, &msg, sizeof(msg)) == sizeof(msg),
		   "wait for the program to sleep");
	if (msg.event != UFFD_EVENT_PAGEFAULT)
		BENCH_DIE("userfaultfd reports event %u", msg.event);

	return thread;
}

static void wake_up(pthread_t thread)
{
	struct uffdio_zeropage zero = {
		.range.start = (uintptr_t)sleeping_page,
		.range.len = PAGE_SIZE,
	};

	BENCH_MUST(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "wake the program up");
	pthread_join(thread, NULL);
	munmap(sleeping_page, PAGE_SIZE);
}

static uint64_t attach_and_detach(void)
{
	uint64_t began = bench_now();
	struct bpf_link *link = bpf_map__attach_struct_ops(pass->maps.pass);

	BENCH_MUST(link, "attach the policy pass");
	bpf_link__destroy(link);

	return bench_now() - began;
}

/**
 * struct timed - an operation that may hang
 * @run: does it
 * @cost: what it cost, once it has ended
 * @ended: posted then
 */
struct timed {
	uint64_t (*run)(void);
	uint64_t cost;
	sem_t ended;
};

static void *run_timed(void *arg)
{
	struct timed *timed = arg;

	timed->cost = bench_least(timed->run, CALLS);
	sem_post(&timed->ended);

	return NULL;
}

/* How much longer it takes than with nothing asleep. */
static void measure_asleep_op(const char *variant, const char *op,
			      uint64_t (*run)(void))
{
	double us = TIMEOUT_S * 1e6, awake_us;
	struct timed timed = { .run = run };
	pthread_t asleep, thread;
	struct timespec until;

	awake_us = microseconds(bench_least(run, CALLS));
	asleep = put_to_sleep();
	sem_init(&timed.ended, 0, 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TIMEOUT_S;
	BENCH_MUST(!pthread_create(&thread, NULL, run_timed, &timed),
		   "start a thread");
	if (!sem_timedwait(&timed.ended, &until))
		us = microseconds(timed.cost);
	else
		printf("%s: given up after %d s\n", op, TIMEOUT_S);
	wake_up(asleep);
	pthread_join(thread, NULL);
	printf("%s: %.1f us, %.1f us with nothing asleep\n", op, us, awake_us);
	bench_report(variant, op, UNIT " more", us > awake_us ? us - awake_us : 0);
}

static void attach_sleeper(uint64_t vm_id)
{
	sleeper = sleeper_bpf__open();
	BENCH_MUST(sleeper, "open the policy sleeper");
	sleeper->struct_ops.sleeper->vm_id = vm_id;
	BENCH_MUST(!sleeper_bpf__load(sleeper), "load the policy sleeper");
	sleeper_link = bpf_map__attach_struct_ops(sleeper->maps.sleeper);
	BENCH_MUST(sleeper_link, "attach the policy sleeper");
}

static void load_pass(uint64_t vm_id)
{
	pass = pass_bpf__open();
	BENCH_MUST(pass, "open the policy pass");
	pass->struct_ops.pass->vm_id = vm_id;
	BENCH_MUST(!pass_bpf__load(pass), "load the policy pass");
}

static void measure_asleep(const char *variant)
{
	struct kvm_vm *third;
	uint64_t id;

	vm = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	id = id_beside(0);
	third = vm_create_barebones_type(KVM_X86_SW_PROTECTED_VM);
	load_pass(id_beside(id));
	attach_sleeper(id);
	open_uffd();

	measure_asleep_op(variant, "create and destroy a VM, a program asleep",
			  create_and_destroy);
	measure_asleep_op(variant, "attach and detach a policy, a program asleep",
			  attach_and_detach);

	bpf_link__destroy(sleeper_link);
	sleeper_bpf__destroy(sleeper);
	pass_bpf__destroy(pass);
	close(uffd);
	kvm_vm_free(third);
	kvm_vm_free(vm);
}

static const struct variant {
	const char *name;
	void (*measure)(const char *variant);
} variants[] = {
	{ "none", measure_none },
	{ "busy", measure_meanwhile },
	{ "absent", measure_meanwhile },
	{ "call", measure_calls },
	{ "asleep", measure_asleep },
};

static const struct variant *find_variant(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(variants); i++) {
		if (!strcmp(variants[i].name, name))
			return &variants[i];
	}
	fprintf(stderr, "wait: no variant is called '%s'; see the head of bench/wait.c\n",
		name);
	exit(2);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: wait VARIANT...\n");
		return 2;
	}
	for (i = 1; i < argc; i++)
		find_variant(argv[i]);

	bench_begin();
	for (i = 1; i < argc; i++)
		find_variant(argv[i])->measure(argv[i]);

	return 0;
}
