// SPDX-License-Identifier: GPL-2.0-only
/*
 * From text to policies that the kernel has accepted.  The first mistake ends
 * it, and until it has ended nothing on the host is touched.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attached/ops.h"
#include "config/config.h"
#include "formats/toml.h"
#include "gmem_cgroup.h"
#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_process.h"
#include "objects/object.h"

#define FILE_MAX	(1 << 20)
#define LABEL_MAX	48

struct reader {
	const char *file;
	struct config *config;
};

static int no_memory(void)
{
	gmem_err("no memory for the policies; free some");
	return -ENOMEM;
}

static char *place_text(const struct reader *r, struct scan_place at)
{
	char *text;

	if (asprintf(&text, "%s:%u:%u", r->file, at.line, at.column) < 0)
		return NULL;
	return text;
}

__attribute__((format(printf, 3, 4)))
static int mistake(const struct reader *r, struct scan_place at,
		   const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gmem_err("%s:%u:%u: %s", r->file, at.line, at.column, text);
	return -EINVAL;
}

static int want_type(const struct reader *r, const struct toml *node,
		     enum toml_type type)
{
	if (node->type == type)
		return 0;
	return mistake(r, node->value_at, "'%s' takes a %s, not a %s",
		       node->key, toml_type_name(type),
		       toml_type_name(node->type));
}

/* ---------------------------------------------------------------- one policy */

static int set_scope(const struct reader *r, struct wish *wish,
		     const struct toml *node, enum scope_type type)
{
	char path[GMEM_CGROUP_LEN];
	const char *text, *why;
	int err;

	if (wish->scope.type != SCOPE_NONE)
		return mistake(r, node->at,
			       "a second scope; keep one of 'all', 'name' and 'cgroup'");
	wish->scope.type = type;
	if (type == SCOPE_ALL) {
		err = want_type(r, node, TOML_BOOLEAN);
		if (!err && !node->flag)
			err = mistake(r, node->value_at,
				      "'all' can only be true; leave it out and give 'name' or 'cgroup'");
		return err;
	}
	err = want_type(r, node, TOML_STRING);
	if (err)
		return err;
	text = node->text;
	if (type == SCOPE_NAME && !*text)
		return mistake(r, node->value_at,
			       "an empty name matches no VM; give a pattern");
	if (type == SCOPE_NAME && strlen(text) > PROCESS_NAME_MAX)
		return mistake(r, node->value_at,
			       "a name has up to %u bytes; shorten the pattern",
			       PROCESS_NAME_MAX);
	/* It may not be there yet: guests that start later are meant, too. */
	if (type == SCOPE_CGROUP) {
		if (*text != '/')
			return mistake(r, node->value_at,
				       "a cgroup is a path that begins with '/'");
		why = gmem_cgroup_path(path, sizeof(path), text);
		if (why)
			return mistake(r, node->value_at, "%s", why);
		text = path;
	}
	wish->scope_text = strdup(text);
	wish->scope.text = wish->scope_text;
	return wish->scope_text ? 0 : no_memory();
}

static int set_use(const struct reader *r, struct wish *wish,
		   const struct toml *node)
{
	const char *slash = strrchr(r->file, '/');
	int err = want_type(r, node, TOML_STRING);

	if (err)
		return err;
	/* A path is taken from where the file is. */
	if (strchr(node->text, '/') && *node->text != '/' && slash) {
		if (asprintf(&wish->use, "%.*s/%s", (int)(slash - r->file),
			     r->file, node->text) < 0)
			wish->use = NULL;
	} else {
		wish->use = strdup(node->text);
	}
	return wish->use ? 0 : no_memory();
}

static int set_mode(const struct reader *r, struct wish *wish,
		    const struct toml *node)
{
	int err = want_type(r, node, TOML_STRING);

	if (err)
		return err;
	if (!strcmp(node->text, "audit"))
		wish->flags |= GMEM_POLICY_AUDIT;
	else if (strcmp(node->text, "enforce"))
		return mistake(r, node->value_at,
			       "'mode' takes \"enforce\" or \"audit\", not \"%s\"",
			       node->text);
	return 0;
}

static int set_priority(const struct reader *r, struct wish *wish,
			const struct toml *node)
{
	int err = want_type(r, node, TOML_INTEGER);

	if (err)
		return err;
	if (node->number < INT32_MIN || node->number > INT32_MAX)
		return mistake(r, node->value_at,
			       "'priority' takes a number from %d to %d",
			       INT32_MIN, INT32_MAX);
	wish->priority = node->number;
	return 0;
}

