// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes recordings; see store.h for what is in them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "figures/columns.h"
#include "recording/store.h"
#include "recording/store_write.h"

/* Fast, and the next levels gain little on counters. */
#define LEVEL	3

struct buffer {
	char *data;
	size_t len;
	size_t room;
};

struct store_writer {
	int fd;
	char *path;
	ZSTD_CCtx *zstd;
	struct buffer record;
	struct buffer packed;
	uint64_t size;
	int frames;
	bool in_part;
	bool left;
};

static bool append(struct buffer *b, const void *data, size_t len)
{
	if (b->len + len > b->room) {
		size_t room = (b->len + len) * 2;
		char *p = realloc(b->data, room);

		if (!p)
			return false;
		b->data = p;
		b->room = room;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return true;
}

static bool append_u64(struct buffer *b, uint64_t value)
{
	return append(b, &value, sizeof(value));
}

static bool append_text(struct buffer *b, const char *text)
{
	uint32_t len = strlen(text);

	return append(b, &len, sizeof(len)) && append(b, text, len);
}

/* The magic, then the keys of the counters in the order of the frames. */
static bool make_header(struct buffer *b)
{
	int c;

	if (!append(b, STORE_MAGIC, strlen(STORE_MAGIC)))
		return false;
	for (c = 0; c < NR_COLUMNS; c++)
		if (column_is_stored(&columns[c]) &&
		    (!append(b, columns[c].json, strlen(columns[c].json)) ||
		     !append(b, "\n", 1)))
			return false;
	return true;
}

static bool add_vm(struct buffer *b, const struct gmem_vm_sample *vm,
		   const struct vm_facts *facts)
{
	int c;

	if (!append(b, &vm->pid, sizeof(vm->pid)) ||
	    !append(b, &vm->nr_vcpus, sizeof(vm->nr_vcpus)))
		return false;
	for (c = 0; c < NR_COLUMNS; c++)
		if (column_is_stored(&columns[c]) &&
		    !append_u64(b, column_counter(&columns[c], vm)))
			return false;
	return append_text(b, facts_name(facts)) &&
	       append_text(b, facts_cgroup(facts));
}

/* Which nodes there are, and of each VM its pages on each of them. */
static bool add_nodes(struct buffer *b, const struct frame *frame)
{
	size_t i;
	int n;

	if (!append_u64(b, frame->nodes))
		return false;
	for (i = 0; i < frame->vms.nr_vms; i++)
		for (n = 0; n < GMEM_NODES_MAX; n++)
			if (frame->nodes >> n & 1 &&
			    !append_u64(b, frame->vms.vms[i].node_pages[n]))
				return false;
	return true;
}

/* Their pids as whoever records has them: those above are the host's. */
static bool add_owners(struct buffer *b, const struct frame *frame)
{
	size_t i;

	for (i = 0; i < frame->vms.nr_vms; i++)
		if (!append(b, &frame->vms.vms[i].owner_pid,
			    sizeof(frame->vms.vms[i].owner_pid)))
			return false;
	return true;
}

static bool make_frame(struct buffer *b, const struct frame *frame,
		       const struct facts *facts)
{
	size_t i;

	if (!append_u64(b, frame->time_ns) || !append_u64(b, frame->real_ns) ||
	    !append_u64(b, frame->host_pages) ||
	    !append_u64(b, (int64_t)frame->policies_enabled) ||
	    !append_u64(b, frame->vms.nr_vms) ||
	    !append_u64(b, frame->policies.nr) ||
	    !append_u64(b, sizeof(struct gmem_policy_sample)))
		return false;
	for (i = 0; i < frame->vms.nr_vms; i++)
		if (!add_vm(b, &frame->vms.vms[i], &facts->vm[i]))
			return false;
	/* What later versions add follows; older ones do not look there. */
	return append(b, frame->policies.policies,
		      frame->policies.nr * sizeof(struct gmem_policy_sample)) &&
	       append_u64(b, frame->vms.orphaned_pages) &&
	       add_nodes(b, frame) && add_owners(b, frame);
}

/* Compresses what follows the head of a record, which is filled in here. */
static int pack(struct store_writer *writer, ZSTD_EndDirective how)
{
	struct buffer *record = &writer->record;
	uint32_t head[2] = {};
	ZSTD_inBuffer in = {};
	size_t left;

	if (record->len) {
		head[0] = record->len - sizeof(head);
		head[1] = crc32(0, (Bytef *)record->data + sizeof(head),
				head[0]);
		memcpy(record->data, head, sizeof(head));
		in = (ZSTD_inBuffer) { record->data, record->len, 0 };
	}
	do {
		char out[16384];
		ZSTD_outBuffer room = { out, sizeof(out), 0 };

		left = ZSTD_compressStream2(writer->zstd, &room, &in, how);
		if (ZSTD_isError(left) ||
		    !append(&writer->packed, out, room.pos))
			return -ENOMEM;
	} while (left);
	return 0;
}

static bool begin_record(struct store_writer *writer)
{
	static const uint32_t head[2];

	writer->record.len = 0;
	return append(&writer->record, head, sizeof(head));
}

/*
 * Truncated between the look at it and the write: what was written stands at its
 * beginning and is no beginning.
 */
static bool was_cut(const struct store_writer *writer)
{
	struct stat st;

	return writer->size && !fstat(writer->fd, &st) &&
	       (uint64_t)st.st_size == writer->packed.len;
}

/* What is there beyond the last whole frame is of no use. */
static void cut_back(const struct store_writer *writer)
{
	struct stat st;

	/* Not made longer: somebody else may have truncated it. */
	if (!fstat(writer->fd, &st) && (uint64_t)st.st_size > writer->size &&
	    ftruncate(writer->fd, writer->size))
		gmem_err("cannot cut %s back: %s", writer->path,
			 strerror(errno));
}

/* All of it or nothing. */
static int flush(struct store_writer *writer)
{
	size_t done = 0;
	ssize_t r;
	int err = 0;

	while (!err && done < writer->packed.len) {
		r = write(writer->fd, writer->packed.data + done,
			  writer->packed.len - done);
		if (r < 0 && errno != EINTR)
			err = -errno;
		else if (r > 0)
			done += r;
	}
	if (!err && fdatasync(writer->fd) && errno != EINVAL)
		err = -errno;
	if (err) {
		writer->in_part = false;
		cut_back(writer);
		gmem_err("cannot write %s: %s; %s", writer->path,
			 strerror(-err), writer->size ?
			 "the frames before are kept" : "it is removed");
		return err;
	}
	if (was_cut(writer) && !ftruncate(writer->fd, 0)) {
		store_restart(writer);
		return -ESTALE;
	}
	writer->size += writer->packed.len;
	writer->packed.len = 0;
	return 0;
}

static int no_memory(void)
{
	gmem_err("no memory to record with; free some");
	return -ENOMEM;
}

int store_write(struct store_writer *writer, const struct frame *frame,
		const struct facts *facts)
{
	writer->packed.len = 0;
	if (!writer->in_part) {
		if (!begin_record(writer) || !make_header(&writer->record) ||
		    pack(writer, ZSTD_e_flush))
			return no_memory();
		writer->in_part = true;
		writer->frames = 0;
	}
	if (!begin_record(writer) ||
	    !make_frame(&writer->record, frame, facts) ||
	    pack(writer, ++writer->frames < STORE_PART_FRAMES ? ZSTD_e_flush :
								ZSTD_e_end))
		return no_memory();
	if (writer->frames == STORE_PART_FRAMES)
		writer->in_part = false;
	return flush(writer);
}

uint64_t store_size(const struct store_writer *writer)
{
	return writer->size;
}

enum store_state store_state(const struct store_writer *writer)
{
	struct stat st, there;

	if (fstat(writer->fd, &st))
		return STORE_TOUCHED;
	if (!st.st_nlink)
		return STORE_REMOVED;
	if ((uint64_t)st.st_size != writer->size)
		return st.st_size ? STORE_TOUCHED : STORE_CUT;
	if (lstat(writer->path, &there) || there.st_ino != st.st_ino ||
	    there.st_dev != st.st_dev)
		return STORE_MOVED;
	return STORE_HELD;
}

void store_restart(struct store_writer *writer)
{
	/* The next frame begins a part, with all that it takes to read it. */
	ZSTD_CCtx_reset(writer->zstd, ZSTD_reset_session_only);
	writer->in_part = false;
	writer->packed.len = 0;
	writer->size = 0;
}

void store_leave(struct store_writer *writer)
{
	writer->in_part = false;
	writer->left = true;
}

/* Only the file itself, whatever its name leads to by now. */
static void remove_empty(const struct store_writer *writer)
{
	if (!writer->size && !writer->left &&
	    store_state(writer) == STORE_HELD)
		unlink(writer->path);
}

static int open_new(const char *path)
{
	struct stat st;
	int fd, err = 0;

	/* What is appended can't leave a hole in a file that was truncated. */
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB))
		err = -errno;
	else if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size)
		err = -EEXIST;
	if (!err)
		return fd;
	close(fd);
	return err;
}

