// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recordings: what is written is what is read, and nothing in a file, however
 * it was cut or damaged, is read as anything else.  Built with the sanitizers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "../../tools/gmemtop/figures/columns.c"
#include "../../tools/gmemtop/figures/facts.c"
#include "../../tools/gmemtop/recording/store_read.c"
#include "../../tools/gmemtop/recording/store_write.c"
#include "../../tools/lib/gmem_common.c"
#include "../../tools/lib/gmem_text.c"

/* More than two parts. */
#define NR_FRAMES	150
#define VMS_MAX		5

static char path[64], copy[72];

void gmem_sample_free(struct gmem_sample *sample)
{
	free(sample->vms);
	*sample = (struct gmem_sample) {};
}

void frame_free(struct frame *frame)
{
	gmem_sample_free(&frame->vms);
	free(frame->policies.policies);
	*frame = (struct frame) {};
}

/* Frame @nr of a host on which VMs come, go and count. */
static void make(size_t nr, struct frame *frame, struct facts *facts)
{
	static struct gmem_vm_sample vms[VMS_MAX];
	static struct gmem_policy_sample policy = { .name = "limit" };
	size_t i, n = nr % VMS_MAX, len;
	char name[STORE_TEXT_LEN];

	memset(vms, 0, sizeof(vms));
	for (i = 0; i < n; i++) {
		vms[i].vm_id = nr / VMS_MAX + i + 1;
		vms[i].pid = 100 + i;
		/* One that is not known to whoever recorded. */
		vms[i].owner_pid = i & 1 ? 0 : 7 + i;
		vms[i].nr_vcpus = 2;
		vms[i].conversions = nr * 1000 + i;
		vms[i].private_pages = ~0ULL - nr;
		vms[i].rss_pages = nr;
		vms[i].closed_pages = nr + 1;
		vms[i].arch_faults = nr + 2;
		vms[i].delays_expired = nr + 3;
		vms[i].ranges = nr * 5 + 1;
		vms[i].twice_pages = nr & 2 ? GMEM_UNKNOWN : nr;
		vms[i].mapped_pages = nr + 5;
		vms[i].requests_done = nr + 6;
		vms[i].request_ns = nr + 7;
		vms[i].request_age_ns = nr + 8;
		vms[i].huge_pages = nr + 9;
		vms[i].huge_splits = nr + 10;
		vms[i].huge_merges = nr + 11;
		vms[i].huge_waiting = nr + 12;
		vms[i].huge_fallbacks[GMEM_HUGE_ALIGNMENT] = nr + 13;
		vms[i].huge_fallbacks[GMEM_HUGE_LIMIT] = nr + 14;
		vms[i].moved_pages = nr + 15;
		vms[i].moves_refused[GMEM_MOVE_BROKEN] = nr + 16;
		vms[i].move_ns = nr + 17;
		vms[i].invalidations_migration = nr + 18;
		vms[i].unmovable_pages = nr & 1 ? GMEM_UNKNOWN : nr;
		vms[i].node_pages[0] = nr + 4;
		vms[i].node_pages[63] = i;
	}
	policy.calls = nr;
	*frame = (struct frame) {
		.time_ns = nr * 1000000000ULL + 1,
		.real_ns = 1700000000000000000ULL + nr * 1000000000ULL,
		.host_pages = 1000000,
		.policies_enabled = nr % 3 - 1,
		.vms = { .nr_vms = n, .vms = vms, .orphaned_pages = nr * 3 },
		.policies = { .nr = nr & 1, .policies = &policy },
		.nodes = 1ULL | 1ULL << 63,
	};
	facts_keep(facts, &vms->vm_id, sizeof(*vms), n);
	for (i = 0; i < n; i++) {
		/* Some as long as they can be, some not known. */
		len = nr % 3 ? 0 : sizeof(name) - 24;
		memset(name, 'n', len);
		snprintf(name + len, 24, "vm-%ju", (uintmax_t)vms[i].vm_id);
		facts_set(facts, &facts->vm[i], nr % 7 ? name : NULL,
			  nr % 5 ? "/machine.slice/\xc3\xa4" : NULL);
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
	    got.vms.orphaned_pages != want.vms.orphaned_pages ||
	    got.policies.nr != want.policies.nr || got.nodes != want.nodes)
		return false;
	for (i = 0; i < want.vms.nr_vms; i++)
		if (memcmp(&got.vms.vms[i], &want.vms.vms[i],
			   sizeof(want.vms.vms[i])) ||
		    strcmp(facts_name(&got_facts.vm[i]),
			   facts_name(&want_facts.vm[i])) ||
		    !got_facts.vm[i].name != !want_facts.vm[i].name ||
		    strcmp(facts_cgroup(&got_facts.vm[i]),
			   facts_cgroup(&want_facts.vm[i])))
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
	EXPECT_LT(self->len, NR_FRAMES * 2 * sizeof(struct gmem_vm_sample) / 10);
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

/* Frames 0 to @nr - 1, from the beginning of a part. */
static int write_some(struct store_writer *writer, size_t nr)
{
	struct facts facts = {};
	struct frame frame;
	int err = 0;
	size_t i;

	for (i = 0; i < nr && !err; i++) {
		make(i, &frame, &facts);
		err = store_write(writer, &frame, &facts);
	}
	facts_free(&facts);
	return err;
}

static bool holds(size_t nr)
{
	struct store_reader *reader = store_open(path);
	bool right = reader && store_nr_frames(reader) == nr &&
		     !store_damage(reader);
	size_t i;

	for (i = 0; right && i < nr; i++)
		right = same(reader, i);
	store_close(reader);
	return right;
}

TEST_F(store, begins_anew_in_a_file_that_was_truncated)
{
	struct store_writer *writer;

	unlink(path);
	writer = store_create(path);
	ASSERT_NE(writer, NULL);
	ASSERT_EQ(write_some(writer, 10), 0);
	ASSERT_EQ(truncate(path, 0), 0);
	ASSERT_EQ(store_state(writer), STORE_CUT);
	store_restart(writer);
	ASSERT_EQ(write_some(writer, NR_FRAMES), 0);
	ASSERT_EQ(store_state(writer), STORE_HELD);
	ASSERT_EQ(store_finish(writer), 0);
	EXPECT_TRUE(holds(NR_FRAMES));
}

TEST_F(store, notices_a_truncation_after_the_look)
{
	struct store_writer *writer;
	struct stat st;

	unlink(path);
	writer = store_create(path);
	ASSERT_NE(writer, NULL);
	ASSERT_EQ(write_some(writer, 10), 0);
	ASSERT_EQ(truncate(path, 0), 0);
	ASSERT_EQ(write_some(writer, 1), -ESTALE);
	ASSERT_EQ(stat(path, &st), 0);
	ASSERT_EQ(st.st_size, 0);
	ASSERT_EQ(write_some(writer, 3), 0);
	ASSERT_EQ(store_finish(writer), 0);
	EXPECT_TRUE(holds(3));
}

TEST_F(store, knows_what_became_of_its_file)
{
	struct store_writer *writer;
	int fd;

	unlink(path);
	writer = store_create(path);
	ASSERT_NE(writer, NULL);
	ASSERT_EQ(write_some(writer, 2), 0);
	EXPECT_EQ(store_state(writer), STORE_HELD);
	EXPECT_TRUE(store_in_use(path));
	/* Another can't have it, and leaves it alone. */
	EXPECT_EQ(store_create(path), NULL);
	EXPECT_EQ(store_state(writer), STORE_HELD);
	ASSERT_EQ(rename(path, copy), 0);
	EXPECT_EQ(store_state(writer), STORE_MOVED);
	EXPECT_FALSE(store_in_use(path));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	EXPECT_EQ(store_state(writer), STORE_MOVED);
	ASSERT_EQ(rename(copy, path), 0);
	EXPECT_EQ(store_state(writer), STORE_HELD);
	fd = open(path, O_WRONLY | O_APPEND);
	ASSERT_EQ(write(fd, "x", 1), 1);
	close(fd);
	EXPECT_EQ(store_state(writer), STORE_TOUCHED);
	ASSERT_EQ(truncate(path, 5), 0);
	EXPECT_EQ(store_state(writer), STORE_TOUCHED);
	ASSERT_EQ(unlink(path), 0);
	EXPECT_EQ(store_state(writer), STORE_REMOVED);
	store_leave(writer);
	ASSERT_EQ(store_finish(writer), 0);
	EXPECT_FALSE(store_in_use(path));
}

TEST_F(store, removes_no_file_but_its_own)
{
	struct store_writer *writer;
	struct stat st;
	int fd;

	unlink(path);
	writer = store_create(path);
	ASSERT_NE(writer, NULL);
	ASSERT_EQ(unlink(path), 0);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	ASSERT_GE(fd, 0);
	close(fd);
	/* It has no frame, and would be removed if it were there. */
	ASSERT_EQ(store_finish(writer), 0);
	EXPECT_EQ(stat(path, &st), 0);
}

TEST_F(store, knows_a_recording_from_other_files)
{
	char text[] = "somebody's archive, which is longer than our magic";
	size_t len;

	EXPECT_EQ(STORE_RECORDING, store_look(path));
	unlink(copy);
	EXPECT_EQ(STORE_MISSING, store_look(copy));
	write_copy(self->data, 0, 0, 0);
	EXPECT_EQ(STORE_EMPTY, store_look(copy));
	/* Damaged or cut later on it is still ours. */
	write_copy(self->data, self->len / 2, self->len / 4, 0x55);
	EXPECT_EQ(STORE_RECORDING, store_look(copy));
	/* zstd, and not ours: of text, of nothing, of noise. */
	len = ZSTD_compress(self->data, self->len, text, sizeof(text), 3);
	write_copy(self->data, len, len, 0);
	EXPECT_EQ(STORE_FOREIGN, store_look(copy));
	len = ZSTD_compress(self->data, self->len, text, 0, 3);
	write_copy(self->data, len, len, 0);
	EXPECT_EQ(STORE_FOREIGN, store_look(copy));
	memset(self->data + 4, 0xa5, 1000);
	write_copy(self->data, 1000, 1000, 0);
	EXPECT_EQ(STORE_FOREIGN, store_look(copy));
	write_copy(text, sizeof(text), sizeof(text), 0);
	EXPECT_EQ(STORE_FOREIGN, store_look(copy));
	EXPECT_EQ(STORE_FOREIGN, store_look("/tmp"));
	EXPECT_EQ(STORE_FOREIGN, store_look("/dev/null"));
	unlink(copy);
	ASSERT_EQ(0, mkfifo(copy, 0600));
	EXPECT_EQ(STORE_FOREIGN, store_look(copy));
}

TEST_F(store, leaves_no_empty_file_on_a_full_disk)
{
	const struct rlimit none = { 16, RLIM_INFINITY };
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct store_writer *writer;
	struct facts facts = {};
	struct frame frame;

	unlink(copy);
	signal(SIGXFSZ, SIG_IGN);
	writer = store_create(copy);
	ASSERT_NE(NULL, writer);
	make(4, &frame, &facts);
	setrlimit(RLIMIT_FSIZE, &none);
	EXPECT_EQ(-EFBIG, store_write(writer, &frame, &facts));
	setrlimit(RLIMIT_FSIZE, &all);
	store_finish(writer);
	EXPECT_EQ(STORE_MISSING, store_look(copy));
	facts_free(&facts);
}

TEST_F(store, survives_a_file_that_is_cut_while_it_is_read)
{
	struct store_reader *reader;
	struct facts facts = {};
	struct frame frame = {};

	write_copy(self->data, self->len, self->len, 0);
	reader = store_open(copy);
	ASSERT_NE(NULL, reader);
	EXPECT_EQ(0, store_read(reader, 0, &frame, &facts));
	ASSERT_EQ(0, truncate(copy, 100));
	EXPECT_EQ(-EINVAL, store_read(reader, NR_FRAMES - 1, &frame, &facts));
	EXPECT_EQ(-EINVAL, store_read(reader, 5, &frame, &facts));
	/* Replaced by what was written later, its frames are not those. */
	write_copy(self->data, self->len, self->len, 0);
	EXPECT_EQ(0, store_read(reader, NR_FRAMES - 1, &frame, &facts));
	write_copy(self->data + self->len / 2, self->len / 2, self->len, 0);
	EXPECT_EQ(-EINVAL, store_read(reader, 5, &frame, &facts));
	store_close(reader);
	frame_free(&frame);
	facts_free(&facts);
}

/*
 * Anybody can write a checksum that is right.  What a frame may hold is put
 * together here: numbers of VMs and policies, size of a policy, and the VMs.
 */
struct forged {
	uint64_t nr_vms;
	uint64_t nr_policies;
	uint64_t policy_size;
	uint64_t ids[2];
	uint32_t name_len;
	const char *name;
	bool old;
	/* What comes after the VMs: policies, and what later versions added. */
	const void *tail;
	size_t tail_len;
};

/* Is the column one that recordings had from the beginning? */
static bool is_forged(const struct forged *forged, int c)
{
	static const enum column_id later[] = {
		COLUMN_CLOSED, COLUMN_FAULTS_ARCH, COLUMN_DELAYS_EXPIRED,
		COLUMN_RANGES, COLUMN_TWICE, COLUMN_MAPPED, COLUMN_FAULTS_HOST,
		COLUMN_ASKED, COLUMN_HELD, COLUMN_REQUESTS,
		COLUMN_REQUESTS_DONE, COLUMN_REQUESTS_REFUSED,
		COLUMN_REQUESTS_PENDING, COLUMN_REQUEST_AGE, COLUMN_REQUEST_WAIT,
		COLUMN_HUGE_PAGES, COLUMN_HUGE_SPLITS, COLUMN_HUGE_MERGES,
		COLUMN_HUGE_WAITING, COLUMN_HUGE_ALIGNMENT, COLUMN_HUGE_MIXED,
		COLUMN_HUGE_PRESENT, COLUMN_HUGE_MEMORY, COLUMN_HUGE_LIMIT,
		COLUMN_INVALIDATED_MIGRATION, COLUMN_MOVED, COLUMN_MOVE_TIME,
		COLUMN_MOVES_HELD, COLUMN_MOVES_BUSY, COLUMN_MOVES_CONSUMER,
		COLUMN_MOVES_BROKEN, COLUMN_UNMOVABLE,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(later); i++)
		if (forged->old && c == (int)later[i])
			return false;
	return column_is_stored(&columns[c]);
}

static int read_forged(const struct forged *forged, struct frame *frame,
		       struct facts *facts)
{
	struct store_writer *writer;
	struct store_reader *reader;
	struct buffer *b;
	int i, c, err;

	unlink(copy);
	writer = store_create(copy);
	if (!writer)
		abort();
	b = &writer->record;
	begin_record(writer);
	append(b, STORE_MAGIC, strlen(STORE_MAGIC));
	for (c = 0; c < NR_COLUMNS; c++) {
		if (!is_forged(forged, c))
			continue;
		append(b, columns[c].json, strlen(columns[c].json));
		append(b, "\n", 1);
	}
	pack(writer, ZSTD_e_flush);
	begin_record(writer);
	for (i = 0; i < 4; i++)
		append_u64(b, 1);
	append_u64(b, forged->nr_vms);
	append_u64(b, forged->nr_policies);
	append_u64(b, forged->policy_size);
	for (i = 0; i < 2; i++) {
		append_u64(b, 1ULL << 32 | 1);
		for (c = 0; c < NR_COLUMNS; c++)
			if (is_forged(forged, c))
				append_u64(b, c == COLUMN_ID ? forged->ids[i] :
							       ~0ULL);
		append(b, &forged->name_len, sizeof(forged->name_len));
		append(b, forged->name, strlen(forged->name));
		append_text(b, "/\x1b]0;evil\a");
	}
	append(b, forged->tail, forged->tail_len);
	pack(writer, ZSTD_e_end);
	if (flush(writer))
		abort();
	store_finish(writer);
	reader = store_open(copy);
	if (!reader || store_damage(reader) || store_nr_frames(reader) != 1)
		abort();
	err = store_read(reader, 0, frame, facts);
	store_close(reader);
	return err;
}

TEST_F(store, believes_nothing_for_its_checksum)
{
	static const char evil[] = "\x1b[2Jevil\n\xff";
	const struct forged good = {
		.nr_vms = 2, .policy_size = sizeof(struct gmem_policy_sample),
		.ids = { 3, 4 }, .name_len = sizeof(evil) - 1, .name = evil,
	};
	struct facts facts = {};
	struct frame frame = {};
	struct forged bad;

	EXPECT_EQ(0, read_forged(&good, &frame, &facts));
	ASSERT_EQ(2, frame.vms.nr_vms);
	EXPECT_EQ(4, frame.vms.vms[1].vm_id);
	EXPECT_STREQ("?[2Jevil??", facts.vm[1].name);
	EXPECT_STREQ("/?]0;evil?", facts.vm[1].cgroup);

	bad = good;
	bad.nr_vms = 3;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad.nr_vms = ~0ULL;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	EXPECT_EQ(0, frame.vms.nr_vms);
	bad = good;
	bad.ids[0] = 5;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad.ids[0] = 4;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad = good;
	bad.name_len = 1000000;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad.name_len = ~0U;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad = good;
	bad.nr_policies = 1;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	bad.nr_policies = ~0ULL;
	EXPECT_EQ(-EINVAL, read_forged(&bad, &frame, &facts));
	/* Of another version: none rather than wrong ones. */
	bad.nr_policies = 1;
	bad.policy_size = 8;
	EXPECT_EQ(0, read_forged(&bad, &frame, &facts));
	EXPECT_EQ(0, frame.policies.nr);
	frame_free(&frame);
	facts_free(&facts);
}

/* Without the counters that came later, and without what follows policies. */
TEST_F(store, reads_recordings_of_older_versions)
{
	const struct forged old = {
		.nr_vms = 2, .policy_size = sizeof(struct gmem_policy_sample),
		.ids = { 3, 4 }, .name_len = 3, .name = "web", .old = true,
	};
	struct facts facts = {};
	struct frame frame = { .vms.orphaned_pages = 1, .nodes = 1 };

	EXPECT_EQ(0, read_forged(&old, &frame, &facts));
	ASSERT_EQ(2, frame.vms.nr_vms);
	EXPECT_EQ(4, frame.vms.vms[1].vm_id);
	EXPECT_EQ(~0ULL, frame.vms.vms[1].attribute_bytes);
	EXPECT_EQ(~0ULL, frame.vms.vms[1].rss_pages);
	EXPECT_EQ(0, frame.vms.vms[1].closed_pages);
	EXPECT_EQ(0, frame.vms.vms[1].arch_faults);
	EXPECT_EQ(0, frame.vms.vms[1].delays_expired);
	EXPECT_EQ(0, frame.vms.orphaned_pages);
	/* Nobody wrote that there was none. */
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].ranges);
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].twice_pages);
	EXPECT_FALSE(column_known(&columns[COLUMN_TWICE], &frame.vms.vms[1]));
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].requests);
	EXPECT_FALSE(column_known(&columns[COLUMN_REQUEST_WAIT],
				  &frame.vms.vms[1]));
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].huge_pages);
	EXPECT_FALSE(column_known(&columns[COLUMN_HUGE], &frame.vms.vms[1]));
	EXPECT_FALSE(column_known(&columns[COLUMN_HUGE_FALLBACKS],
				  &frame.vms.vms[1]));
	EXPECT_FALSE(column_known(&columns[COLUMN_HUGE_WAITING],
				  &frame.vms.vms[1]));
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].moved_pages);
	EXPECT_EQ(GMEM_UNKNOWN, frame.vms.vms[1].invalidations_migration);
	EXPECT_FALSE(column_known(&columns[COLUMN_MOVES_REFUSED],
				  &frame.vms.vms[1]));
	/* Those kernels let nobody map it. */
	EXPECT_EQ(0, frame.vms.vms[1].mapped_pages);
	EXPECT_EQ(0, frame.vms.vms[1].host_faults);
	EXPECT_EQ(0, frame.nodes);
	frame_free(&frame);
	facts_free(&facts);
}