static int add_set(const struct reader *r, struct wish *wish,
		   const struct toml *node)
{
	size_t i = wish->nr_sets;
	int len;

	if (node->type == TOML_INTEGER)
		len = asprintf(&wish->sets[i], "%s=%" PRId64, node->key,
			       node->number);
	else if (node->type == TOML_STRING)
		len = asprintf(&wish->sets[i], "%s=%s", node->key, node->text);
	else
		return mistake(r, node->value_at,
			       "a parameter takes a number or a text in quotes, not a %s",
			       toml_type_name(node->type));
	if (len < 0) {
		wish->sets[i] = NULL;
		return no_memory();
	}
	wish->places[i] = place_text(r, node->at);
	wish->nr_sets++;
	return wish->places[i] ? 0 : no_memory();
}

static int read_sets(const struct reader *r, struct wish *wish,
		     const struct toml *node)
{
	int err = want_type(r, node, TOML_TABLE);
	size_t i;

	if (err)
		return err;
	wish->sets = calloc(node->nr + 1, sizeof(*wish->sets));
	wish->places = calloc(node->nr + 1, sizeof(*wish->places));
	if (!wish->sets || !wish->places)
		return no_memory();
	for (i = 0; i < node->nr && !err; i++)
		err = add_set(r, wish, node->members[i]);
	return err;
}

static int read_key(const struct reader *r, struct wish *wish,
		    const struct toml *node)
{
	if (!strcmp(node->key, "use"))
		return set_use(r, wish, node);
	if (!strcmp(node->key, "all"))
		return set_scope(r, wish, node, SCOPE_ALL);
	if (!strcmp(node->key, "name"))
		return set_scope(r, wish, node, SCOPE_NAME);
	if (!strcmp(node->key, "cgroup"))
		return set_scope(r, wish, node, SCOPE_CGROUP);
	if (!strcmp(node->key, "mode"))
		return set_mode(r, wish, node);
	if (!strcmp(node->key, "priority"))
		return set_priority(r, wish, node);
	if (!strcmp(node->key, "set"))
		return read_sets(r, wish, node);
	return mistake(r, node->at,
		       "unknown key '%s'; a policy takes use, all, name, cgroup, mode, priority and set",
		       node->key);
}

