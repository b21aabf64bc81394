/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of "gmemtop export": what is said (export_text.c), over HTTP
 * (export_http.c, export_listen.c) or in a file (export_file.c), and as whom
 * (export_user.c).
 */
#ifndef GMEMTOP_EXPOSITION_H
#define GMEMTOP_EXPOSITION_H

#include <sys/types.h>

#include "figures/columns.h"
#include "figures/frame.h"

struct vm_label;

/**
 * enum export_format - how metrics are written
 * @EXPORT_TEXT: Prometheus text format 0.0.4, which node_exporter reads, too
 * @EXPORT_OPENMETRICS: OpenMetrics 1.0
 */
enum export_format {
	EXPORT_TEXT,
	EXPORT_OPENMETRICS,
};

/**
 * struct exporter - what an exposition is made of
 * @source: where frames come from
 * @frame: the last one
 * @facts: what is known of the VMs beside their counters
 * @text: the last exposition
 * @len: its bytes
 * @room: bytes that @text has memory for
 * @labels: of the last frame's VMs
 *
 * Starts as all zeroes but @source; exporter_free() gives the memory back.
 */
struct exporter {
	struct source *source;
	struct frame frame;
	struct facts facts;
	char *text;
	size_t len;
	size_t room;
	struct vm_label *labels;
};

/**
 * exporter_sample() - sample the host and write all metrics
 * @exporter: the exporter; @text and @len are the exposition afterwards
 * @format: how to write them
 *
 * Return: 0, or -errno after one line of error.
 */
int exporter_sample(struct exporter *exporter, enum export_format format);

/**
 * exporter_free() - give back the memory, not the source
 * @exporter: the exporter
 */
void exporter_free(struct exporter *exporter);

/**
 * export_accepts() - choose the format that a scraper asks for
 * @accept: the value of its Accept header, NULL if there is none
 *
 * OpenMetrics is for those that name it, and at least as welcome as the text
 * format.
 *
 * Return: the format.
 */
enum export_format export_accepts(const char *accept);

/**
 * struct export_user - whom the exporter runs as
 * @name: their name, or number if they have none
 * @uid: their id
 * @gid: their group
 * @change: the process runs as somebody else now
 */
struct export_user {
	char name[64];
	uid_t uid;
	gid_t gid;
	bool change;
};

/**
 * export_user_find() - find out whom to run as
 * @user: filled in
 * @name: a name or number; NULL for none asked for
 * @fallback: who it is if none is asked for and the process may change
 *
 * Return: 0, or -1 after one line of error.
 */
int export_user_find(struct export_user *user, const char *name,
		     uid_t fallback);

/**
 * export_user_become() - run as that user, without any capability, for good
 * @user: from export_user_find()
 *
 * Context: one thread only.
 * Return: 0, or -1 after one line of error.
 */
int export_user_become(const struct export_user *user);

/**
 * export_listen() - open the socket to listen on
 * @address: "ADDRESS:PORT"; an IPv6 address is in brackets
 *
 * Return: a socket, or a negative exit code after one line of error.
 */
int export_listen(const char *address);

/**
 * export_serve() - answer scrapes until SIGINT or SIGTERM comes
 * @exporter: what to answer with
 * @socket: from export_listen(), closed at the end
 * @user: whom this is run as, for the line that says so
 *
 * Both signals are blocked before this is called.
 *
 * Return: an exit code.
 */
int export_serve(struct exporter *exporter, int socket,
		 const struct export_user *user);

/**
 * struct export_dir - a directory that metrics are written to
 * @path: as the user gave it
 * @fd: it, open, and locked against other exporters
 */
struct export_dir {
	const char *path;
	int fd;
};

/**
 * export_dir_open() - open the directory to write to
 * @dir: filled in
 * @path: the directory
 * @owner: set to its owner
 *
 * Return: 0, or -1 after one line of error.
 */
int export_dir_open(struct export_dir *dir, const char *path, uid_t *owner);

/**
 * export_dir_write() - replace the directory's gmem.prom
 * @dir: from export_dir_open()
 * @text: what to write
 * @len: bytes at @text
 * @user: whom this is run as, for the error
 *
 * A reader sees the old file or the new one, whatever fails and whenever.
 *
 * Return: 0, or -errno after one line of error.
 */
int export_dir_write(const struct export_dir *dir, const char *text,
		     size_t len, const struct export_user *user);

/**
 * export_main() - the verb
 * @argc: number of words
 * @argv: words, the first is the verb
 *
 * Return: an exit code.
 */
int export_main(int argc, char **argv);

#endif /* GMEMTOP_EXPOSITION_H */
