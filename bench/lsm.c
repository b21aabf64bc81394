// SPDX-License-Identifier: GPL-2.0-only
/*
 * lsm VARIANT...: what a policy of BPF's LSM adds to ioctls on a kernel that has
 * nothing of gmem: with nothing attached (none), with one (deny, ratelimit, and fragment,
 * which has to know what KVM did), and after one is gone (detached).  The ioctls are
 * those that no policy is about, KVM_RUN among them; "passes" has the one that is, and
 * that ratelimit lets pass.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/ioctl.h>

#include "objects/object.h"
#include "vm.h"

#define RUNS	201
/* Far more than a bench can use up. */
#define RATE_UNREACHED	"1000000000"

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static int pipe_fds[2];

static void guest_code(void)
{
	for (;;)
		GUEST_SYNC(0);
}

/* Returns before the guest is entered, so that it costs the same each time. */
static uint64_t run_vcpu(void)
{
	uint64_t began, ended;
	int r;

	vcpu->run->immediate_exit = 1;
	began = bench_now();
	r = ioctl(vcpu->fd, KVM_RUN, NULL);
	ended = bench_now();
	if (!r || errno != EINTR)
		BENCH_DIE("KVM_RUN did not return at once: %d, %s", r, strerror(errno));

	return ended - began;
}

static uint64_t ask_vm(void)
{
	uint64_t began = bench_now();

	ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY);

	return bench_now() - began;
}

static uint64_t ask_pipe(void)
{
	uint64_t began = bench_now();
	int nr;

	ioctl(pipe_fds[0], FIONREAD, &nr);

	return bench_now() - began;
}

static uint64_t convert_page(void)
{
	return bench_convert(vm, 0, PAGE_SIZE, true);
}

static void report(const char *variant, const char *name, uint64_t (*run)(void))
{
	bench_report(variant, name, "instructions", bench_least(run, RUNS));
}

static void measure_others(const char *variant)
{
	report(variant, "KVM_RUN that returns at once", run_vcpu);
	report(variant, "KVM_CHECK_EXTENSION of a VM", ask_vm);
	report(variant, "FIONREAD of a pipe", ask_pipe);
}

static void measure_conversion(const char *variant)
{
	report(variant, "convert 4 KiB, nothing to change", convert_page);
}

static void under(const char *policy, const char *variant,
		  void (*measure)(const char *variant))
{
	struct object *object = object_open(policy);
	struct links links;

	BENCH_MUST(object, "open a policy");
	if (!strcmp(policy, "ratelimit"))
		BENCH_MUST(!object_set(object, "rate=" RATE_UNREACHED) &&
			   !object_set(object, "burst=" RATE_UNREACHED),
			   "set the policy ratelimit");
	/* Whoever pins a policy does that last. */
	BENCH_MUST(!object_set_member(object, "in_force", 1), "let a policy decide");
	BENCH_MUST(!object_load(object), "load a policy");
	BENCH_MUST(!object_attach(object, &links), "attach a policy");
	measure(variant);
	links_close(&links);
	object_close(object);
	bench_settle();
}

static void nothing(const char *variant)
{
}

static void measure(const char *variant)
{
	if (!strcmp(variant, "none")) {
		measure_others(variant);
		measure_conversion(variant);
	} else if (!strcmp(variant, "deny") || !strcmp(variant, "ratelimit") ||
		   !strcmp(variant, "fragment")) {
		under(variant, variant, measure_others);
	} else if (!strcmp(variant, "passes")) {
		under("ratelimit", variant, measure_conversion);
	} else if (!strcmp(variant, "detached")) {
		under("ratelimit", variant, nothing);
		measure_others(variant);
	} else {
		fprintf(stderr, "lsm: no variant is called '%s'; see bench/lsm.c\n",
			variant);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: lsm VARIANT...\n");
		return 2;
	}
	bench_begin();
	BENCH_MUST(!pipe(pipe_fds), "make a pipe");
	vm = bench_vm(DATA_SIZE, guest_code, &vcpu);
	bench_convert(vm, 0, DATA_SIZE, true);
	bench_settle();
	for (i = 1; i < argc; i++)
		measure(argv[i]);
	kvm_vm_free(vm);

	return 0;
}