static int check_label(const struct reader *r, const struct toml *node)
{
	const struct config *config = r->config;
	size_t len = strspn(node->key,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	size_t i;

	if (!len || node->key[len] || len > LABEL_MAX)
		return mistake(r, node->at,
			       "'%s' is no name for a policy; take up to %u letters, digits, '_' and '-'",
			       node->key, LABEL_MAX);
	for (i = 0; i + 1 < config->nr; i++) {
		if (!strcmp(config->wishes[i].label, node->key))
			return mistake(r, node->at,
				       "a policy '%s' is asked for already, at %s; choose another name",
				       node->key, config->wishes[i].where);
	}
	return 0;
}

static int read_wish(const struct reader *r, const struct toml *node)
{
	struct config *config = r->config;
	struct wish *wish;
	size_t i;
	int err;

	if (node->type != TOML_TABLE)
		return mistake(r, node->at,
			       "'%s' is not a table; begin it with [policy.%s]",
			       node->key, node->key);
	wish = reallocarray(config->wishes, config->nr + 1, sizeof(*wish));
	if (!wish)
		return no_memory();
	config->wishes = wish;
	wish = &wish[config->nr++];
	*wish = (struct wish) {};
	wish->where = place_text(r, node->at);
	wish->label = strdup(node->key);
	if (!wish->where || !wish->label)
		return no_memory();
	err = check_label(r, node);
	for (i = 0; i < node->nr && !err; i++)
		err = read_key(r, wish, node->members[i]);
	if (err)
		return err;
	if (!wish->use)
		return mistake(r, node->at,
			       "no 'use' in [policy.%s]; name a policy or an object file",
			       node->key);
	if (wish->scope.type == SCOPE_NONE)
		return mistake(r, node->at,
			       "no scope in [policy.%s]; give 'all = true', 'name' or 'cgroup'",
			       node->key);
	return 0;
}

/* ----------------------------------------------------------------- the kernel */

struct object *wish_open(const struct wish *wish, uint64_t vm)
{
	struct object *object;
	size_t i;
	int err = 0;

	gmem_err_context(wish->where);
	object = object_open(wish->use);
	for (i = 0; object && i < wish->nr_sets && !err; i++) {
		gmem_err_context(wish->places[i]);
		err = object_set(object, wish->sets[i]);
	}
	gmem_err_context(wish->where);
	if (object && !err)
		err = object_set_member(object, "vm_id", vm) ?:
		      object_set_member(object, "flags", wish->flags) ?:
		      object_set_member(object, "priority", wish->priority);
	gmem_err_context(NULL);
	if (!err)
		return object;
	object_close(object);
	return NULL;
}

static int load_wish(struct wish *wish)
{
	int err;

	gmem_err_context(wish->where);
	err = object_load(wish->object);
	if (!err) {
		err = ops_object_tags(wish->object, &wish->tags);
		if (err)
			gmem_err_bpf(err, "cannot read the programs");
	}
	gmem_err_context(NULL);
	return err;
}

int config_load(struct config *config)
{
	size_t i;
	int err = 0;

	for (i = 0; i < config->nr && !err; i++)
		err = load_wish(&config->wishes[i]);
	return err;
}

/* ---------------------------------------------------------------------- files */

static void *cannot_read(const char *path, int err)
{
	gmem_err("cannot read '%s': %s; check the path", path, strerror(err));
	errno = err;
	return NULL;
}

static char *read_whole(const char *path, size_t *size)
{
	/* Opening a FIFO would wait for somebody to write. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat st;
	char *text;
	ssize_t r;

	if (fd < 0)
		return cannot_read(path, errno);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		gmem_err("'%s' is no file of up to %u KiB; give a .toml file or a directory of those",
			 path, FILE_MAX >> 10);
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	text = malloc(st.st_size + 1);
	if (!text) {
		no_memory();
		close(fd);
		errno = ENOMEM;
		return NULL;
	}
	*size = 0;
	while (*size < (size_t)st.st_size) {
		r = read(fd, text + *size, st.st_size - *size);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			err = errno;
			close(fd);
			free(text);
			return cannot_read(path, err);
		}
		if (!r)
			break;
		*size += r;
	}
	text[*size] = '\0';
	close(fd);
	return text;
}

static int read_root(const struct reader *r, const struct toml *root)
{
	size_t i, k;
	int err = 0;

	for (i = 0; i < root->nr && !err; i++) {
		const struct toml *node = root->members[i];

		if (strcmp(node->key, "policy"))
			return mistake(r, node->at,
				       "unknown key '%s'; a policy begins with [policy.NAME]",
				       node->key);
		if (node->type != TOML_TABLE)
			return mistake(r, node->at,
				       "'policy' is not a table; begin a policy with [policy.NAME]");
		for (k = 0; k < node->nr && !err; k++)
			err = read_wish(r, node->members[k]);
	}
	return err;
}

static int read_file(struct config *config, const char *path)
{
	const struct reader reader = { path, config };
	struct scan_error error;
	struct toml *root;
	size_t size;
	char *text;
	int err;

	text = read_whole(path, &size);
	if (!text)
		return -errno;
	root = toml_parse(text, size, &error);
	free(text);
	if (!root)
		return mistake(&reader, error.at, "%s", error.text);
	err = read_root(&reader, root);
	toml_free(root);
	return err;
}

static int is_toml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	       !strcmp(entry->d_name + len - 5, ".toml");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dir(struct config *config, const char *path)
{
	struct dirent **entries;
	int n, i, err = 0;
	char *file;

	n = scandir(path, &entries, is_toml, by_name);
	if (n < 0) {
		err = -errno;
		gmem_err("cannot read the directory '%s': %s; check its mode",
			 path, strerror(-err));
		return err;
	}
	for (i = 0; i < n; i++) {
		if (!err && asprintf(&file, "%s/%s", path,
				     entries[i]->d_name) < 0)
			err = no_memory();
		if (!err) {
			err = read_file(config, file);
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
	return err;
}

int config_read(struct config *config, const char *path)
{
	struct stat st;
	size_t i;
	int err;

	if (stat(path, &st)) {
		err = -errno;
		gmem_err("cannot read '%s': %s; %s", path, strerror(-err),
			 err == -EACCES ? "run it as root" :
			 "make it, or give another path");
		return err;
	}
	err = S_ISDIR(st.st_mode) ? read_dir(config, path) :
				    read_file(config, path);
	for (i = 0; i < config->nr && !err; i++) {
		struct wish *wish = &config->wishes[i];

		wish->object = wish_open(wish, 0);
		if (!wish->object)
			err = -EINVAL;
	}
	return err;
}

void config_free(struct config *config)
{
	size_t i, k;

	for (i = 0; i < config->nr; i++) {
		struct wish *wish = &config->wishes[i];

		for (k = 0; k < wish->nr_sets; k++) {
			free(wish->sets[k]);
			free(wish->places[k]);
		}
		free(wish->sets);
		free(wish->places);
		free(wish->label);
		free(wish->where);
		free(wish->use);
		free(wish->scope_text);
		object_close(wish->object);
	}
	free(config->wishes);
	*config = (struct config) {};
}