bool store_in_use(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) &&
		      errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

struct store_writer *store_create(const char *path)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));

	if (writer) {
		writer->fd = -1;
		writer->path = strdup(path);
		writer->zstd = ZSTD_createCCtx();
	}
	if (!writer || !writer->path || !writer->zstd) {
		no_memory();
		goto fail;
	}
	ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, LEVEL);
	writer->fd = open_new(path);
	if (writer->fd >= 0)
		return writer;
	if (writer->fd == -EWOULDBLOCK)
		gmem_err("another gmemtop records into %s; name another file",
			 path);
	else
		gmem_err("cannot create %s: %s; name a place that can be written to",
			 path, strerror(-writer->fd));
fail:
	store_finish(writer);
	return NULL;
}

int store_finish(struct store_writer *writer)
{
	int err = 0;

	if (!writer)
		return 0;
	if (writer->in_part) {
		writer->record.len = 0;
		writer->packed.len = 0;
		err = pack(writer, ZSTD_e_end) ? no_memory() : flush(writer);
		/* It was truncated, and what it has is what it should have. */
		if (err == -ESTALE)
			err = 0;
	}
	if (writer->fd >= 0) {
		/* The next recorder would not know it for a recording. */
		remove_empty(writer);
		close(writer->fd);
	}
	ZSTD_freeCCtx(writer->zstd);
	free(writer->record.data);
	free(writer->packed.data);
	free(writer->path);
	free(writer);
	return err;
}