/* The struct of a policy grows at its end. */
TEST_F(store, reads_policies_of_other_versions)
{
	struct {
		struct gmem_policy_sample policy;
		uint64_t later;
		uint64_t orphaned;
	} newer = {
		.policy = { .calls = 7, .name = "limit", .expires_ns = 8 },
		.later = 9, .orphaned = 10,
	};
	struct forged forged = {
		.nr_vms = 2, .nr_policies = 1, .policy_size = POLICY_SIZE_MIN,
		.ids = { 3, 4 }, .name_len = 3, .name = "web", .old = true,
		.tail = &newer, .tail_len = POLICY_SIZE_MIN,
	};
	struct facts facts = {};
	struct frame frame = {};

	EXPECT_EQ(0, read_forged(&forged, &frame, &facts));
	ASSERT_EQ(1, frame.policies.nr);
	EXPECT_EQ(7, frame.policies.policies->calls);
	EXPECT_STREQ("limit", frame.policies.policies->name);
	EXPECT_EQ(0, frame.policies.policies->expires_ns);

	forged.policy_size = offsetof(typeof(newer), orphaned);
	forged.tail_len = sizeof(newer);
	EXPECT_EQ(0, read_forged(&forged, &frame, &facts));
	ASSERT_EQ(1, frame.policies.nr);
	EXPECT_EQ(8, frame.policies.policies->expires_ns);
	EXPECT_EQ(10, frame.vms.orphaned_pages);
	/* Half of one is none. */
	forged.tail_len = POLICY_SIZE_MIN - 1;
	EXPECT_EQ(-EINVAL, read_forged(&forged, &frame, &facts));
	forged.policy_size = ~0ULL;
	EXPECT_EQ(-EINVAL, read_forged(&forged, &frame, &facts));
	frame_free(&frame);
	facts_free(&facts);
}

