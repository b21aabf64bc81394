// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads recordings; see store.h for what is in them.  Nothing in a file is
 * trusted: every length is checked against what is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "figures/columns.h"
#include "recording/store.h"
#include "recording/store_read.h"

/* Bytes that are read at once. */
#define CHUNK		65536
/* A recording tells that it is one long before this. */
#define LOOK_MAX	(4 * CHUNK)
/* A part that unpacks to more is not ours. */
#define PART_MAX	(1ULL << 30)
#define POLICIES_MAX	GMEM_POLICIES_MAX
/* What the first version wrote of a policy. */
#define POLICY_SIZE_MIN	offsetof(struct gmem_policy_sample, expires_ns)

/* Where a frame is: its part, and its place in what that unpacks to. */
struct place {
	size_t part;
	size_t at;
	size_t len;
	uint64_t real_ns;
};

struct store_reader {
	char *path;
	int fd;
	size_t file_len;
	char *chunk;
	ZSTD_DCtx *zstd;
	size_t *parts;
	size_t nr_parts;
	struct place *frames;
	size_t nr_frames;
	uint64_t damage;
	/* The part that is unpacked, -1 for none, and its columns. */
	ssize_t unpacked;
	char *data;
	size_t len;
	size_t room;
	int fields[NR_COLUMNS * 2];
	int nr_fields;
};

struct cursor {
	const char *at;
	const char *end;
};

static bool take(struct cursor *c, void *dst, size_t len)
{
	if ((size_t)(c->end - c->at) < len)
		return false;
	memcpy(dst, c->at, len);
	c->at += len;
	return true;
}

static bool take_u64(struct cursor *c, uint64_t *value)
{
	return take(c, value, sizeof(*value));
}

static bool take_text(struct cursor *c, char dst[STORE_TEXT_LEN])
{
	char raw[STORE_TEXT_LEN];
	uint32_t len;

	if (!take(c, &len, sizeof(len)) || len >= sizeof(raw) ||
	    !take(c, raw, len))
		return false;
	raw[len] = '\0';
	gmem_clean(dst, STORE_TEXT_LEN, raw);
	return true;
}

static const char *if_known(const char *text)
{
	return strcmp(text, FACT_UNKNOWN) ? text : NULL;
}

/* The next record of what is unpacked; false at the end or if it is damaged. */
static bool next_record(const struct store_reader *reader, size_t *at,
			struct cursor *record)
{
	uint32_t head[2];

	if (reader->len - *at < sizeof(head))
		return false;
	memcpy(head, reader->data + *at, sizeof(head));
	if (head[0] > STORE_RECORD_MAX ||
	    head[0] > reader->len - *at - sizeof(head))
		return false;
	record->at = reader->data + *at + sizeof(head);
	record->end = record->at + head[0];
	*at += sizeof(head) + head[0];
	return crc32(0, (const Bytef *)record->at, head[0]) == head[1];
}

/* Which columns the frames of this part have; -1 for one of another version. */
static bool read_header(struct store_reader *reader, struct cursor header)
{
	size_t len = strlen(STORE_MAGIC);
	int c;

	if ((size_t)(header.end - header.at) < len ||
	    memcmp(header.at, STORE_MAGIC, len))
		return false;
	header.at += len;
	reader->nr_fields = 0;
	while (header.at < header.end) {
		const char *nl = memchr(header.at, '\n', header.end - header.at);
		int found = -1;

		if (!nl || reader->nr_fields == (int)ARRAY_LEN(reader->fields))
			return false;
		for (c = 0; c < NR_COLUMNS; c++)
			if (column_is_stored(&columns[c]) &&
			    strlen(columns[c].json) == (size_t)(nl - header.at) &&
			    !memcmp(columns[c].json, header.at, nl - header.at))
				found = c;
		reader->fields[reader->nr_fields++] = found;
		header.at = nl + 1;
	}
	return true;
}

static bool make_room(struct store_reader *reader)
{
	size_t room = reader->room ? reader->room * 2 : 1 << 20;
	char *p;

	if (reader->len < reader->room)
		return true;
	p = room <= PART_MAX ? realloc(reader->data, room) : NULL;
	if (!p)
		return false;
	reader->data = p;
	reader->room = room;
	return true;
}

