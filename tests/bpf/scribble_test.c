// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program may have the kernel's figures written into a map that userspace
 * writes to at the same time.  Whatever it writes, the kernel's own figures stay
 * what they are: nothing is read back.
 */
#include <sys/mman.h>

#include "policy_fixture.h"
#include "scribble.skel.h"

/* A multiple of the page size that holds all of the map. */
#define MAP_BYTES	8192

static volatile uint64_t *words;
static volatile bool stop;

/* Files to be counted while others write: the more, the longer that takes. */
#define NR_FILES	256

/*
 * What would be most harmful where a counter is.  Where the allocations are more
 * often than elsewhere, since what was freed is made of them.
 */
static void *scribble(void *arg)
{
	static const uint64_t values[] = { 1ULL << 62, 0, ~0ULL, 1ULL << 63 };
	const unsigned int allocated =
		offsetof(struct gmem_vm_sample, allocated_pages) / 8;
	uint64_t i, j, n = 0;

	while (!stop) {
		for (i = 0; i < 40; i++) {
			words[i] = values[n % ARRAY_SIZE(values)];
			for (j = 0; j < 10; j++)
				words[allocated] = 1ULL << 62;
		}
		n++;
	}

	return NULL;
}

static void run(struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	MUST(!bpf_prog_test_run_opts(bpf_program__fd(prog), &opts),
	     "cannot run a program");
}

TEST_F(policy, scribbling_changes_no_figure)
{
	struct puppet_bpf *p = new_puppet("scribbled", 0, 0, 0);
	struct scribble_bpf *skel = scribble_bpf__open_and_load();
	struct bpf_link *link = attach(p);
	struct gmem_policy_sample policy;
	struct gmem_vm_sample before, after;
	pthread_t threads[2];
	uint64_t rounds = 0;
	int files[NR_FILES], i, j;

	ASSERT_NE(skel, NULL);
	words = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_map__fd(skel->maps.shared), 0);
	ASSERT_NE(words, MAP_FAILED);
	for (i = 0; i < NR_FILES; i++)
		files[i] = vm_create_guest_memfd(self->vm, PAGE_SIZE, 0);
	/* 48 allocated, 16 freed. */
	ASSERT_EQ(populate(self->vm, 0, 48), 0);
	ASSERT_EQ(punch(self->vm, 0, 16), 0);
	before = usage();
	ASSERT_EQ(before.allocated_pages, 48);
	ASSERT_EQ(before.freed_pages, 16);
	policy = policy_info("scribbled");
	skel->bss->vm_id = before.vm_id;
	skel->bss->link_id = policy.link_id;

	stop = false;
	for (j = 0; j < 2; j++)
		ASSERT_EQ(pthread_create(&threads[j], NULL, scribble, NULL), 0);
	for (i = 0; i < 20; i++) {
		run(skel->progs.fill);
		rounds += 500;
		ASSERT_EQ(skel->bss->rounds, rounds);
		EXPECT_EQ(skel->bss->results[0],
			  offsetof(struct gmem_vm_sample, moved_pages));
		EXPECT_GE(skel->bss->results[1], 2);
		EXPECT_EQ(skel->bss->results[2], 8);
		EXPECT_GE(skel->bss->results[3], 1);
		EXPECT_EQ(skel->bss->results[4], 1);
		EXPECT_EQ(skel->bss->results[5], sizeof(policy));
		EXPECT_EQ(skel->bss->results[6], 0);
		EXPECT_GE(skel->bss->results[7], 1);
		after = usage();
		ASSERT_EQ(after.freed_pages, 16)
			TH_LOG("after %lu rounds", rounds);
	}
	/* And while pages come and go. */
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(populate(self->vm, 0, 16), 0);
		run(skel->progs.fill);
		ASSERT_EQ(punch(self->vm, 0, 16), 0);
		run(skel->progs.fill);
		after = usage();
		ASSERT_EQ(after.allocated_pages, 48 + 16 * (i + 1));
		ASSERT_EQ(after.freed_pages, 16 + 16 * (i + 1));
	}
	stop = true;
	for (j = 0; j < 2; j++)
		pthread_join(threads[j], NULL);

	after = usage();
	EXPECT_EQ(after.populated_pages, before.populated_pages);
	EXPECT_EQ(after.private_pages, before.private_pages);
	EXPECT_EQ(after.stale_pages, before.stale_pages);
	EXPECT_EQ(after.conversions, before.conversions);
	EXPECT_EQ(after.vm_id, before.vm_id);
	EXPECT_EQ(after.pid, before.pid);
	EXPECT_EQ(policy_info("scribbled").calls, p->bss->faults + p->bss->converts);
	EXPECT_EQ(policy_info("scribbled").denied, 0);

	for (i = 0; i < NR_FILES; i++)
		close(files[i]);
	munmap((void *)words, MAP_BYTES);
	bpf_link__destroy(link);
	puppet_bpf__destroy(p);
	scribble_bpf__destroy(skel);
}

int main(int argc, char **argv)
{
	return run_policy_tests(argc, argv);
}