/* Orphaned pages, the nodes, and their pages of each VM. */
TEST_F(store, nodes_that_are_not_there)
{
	uint64_t tail[] = { 5, 1ULL << 1 | 1ULL << 63, 11, 12, 13, 14 };
	struct forged forged = {
		.nr_vms = 2, .policy_size = sizeof(struct gmem_policy_sample),
		.ids = { 3, 4 }, .name_len = 3, .name = "web",
		.tail = tail, .tail_len = sizeof(tail),
	};
	struct facts facts = {};
	struct frame frame = {};

	EXPECT_EQ(0, read_forged(&forged, &frame, &facts));
	EXPECT_EQ(5, frame.vms.orphaned_pages);
	EXPECT_EQ(tail[1], frame.nodes);
	EXPECT_EQ(0, frame.vms.vms[0].node_pages[0]);
	EXPECT_EQ(11, frame.vms.vms[0].node_pages[1]);
	EXPECT_EQ(12, frame.vms.vms[0].node_pages[63]);
	EXPECT_EQ(14, frame.vms.vms[1].node_pages[63]);
	forged.tail_len -= 8;
	EXPECT_EQ(-EINVAL, read_forged(&forged, &frame, &facts));
	tail[1] = ~0ULL;
	forged.tail_len = sizeof(tail);
	EXPECT_EQ(-EINVAL, read_forged(&forged, &frame, &facts));
	EXPECT_EQ(0, frame.vms.nr_vms);
	/* Half a number. */
	forged.tail_len = 12;
	EXPECT_EQ(-EINVAL, read_forged(&forged, &frame, &facts));
	frame_free(&frame);
	facts_free(&facts);
}

TEST_HARNESS_MAIN
