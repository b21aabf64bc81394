// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recordings: what is written is what is read, and nothing in a file, however
 * it was cut or damaged, is read as anything else.  Built with the sanitizers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "../../tools/gmemtop/columns.c"
#include "../../tools/gmemtop/facts.c"
#include "../../tools/gmemtop/store_read.c"
#include "../../tools/gmemtop/store_write.c"
#include "../../tools/lib/gmem_common.c"

/* More than two parts. */
#define NR_FRAMES	150
#define VMS_MAX		5

static char path[64], copy[72];

void gmem_sample_free(struct gmem_sample *sample)
{
	free(sample->vms);
	*sample = (struct gmem_sample) {};
}

/* Frame @nr of a host on which VMs come, go and count. */
static void make(size_t nr, struct frame *frame, struct facts *facts)
{
	static struct gmem_vm_sample vms[VMS_MAX];
	static struct gmem_policy_sample policy = { .name = "limit" };
	size_t i, n = nr % VMS_MAX;

	memset(vms, 0, sizeof(vms));
	for (i = 0; i < n; i++) {
		vms[i].vm_id = nr / VMS_MAX + i + 1;
		vms[i].pid = 100 + i;
		vms[i].nr_vcpus = 2;
		vms[i].conversions = nr * 1000 + i;
		vms[i].private_pages = ~0ULL - nr;
		vms[i].rss_pages = nr;
	}
	policy.calls = nr;
	*frame = (struct frame) {
		.time_ns = nr * 1000000000ULL + 1,
		.real_ns = 1700000000000000000ULL + nr * 1000000000ULL,
		.host_pages = 1000000,
		.policies_enabled = nr % 3 - 1,
		.vms = { .nr_vms = n, .vms = vms },
		.policies = { .nr = nr & 1, .policies = &policy },
	};
	facts_keep(facts, &vms->vm_id, sizeof(*vms), n);
	for (i = 0; i < n; i++) {
		snprintf(facts->vm[i].name, VM_NAME_LEN, "vm-%ju",
			 (uintmax_t)vms[i].vm_id);
		strcpy(facts->vm[i].cgroup, "/machine.slice");
	}
}

static bool same(struct store_reader *reader, size_t nr)
{
	static struct frame got;
	static struct facts got_facts, want_facts;
	struct frame want;
	size_t i;

	make(nr, &want, &want_facts);
	if (store_read(reader, nr, &got, &got_facts))
		return false;
	if (got.time_ns != want.time_ns || got.real_ns != want.real_ns ||
	    got.host_pages != want.host_pages ||
	    got.policies_enabled != want.policies_enabled ||
	    got.vms.nr_vms != want.vms.nr_vms ||
	    got.policies.nr != want.policies.nr)
		return false;
	for (i = 0; i < want.vms.nr_vms; i++)
		if (memcmp(&got.vms.vms[i], &want.vms.vms[i],
			   sizeof(want.vms.vms[i])) ||
		    strcmp(got_facts.vm[i].name, want_facts.vm[i].name) ||
		    strcmp(got_facts.vm[i].cgroup, want_facts.vm[i].cgroup))
			return false;
	return !want.policies.nr ||
	       !memcmp(got.policies.policies, want.policies.policies,
		       sizeof(*want.policies.policies));
}

static void write_all(bool finish)
{
	struct store_writer *writer;
	struct facts facts = {};
	struct frame frame;
	size_t i;

	snprintf(path, sizeof(path), "/tmp/store-test-%d", getpid());
	snprintf(copy, sizeof(copy), "%s-copy", path);
	unlink(path);
	writer = store_create(path);
	if (!writer)
		abort();
	for (i = 0; i < NR_FRAMES; i++) {
		make(i, &frame, &facts);
		if (store_write(writer, &frame, &facts))
			abort();
	}
	/* As a recorder that was killed leaves it. */
	if (!finish)
		writer->in_part = false;
	store_finish(writer);
	facts_free(&facts);
}