/* Up to a chunk of what the file had when it was opened; 0 at its end. */
static size_t read_chunk(const struct store_reader *reader, size_t offset)
{
	size_t want = reader->file_len - offset;
	ssize_t r;

	do {
		r = pread(reader->fd, reader->chunk,
			  want < CHUNK ? want : CHUNK, offset);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? 0 : r;
}

/*
 * Unpacks the part at @offset as far as it goes, from @step bytes at a time.
 * Returns where it ends in the file; 0 if it is damaged.  A part that is cut
 * short ends with the file.
 */
static size_t unpack_by(struct store_reader *reader, size_t offset, size_t step)
{
	ZSTD_inBuffer in = { reader->chunk, 0, 0 };
	size_t left = 1, have = 0, before;

	reader->len = 0;
	ZSTD_DCtx_reset(reader->zstd, ZSTD_reset_session_only);
	while (left) {
		ZSTD_outBuffer out;

		if (!make_room(reader))
			return 0;
		out = (ZSTD_outBuffer) { reader->data, reader->room,
					 reader->len };
		if (in.pos == have) {
			offset += have;
			have = read_chunk(reader, offset);
			in.pos = in.size = 0;
		}
		before = in.pos;
		if (in.pos == in.size)
			in.size += step < have - in.size ? step :
							   have - in.size;
		left = ZSTD_decompressStream(reader->zstd, &out, &in);
		if (ZSTD_isError(left))
			return 0;
		/* No more to read, and nothing that comes out either. */
		if (!have && in.pos == before && out.pos == reader->len)
			break;
		reader->len = out.pos;
	}
	return offset + in.pos;
}

static size_t unpack(struct store_reader *reader, size_t offset)
{
	size_t end = unpack_by(reader, offset, SIZE_MAX);

	/* In small steps, zstd gives out all that comes before the damage. */
	return end ? end : unpack_by(reader, offset, 1);
}

static bool add_frame(struct store_reader *reader, const struct place *place)
{
	struct place *frames;

	/* Powers of two: grow when the number is one. */
	if (!(reader->nr_frames & (reader->nr_frames - 1))) {
		size_t room = reader->nr_frames ? reader->nr_frames * 2 : 64;

		frames = reallocarray(reader->frames, room, sizeof(*frames));
		if (!frames)
			return false;
		reader->frames = frames;
	}
	reader->frames[reader->nr_frames++] = *place;
	return true;
}

static bool add_part(struct store_reader *reader, size_t offset)
{
	size_t *parts = reallocarray(reader->parts, reader->nr_parts + 1,
				     sizeof(*parts));

	if (!parts)
		return false;
	reader->parts = parts;
	reader->parts[reader->nr_parts++] = offset;
	return true;
}

/* Notes the frames of the part that is unpacked; false if it is damaged. */
static bool index_part(struct store_reader *reader, bool last, bool *memory)
{
	struct place place = { .part = reader->nr_parts - 1 };
	struct cursor record;
	size_t at = 0, before;

	if (!next_record(reader, &at, &record))
		return last && !reader->len;
	if (!read_header(reader, record))
		return false;
	while (at < reader->len) {
		uint64_t time_ns;

		before = at;
		if (!next_record(reader, &at, &record))
			/* The writer was killed, unless more was to follow. */
			return last && at == before;
		place.at = record.at - reader->data;
		place.len = record.end - record.at;
		if (!take_u64(&record, &time_ns) ||
		    !take_u64(&record, &place.real_ns))
			return false;
		if (!add_frame(reader, &place)) {
			*memory = false;
			return false;
		}
	}
	return true;
}

static int index_file(struct store_reader *reader)
{
	size_t offset = 0, end;
	bool memory = true;

	while (offset < reader->file_len) {
		if (!add_part(reader, offset))
			return -ENOMEM;
		end = unpack(reader, offset);
		/* Of a damaged part, what comes before the damage is good. */
		if (!index_part(reader, end == reader->file_len || !end,
				&memory) || !end) {
			if (!memory)
				return -ENOMEM;
			reader->damage = offset ? offset : 1;
			break;
		}
		offset = end;
	}
	reader->unpacked = -1;
	return reader->nr_frames ? 0 : -EINVAL;
}

/* Read and not mapped: who cuts a mapped file kills those who look at it. */
static int open_file(struct store_reader *reader)
{
	struct stat st;

	/* A pipe without a writer would be waited for. */
	reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (reader->fd < 0 || fstat(reader->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return -EINVAL;
	reader->file_len = st.st_size;
	return 0;
}

static struct store_reader *make_reader(const char *path)
{
	struct store_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->fd = -1;
	reader->path = strdup(path);
	reader->chunk = malloc(CHUNK);
	reader->zstd = ZSTD_createDCtx();
	if (reader->path && reader->chunk && reader->zstd)
		return reader;
	store_close(reader);
	return NULL;
}

struct store_reader *store_open(const char *path)
{
	struct store_reader *reader = make_reader(path);
	int err = -ENOMEM;

	if (reader) {
		err = open_file(reader);
		if (!err)
			err = index_file(reader);
	}
	if (!err)
		return reader;
	if (err == -EINVAL)
		gmem_err("%s is not a recording, or has no frame; gmemtop record makes one",
			 path);
	else
		gmem_err("cannot read %s: %s", path, strerror(-err));
	store_close(reader);
	errno = -err;
	return NULL;
}

/* Does the first record, behind its head, begin with our magic? */
static bool begins_with_magic(const struct store_reader *reader)
{
	const size_t head = 2 * sizeof(uint32_t), len = strlen(STORE_MAGIC);
	char text[64];
	ZSTD_outBuffer out = { text, head + len, 0 };
	ZSTD_inBuffer in = { reader->chunk, 0, 0 };
	size_t offset = 0, left = 1;

	while (left && out.pos < out.size) {
		if (in.pos == in.size) {
			in.pos = 0;
			in.size = offset < LOOK_MAX ?
				  read_chunk(reader, offset) : 0;
			if (!in.size)
				return false;
			offset += in.size;
		}
		left = ZSTD_decompressStream(reader->zstd, &out, &in);
		if (ZSTD_isError(left))
			return false;
	}
	return out.pos == out.size && !memcmp(text + head, STORE_MAGIC, len);
}

enum store_kind store_look(const char *path)
{
	enum store_kind kind = STORE_FOREIGN;
	struct store_reader *reader;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? STORE_MISSING : STORE_FOREIGN;
	if (S_ISREG(st.st_mode) && !st.st_size)
		return STORE_EMPTY;
	reader = make_reader(path);
	if (reader && !open_file(reader) && begins_with_magic(reader))
		kind = STORE_RECORDING;
	store_close(reader);
	return kind;
}

size_t store_nr_frames(const struct store_reader *reader)
{
	return reader->nr_frames;
}

uint64_t store_damage(const struct store_reader *reader)
{
	return reader->damage;
}

uint64_t store_time(const struct store_reader *reader, size_t nr)
{
	return reader->frames[nr].real_ns;
}

static void set_counter(struct gmem_vm_sample *vm, int column, uint64_t value)
{
	if (column >= 0)
		memcpy((char *)vm + columns[column].offset, &value,
		       sizeof(value));
}

/* What the versions that have a counter would have written if they knew. */
static void forget_counters(struct gmem_vm_sample *vm)
{
	int c;

	memset(vm, 0, sizeof(*vm));
	for (c = 0; c < NR_COLUMNS; c++)
		if (columns[c].may_lack && column_is_stored(&columns[c]))
			set_counter(vm, c, GMEM_UNKNOWN);
}

static bool parse_vm(const struct store_reader *reader, struct cursor *c,
		     struct gmem_vm_sample *vm)
{
	uint64_t value;
	int i;

	if (!take(c, &vm->pid, sizeof(vm->pid)) ||
	    !take(c, &vm->nr_vcpus, sizeof(vm->nr_vcpus)))
		return false;
	for (i = 0; i < reader->nr_fields; i++) {
		if (!take_u64(c, &value))
			return false;
		set_counter(vm, reader->fields[i], value);
	}
	return true;
}

static bool grow(void **items, size_t *room, size_t nr, size_t size)
{
	void *p;

	if (nr <= *room)
		return true;
	p = reallocarray(*items, nr, size);
	if (!p)
		return false;
	*items = p;
	*room = nr;
	return true;
}

/* Its names follow each VM, and ids must be known before facts are kept. */
static bool parse_vms(const struct store_reader *reader, struct cursor *c,
		      struct frame *frame, struct facts *facts)
{
	char name[STORE_TEXT_LEN], cgroup[STORE_TEXT_LEN];
	struct cursor again = *c;
	struct gmem_vm_sample *vms = frame->vms.vms;
	size_t i, nr = frame->vms.nr_vms;

	for (i = 0; i < nr; i++) {
		forget_counters(&vms[i]);
		if (!parse_vm(reader, c, &vms[i]) ||
		    !take_text(c, name) || !take_text(c, cgroup))
			return false;
		/* Everything relies on their order. */
		if (i && vms[i].vm_id <= vms[i - 1].vm_id)
			return false;
	}
	if (facts_keep(facts, &vms->vm_id, sizeof(*vms), nr))
		return false;
	for (i = 0; i < nr; i++) {
		struct gmem_vm_sample scratch;

		parse_vm(reader, &again, &scratch);
		take_text(&again, name);
		take_text(&again, cgroup);
		if (facts_set(facts, &facts->vm[i], if_known(name),
			      if_known(cgroup)))
			return false;
	}
	return true;
}

static bool parse_policies(struct cursor *c, struct gmem_policies *policies,
			   size_t size)
{
	size_t i, known;

	/*
	 * The struct grows at its end only, and what is there of it will do.  What
	 * is shorter than ever: better no policies than wrong ones.
	 */
	if (size < POLICY_SIZE_MIN) {
		if (size && policies->nr > (size_t)(c->end - c->at) / size)
			c->at = c->end;
		else
			c->at += policies->nr * size;
		policies->nr = 0;
	}
	known = size < sizeof(*policies->policies) ? size :
						     sizeof(*policies->policies);
	for (i = 0; i < policies->nr; i++) {
		struct gmem_policy_sample *p = &policies->policies[i];

		if ((size_t)(c->end - c->at) < size)
			return false;
		memset(p, 0, sizeof(*p));
		memcpy(p, c->at, known);
		c->at += size;
		p->name[sizeof(p->name) - 1] = '\0';
	}
	return true;
}

/* Older versions did not write of nodes. */
static bool parse_nodes(struct cursor *c, struct frame *frame)
{
	size_t i;
	int n;

	frame->nodes = 0;
	if (c->at == c->end)
		return true;
	if (!take_u64(c, &frame->nodes))
		return false;
	for (i = 0; i < frame->vms.nr_vms; i++)
		for (n = 0; n < GMEM_NODES_MAX; n++)
			if (frame->nodes >> n & 1 &&
			    !take_u64(c, (uint64_t *)&frame->vms.vms[i].node_pages[n]))
				return false;
	return true;
}

/* Older versions had the host's pids only. */
static bool parse_owners(struct cursor *c, struct frame *frame)
{
	bool older = c->at == c->end;
	size_t i;

	for (i = 0; i < frame->vms.nr_vms; i++) {
		struct gmem_vm_sample *vm = &frame->vms.vms[i];

		if (older)
			vm->owner_pid = vm->pid;
		else if (!take(c, &vm->owner_pid, sizeof(vm->owner_pid)))
			return false;
	}
	return true;
}

static bool parse_frame(const struct store_reader *reader, struct cursor *c,
			struct frame *frame, struct facts *facts)
{
	uint64_t enabled, nr_vms, nr_policies, policy_size;

	if (!take_u64(c, &frame->time_ns) || !take_u64(c, &frame->real_ns) ||
	    !take_u64(c, &frame->host_pages) || !take_u64(c, &enabled) ||
	    !take_u64(c, &nr_vms) || !take_u64(c, &nr_policies) ||
	    !take_u64(c, &policy_size) || nr_vms > GMEM_VMS_MAX ||
	    nr_policies > POLICIES_MAX)
		return false;
	if (!grow((void **)&frame->vms.vms, &frame->vms.room, nr_vms + 1,
		  sizeof(*frame->vms.vms)) ||
	    !grow((void **)&frame->policies.policies, &frame->policies.room,
		  nr_policies + 1, sizeof(*frame->policies.policies)))
		return false;
	frame->policies_enabled = (int64_t)enabled;
	frame->vms.nr_vms = nr_vms;
	frame->vms.time_ns = frame->time_ns;
	frame->boot_ns = frame->time_ns;
	frame->policies.nr = nr_policies;
	if (!parse_vms(reader, c, frame, facts) ||
	    !parse_policies(c, &frame->policies, policy_size))
		return false;
	/* Recordings of older versions end here. */
	if (!take_u64(c, &frame->vms.orphaned_pages)) {
		frame->vms.orphaned_pages = 0;
		c->at = c->end;
	}
	return parse_nodes(c, frame) && parse_owners(c, frame);
}

int store_read(struct store_reader *reader, size_t nr, struct frame *frame,
	       struct facts *facts)
{
	const struct place *place = &reader->frames[nr];
	struct cursor header, c;
	bool ok = true, changed;
	size_t at = 0;

	if (reader->unpacked != (ssize_t)place->part) {
		unpack(reader, reader->parts[place->part]);
		ok = next_record(reader, &at, &header) &&
		     read_header(reader, header);
		reader->unpacked = ok ? (ssize_t)place->part : -1;
	}
	/* The file may be another by now. */
	at = place->at - 2 * sizeof(uint32_t);
	changed = !ok || place->at > reader->len ||
		  !next_record(reader, &at, &c) ||
		  c.end - c.at != (ssize_t)place->len;
	if (!changed && parse_frame(reader, &c, frame, facts))
		return 0;
	if (changed)
		gmem_err("frame %zu of %s is gone: the file was changed meanwhile; open it again",
			 nr + 1, reader->path);
	else
		/* Its checksum is right, so somebody wrote it that way. */
		gmem_err("frame %zu of %s makes no sense; record it again",
			 nr + 1, reader->path);
	frame->vms.nr_vms = 0;
	frame->policies.nr = 0;
	return -EINVAL;
}

void store_close(struct store_reader *reader)
{
	if (!reader)
		return;
	if (reader->fd >= 0)
		close(reader->fd);
	free(reader->chunk);
	ZSTD_freeDCtx(reader->zstd);
	free(reader->parts);
	free(reader->frames);
	free(reader->data);
	free(reader->path);
	free(reader);
}
