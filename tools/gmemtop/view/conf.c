// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes the settings file.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "view/conf.h"
#include "view/settings.h"

#define CONF_FILE	"gmem/gmemtop.conf"
#define LINES_MAX	1000

static void find_path(char *path, size_t size)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int len = 0;

	/* A relative path there is invalid, says the specification. */
	if (config && config[0] == '/')
		len = snprintf(path, size, "%s/%s", config, CONF_FILE);
	else if (home && home[0] == '/')
		len = snprintf(path, size, "%s/.config/%s", home, CONF_FILE);
	if (len <= 0 || (size_t)len >= size)
		*path = '\0';
}

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (isspace((unsigned char)*text))
		text++;
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* NULL, or what is wrong with the value. */
static const char *take(struct conf *conf, const char *key, const char *value)
{
	const char *bad;

	if (!strcmp(key, "fields"))
		return fields_parse(&conf->fields, value, &bad) ?
		       "takes columns with commas between them" : NULL;
	if (!strcmp(key, "sort")) {
		conf->sort = column_by_key(value, strlen(value));
		return conf->sort < 0 ? "takes a column" : NULL;
	}
	if (!strcmp(key, "inverted")) {
		conf->inverted = !strcmp(value, "yes");
		return conf->inverted || !strcmp(value, "no") ? NULL :
		       "takes yes or no";
	}
	if (!strcmp(key, "interval"))
		return gmem_parse_seconds(value, &conf->interval_ns) ||
		       conf->interval_ns < INTERVAL_MIN_NS ||
		       conf->interval_ns > INTERVAL_MAX_NS ?
		       "takes seconds from " INTERVAL_RANGE : NULL;
	return "is not a setting";
}

__attribute__((format(printf, 2, 3)))
static void break_off(struct conf *conf, const char *fmt, ...)
{
	struct conf broken = { .broken = true, .sort = -1 };
	char why[100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	strcpy(broken.path, conf->path);
	snprintf(broken.complaint, sizeof(broken.complaint),
		 "%.120s%s; the file is ignored", conf->path, why);
	*conf = broken;
}

static void read_lines(struct conf *conf, FILE *f)
{
	char line[1024], *key, *value, *equals;
	const char *wrong;
	int nr = 0;

	while (fgets(line, sizeof(line), f)) {
		/* The last line may end with the file. */
		if (++nr > LINES_MAX || (!strchr(line, '\n') && !feof(f))) {
			break_off(conf, ":%d: too long", nr);
			return;
		}
		key = trim(line);
		if (!*key || *key == '#')
			continue;
		equals = strchr(key, '=');
		if (!equals) {
			break_off(conf, ":%d: no '='", nr);
			return;
		}
		*equals = '\0';
		value = trim(equals + 1);
		key = trim(key);
		wrong = take(conf, key, value);
		if (wrong) {
			break_off(conf, ":%d: %.40s %s", nr, key, wrong);
			return;
		}
	}
	if (ferror(f))
		break_off(conf, ": %s", strerror(errno));
}

void conf_load(struct conf *conf)
{
	FILE *f;

	*conf = (struct conf) { .sort = -1 };
	find_path(conf->path, sizeof(conf->path));
	if (!conf->path[0])
		return;
	f = fopen(conf->path, "re");
	if (f) {
		read_lines(conf, f);
		fclose(f);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		break_off(conf, ": %s", strerror(errno));
	}
}

static int make_directories(char *path)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int write_file(FILE *f, const struct conf *conf)
{
	int i;

	fprintf(f, "# Settings of gmemtop, written when it ends.\n");
	for (i = 0; i < conf->fields.nr; i++)
		fprintf(f, "%s%s%s", i ? "," : "fields = ",
			columns[conf->fields.id[i]].key,
			i + 1 < conf->fields.nr ? "" : "\n");
	if (conf->sort >= 0)
		fprintf(f, "sort = %s\ninverted = %s\n",
			columns[conf->sort].key, conf->inverted ? "yes" : "no");
	if (conf->interval_ns)
		fprintf(f, "interval = %.9g\n", conf->interval_ns / 1e9);
	if (fflush(f) || fsync(fileno(f)))
		return -errno;
	return 0;
}

int conf_save(const struct conf *conf)
{
	char path[PATH_MAX], new[PATH_MAX + 8];
	FILE *f;
	int err;

	if (conf->broken || !conf->path[0])
		return 0;
	strcpy(path, conf->path);
	snprintf(new, sizeof(new), "%s.new", path);
	err = make_directories(path);
	if (!err) {
		f = fopen(new, "we");
		err = f ? write_file(f, conf) : -errno;
		if (f && fclose(f) && !err)
			err = -errno;
		if (!err && rename(new, path))
			err = -errno;
		if (err && f)
			unlink(new);
	}
	if (err)
		gmem_err("cannot keep the settings in %s: %s; make it writable, or set XDG_CONFIG_HOME",
			 path, strerror(-err));
	return err;
}
