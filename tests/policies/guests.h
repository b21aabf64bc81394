/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two well-behaved guests and an abuser, each a process of gmemload, and what
 * they say of themselves: how much they got done and which errors they saw.
 */
#ifndef TESTS_GUESTS_H
#define TESTS_GUESTS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "policy.h"

enum { WEB, BATCH, ABUSER, NR_GUESTS };

/* Small steps, so that one more or less in a stretch is less than MAX_LOSS. */
#define BATCH_WORK	"churn,range=64K,rate=80"

static const char *const names[NR_GUESTS] = { "web", "batch", "abuser" };

static char dir[] = "/tmp/effect.XXXXXX";
static char lines_path[64], pids_path[64];
static pid_t load_pid;
static uint32_t pids[NR_GUESTS];

static inline void sleep_for(double seconds)
{
	struct timespec ts = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (time_t)seconds) * 1e9),
	};

	nanosleep(&ts, NULL);
}

static inline void read_pids(void)
{
	char name[64];
	uint32_t pid;
	FILE *f = fopen(pids_path, "r");
	int i;

	MUST(f, "no pids");
	while (fscanf(f, "%63s %u", name, &pid) == 2) {
		for (i = 0; i < NR_GUESTS; i++) {
			if (!strcmp(name, names[i]))
				pids[i] = pid;
		}
	}
	fclose(f);
}

/* Returns when they run.  At most three specifications, NULL for none. */
static inline void start_guests(const char *const specs[])
{
	const char *argv[24] = { "build/gmemload", "--json", lines_path,
				 "--pidfile", pids_path, "--interval", "0.5" };
	char guests[NR_GUESTS][128];
	int i, n = 7, status;

	for (i = 0; i < NR_GUESTS; i++) {
		if (!specs[i])
			continue;
		snprintf(guests[i], sizeof(guests[i]), "%s,name=%s", specs[i],
			 names[i]);
		argv[n++] = "--guest";
		argv[n++] = guests[i];
	}
	unlink(pids_path);
	memset(pids, 0, sizeof(pids));
	load_pid = fork();
	if (!load_pid) {
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	MUST(load_pid > 0, "fork: %s", strerror(errno));
	for (i = 0; access(pids_path, R_OK); i++) {
		MUST(waitpid(load_pid, &status, WNOHANG) == 0,
		     "the guests did not start: status %d", status);
		/*
		 * The clock jumps ahead whenever the VM waits for the host, as
		 * for the pages of a program, so this says nothing of time.
		 */
		MUST(i < 100000, "the guests did not start");
		sleep_for(0.1);
	}
	read_pids();
}

/* Returns whether all ended well. */
static inline bool stop_guests(void)
{
	int status;

	kill(load_pid, SIGINT);
	MUST(waitpid(load_pid, &status, 0) == load_pid, "cannot wait");
	load_pid = 0;
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Walks gmemload's lines; returns the last summary of @guest, to be freed. */
static inline struct json_object *read_lines(const char *guest,
					     double *touched,
					     double *seconds)
{
	struct json_object *line, *found = NULL, *v;
	FILE *f = fopen(lines_path, "r");
	static char buf[8192];

	*touched = *seconds = 0;
	MUST(f, "no lines of gmemload");
	while (fgets(buf, sizeof(buf), f)) {
		line = json_tokener_parse(buf);
		if (!line)
			continue;
		json_object_object_get_ex(line, "guest", &v);
		if (strcmp(json_object_get_string(v), guest)) {
			json_object_put(line);
		} else if (json_object_object_get_ex(line, "summary", &v)) {
			json_object_put(found);
			found = line;
		} else {
			json_object_object_get_ex(line, "touched", &v);
			*touched += json_object_get_double(v);
			json_object_object_get_ex(line, "dt", &v);
			*seconds += json_object_get_double(v);
			json_object_put(line);
		}
	}
	fclose(f);
	return found;
}

/* How often a guest saw an errno; all that it saw if @name is NULL. */
static inline double errors_seen(const char *guest, const char *kind,
				 const char *name)
{
	struct json_object *summary, *errors, *of_kind;
	double touched, seconds, sum = 0;

	summary = read_lines(guest, &touched, &seconds);
	MUST(summary, "guest %s has no summary", guest);
	json_object_object_get_ex(summary, "errors", &errors);
	json_object_object_get_ex(errors, kind, &of_kind);
	json_object_object_foreach(of_kind, key, value) {
		if (!name || !strcmp(key, name))
			sum += json_object_get_double(value);
	}
	json_object_put(summary);
	return sum;
}

#endif /* TESTS_GUESTS_H */