/* A copy of the first @len bytes, with the byte at @at changed by @by. */
static void write_copy(const char *data, size_t len, size_t at, char by)
{
	int fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char changed;

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	if (at < len && by) {
		changed = data[at] ^ by;
		if (pwrite(fd, &changed, 1, at) != 1)
			abort();
	}
	close(fd);
}

static size_t read_whole(char *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, data, size);

	close(fd);
	if (len <= 0)
		abort();
	return len;
}

FIXTURE(store) {
	char *data;
	size_t len;
};

FIXTURE_SETUP(store)
{
	write_all(true);
	self->data = malloc(1 << 20);
	self->len = read_whole(self->data, 1 << 20);
	/* What is refused says so, which is no news here. */
	if (!freopen("/dev/null", "w", stderr))
		abort();
}

FIXTURE_TEARDOWN(store)
{
	free(self->data);
	unlink(path);
	unlink(copy);
}

TEST_F(store, reads_what_was_written_in_any_order)
{
	struct store_reader *reader = store_open(path);
	size_t i;

	ASSERT_NE(NULL, reader);
	ASSERT_EQ(NR_FRAMES, store_nr_frames(reader));
	EXPECT_EQ(0, store_damage(reader));
	for (i = 0; i < NR_FRAMES; i++)
		EXPECT_TRUE(same(reader, i));
	for (i = 0; i < NR_FRAMES; i++)
		EXPECT_TRUE(same(reader, i * 67 % NR_FRAMES));
	store_close(reader);
	/* Compact: a tenth of what it would be as it is in memory. */
	EXPECT_LT(self->len, NR_FRAMES * 2 * sizeof(struct gmem_vm_sample) / 5);
}

TEST_F(store, reads_all_of_a_recorder_that_was_killed)
{
	struct store_reader *reader;
	size_t i;

	write_all(false);
	reader = store_open(path);
	ASSERT_NE(NULL, reader);
	EXPECT_EQ(NR_FRAMES, store_nr_frames(reader));
	EXPECT_EQ(0, store_damage(reader));
	for (i = 0; i < NR_FRAMES; i++)
		EXPECT_TRUE(same(reader, i));
	store_close(reader);
}

TEST_F_TIMEOUT(store, cut_anywhere_the_frames_before_are_right, 300)
{
	size_t len, i, most = 0;

	for (len = 1; len < self->len; len += 61) {
		struct store_reader *reader;

		write_copy(self->data, len, len, 0);
		reader = store_open(copy);
		if (!reader)
			continue;
		EXPECT_EQ(0, store_damage(reader));
		/* More bytes never mean fewer frames. */
		EXPECT_GE(store_nr_frames(reader), most);
		most = store_nr_frames(reader);
		for (i = 0; i < most; i++)
			if (!same(reader, i))
				break;
		EXPECT_EQ(most, i);
		store_close(reader);
	}
	EXPECT_GE(most, NR_FRAMES - 1);
}

TEST_F_TIMEOUT(store, damaged_anywhere_no_frame_is_wrong, 300)
{
	size_t round, i, wrong = 0, found = 0;

	srand(1);
	for (round = 0; round < 200; round++) {
		struct store_reader *reader;

		write_copy(self->data, self->len, rand() % self->len,
			   1 + rand() % 255);
		reader = store_open(copy);
		if (!reader)
			continue;
		found += store_damage(reader) != 0;
		for (i = 0; i < store_nr_frames(reader); i++)
			wrong += !same(reader, i);
		store_close(reader);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_GT(found, 120);
}

TEST_F(store, noise_is_no_recording)
{
	char noise[1024];
	size_t round, i;

	srand(2);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < sizeof(noise); i++)
			noise[i] = rand();
		/* Half of them begin like one. */
		if (round & 1)
			memcpy(noise, self->data, round % 64 + 8);
		write_copy(noise, sizeof(noise), sizeof(noise), 0);
		EXPECT_EQ(NULL, store_open(copy));
	}
}

TEST_F(store, does_not_overwrite)
{
	EXPECT_EQ(NULL, store_create(path));
}

TEST_HARNESS_MAIN
