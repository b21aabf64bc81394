// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy new: a policy to begin with.  Everything it needs is inside the
 * tool and is written into one directory, but for the kernel's types, which are
 * those of the kernel it is built for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/table.h"
#include "objects/embed.h"
#include "verbs/verbs.h"

#define NAME_MAX_LEN	24
#define MARK		"@NAME@"

static bool json;

static const struct gmem_option new_options[] = {
	{ .name = "json", .short_name = 'j', .type = GMEM_OPT_FLAG,
	  .help = "print JSON", .target = &json },
	VERB_OPTIONS
};

EMBED(new_policy, "tools/gmempolicy/template/policy.bpf.c");
EMBED(new_makefile, "tools/gmempolicy/template/Makefile");
EMBED(new_test, "tools/gmempolicy/template/test.bats");

#define HEADER(symbol, source, target)	EMBED(new_##symbol, source);
#include "headers.inc"
#undef HEADER

static const struct file {
	const char *path;
	const char *data;
	const char *end;
	bool has_marks;
} files[] = {
	{ MARK ".bpf.c", new_policy, new_policy_end, true },
	{ "Makefile", new_makefile, new_makefile_end, true },
	{ "test.bats", new_test, new_test_end, true },
#define HEADER(symbol, source, target)	\
	{ "include/" target, new_##symbol, new_##symbol##_end, false },
#include "headers.inc"
#undef HEADER
};

/* Writes text with the name in place of each mark. */
static void put(FILE *out, const char *data, const char *end, const char *name)
{
	while (data < end) {
		const char *mark = name ? strstr(data, MARK) : NULL;

		if (!mark) {
			fwrite(data, 1, end - data, out);
			return;
		}
		fwrite(data, 1, mark - data, out);
		fputs(name, out);
		data = mark + strlen(MARK);
	}
}

static int cannot(const char *what, const char *path)
{
	int err = -errno;

	gmem_err("cannot %s '%s': %s; choose a place where you may write", what,
		 path, strerror(-err));
	return err;
}

static void path_of(const struct file *file, const char *name, char *dst,
		    size_t size)
{
	if (!strncmp(file->path, MARK, strlen(MARK)))
		snprintf(dst, size, "%s%s", name, file->path + strlen(MARK));
	else
		snprintf(dst, size, "%s", file->path);
}

static int write_file(int dir, const struct file *file, const char *name)
{
	char path[128];
	FILE *out;
	int fd;

	path_of(file, name, path, sizeof(path));
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return cannot("write", path);
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		return cannot("write", path);
	}
	put(out, file->data, file->end, file->has_marks ? name : NULL);
	if (fclose(out))
		return cannot("write", path);
	return 0;
}

static int write_all(int dir, const char *name)
{
	static const char *const dirs[] = { "include", "include/bpf" };
	size_t i;
	int err;

	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		if (mkdirat(dir, dirs[i], 0755))
			return cannot("make", dirs[i]);
	}
	for (i = 0; i < ARRAY_LEN(files); i++) {
		err = write_file(dir, &files[i], name);
		if (err)
			return err;
	}
	return 0;
}

/* What was made before it failed, so that the next try finds nothing. */
static void remove_all(int dir, const char *path, const char *name)
{
	char file[128];
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		path_of(&files[i], name, file, sizeof(file));
		unlinkat(dir, file, 0);
	}
	unlinkat(dir, "include/bpf", AT_REMOVEDIR);
	unlinkat(dir, "include", AT_REMOVEDIR);
	rmdir(path);
}

/* The name is one in C, in the kernel and in the file system. */
static bool is_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return len && !name[len] && len <= NAME_MAX_LEN && *name >= 'a' &&
	       *name <= 'z';
}

static struct value row_did(const void *row)
{
	return TEXT_VALUE("wrote");
}

static struct value row_path(const void *row)
{
	return TEXT_VALUE(row);
}

static const struct column columns[] = {
	{ "", "did", row_did },
	{ "", "path", row_path },
	{}
};

static int run_new(int argc, char **argv)
{
	const struct table table = {
		.key = "created",
		.columns = columns,
		.rows = argc ? argv[0] : NULL,
		.nr_rows = 1,
		.is_bare = true,
	};
	const char *name;
	int dir, err;

	if (argc != 1) {
		if (argc)
			gmem_err("new takes one name; leave '%s' out", argv[1]);
		else
			gmem_err("no name given; give the policy one, or a path that ends in one");
		return GMEM_EXIT_USAGE;
	}
	name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	if (!is_name(name)) {
		gmem_err("'%s' is no name for a policy; take up to %u small letters, digits and '_', a letter first",
			 name, NAME_MAX_LEN);
		return GMEM_EXIT_USAGE;
	}
	if (mkdir(argv[0], 0755)) {
		if (errno == EEXIST)
			gmem_err("'%s' is there already; choose another name, or remove it",
				 argv[0]);
		else
			cannot("make", argv[0]);
		return GMEM_EXIT_FAIL;
	}
	dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dir < 0 ? cannot("open", argv[0]) : write_all(dir, name);
	if (err)
		remove_all(dir, argv[0], name);
	if (dir >= 0)
		close(dir);
	if (err || tables_print(&table, 1, json))
		return GMEM_EXIT_FAIL;
	return GMEM_EXIT_OK;
}

const struct verb new_verb = {
	.name = "new",
	.synopsis = "new NAME [--json]",
	.about = "write a policy to begin with into a directory",
	.options = new_options,
	.run = run_new,
};
