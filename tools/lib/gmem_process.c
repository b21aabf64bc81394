// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads /proc/PID.  What stands there was chosen by whoever runs the process,
 * so nothing of it is trusted to be short, printable or of the right form.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_process.h"

/* A command line is grown to; the options that name a VM come early. */
#define ARGS_FIRST	16384
#define ARGS_MAX	(4 << 20)
/* The inode of the initial cgroup namespace: the kernel's PROC_CGROUP_INIT_INO. */
#define CGROUP_NS_INITIAL	0xeffffffbU

/* ------------------------------------------------------------------- names */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The words of a command line. */
struct words {
	const char *at;
	const char *end;
};

static const char *next_word(struct words *words)
{
	const char *word = words->at;

	if (word >= words->end)
		return NULL;
	words->at += strlen(word) + 1;
	return word;
}

/*
 * The next value of option @name, "-x" or "--x", whether it has a word of its own
 * or not.  One that is known with a dash may have two.
 */
static const char *next_value(struct words *words, const char *name)
{
	size_t n = strlen(name);
	const char *word;

	while ((word = next_word(words))) {
		if (name[1] != '-' && !strncmp(word, "--", 2))
			word++;
		if (!strncmp(word, name, n) && word[n] == '=')
			return word + n + 1;
		if (!strcmp(word, name))
			return next_word(words);
	}
	return NULL;
}

static int copy(char *dst, size_t size, const char *src, size_t len)
{
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(dst, src, len);
	dst[len] = '\0';
	return 0;
}

/*
 * QEMU's "guest=NAME,debug-threads=on" or "NAME,..."; ",," is a comma.  What
 * comes last counts.
 */
static int qemu_name(const char *value, char *dst, size_t size)
{
	const char *start = value;
	size_t key, len = 0;
	bool is_guest;

	while (*value) {
		key = strcspn(value, "=,");
		is_guest = value[key] == '=' ? !strncmp(value, "guest=", 6) :
					       value == start;
		if (value[key] == '=')
			value += key + 1;
		if (is_guest)
			len = 0;
		for (; *value; value++) {
			if (*value == ',' && *++value != ',')
				break;
			if (is_guest && len + 1 >= size)
				return -ENAMETOOLONG;
			if (is_guest)
				dst[len++] = *value;
		}
		if (is_guest)
			dst[len] = '\0';
	}
	return 0;
}

/* Is it made of nothing but words that any monitor's socket may be called? */
static bool is_generic(const char *name, size_t len)
{
	static const char *const generic[] = {
		"api", "admin", "ch", "channel", "clh", "cloud", "control",
		"cros", "crosvm", "ctl", "dbs", "dragonball", "event", "events",
		"fc", "firecracker", "guest", "hypervisor", "instance", "kata",
		"kvm", "krun", "krunkit", "krunvm", "libkrun", "lkvm", "machine",
		"main", "mon", "monitor", "qemu", "qmp", "rest", "restful",
		"rpc", "sandbox", "server", "shim", "sock", "socket",
		"stratovirt", "unix", "uri", "v1", "vm", "vmm",
	};
	size_t i, n;

	while (len) {
		n = 0;
		while (n < len && !strchr("-_.", name[n]))
			n++;
		for (i = 0; n && i < ARRAY_LEN(generic); i++)
			if (strlen(generic[i]) == n &&
			    !strncasecmp(generic[i], name, n))
				break;
		if (i == ARRAY_LEN(generic))
			return false;
		n += n < len;
		name += n;
		len -= n;
	}
	return true;
}

/* Is it a directory that says nothing of a VM? */
static bool is_common(const char *name, size_t len)
{
	static const char *const common[] = {
		".", "..", "data", "home", "jailer", "lib", "libvirt", "opt",
		"private", "root", "run", "runtime", "sandboxes", "shared",
		"sockets", "srv", "state", "tmp", "usr", "var", "vc", "vms",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(common); i++)
		if (strlen(common[i]) == len && !strncmp(common[i], name, len))
			return true;
	return is_generic(name, len);
}

/* Takes the last name of a path, below its @len bytes; returns where it begins. */
static size_t last_name(const char *path, size_t *len)
{
	size_t start;

	while (*len && path[*len - 1] == '/')
		(*len)--;
	for (start = *len; start && path[start - 1] != '/'; start--)
		;
	return start;
}

/*
 * A socket that is called "web.sock" is the VM web's.  One that is called
 * "api.sock" is that of the VM that its directory is called by.
 */
static int path_name(const char *path, size_t len, char *dst, size_t size)
{
	static const char *const endings[] = {
		".sock", ".socket", "-socket", "_socket", ".ctl",
	};
	size_t start = last_name(path, &len), n = len - start, i;

	for (i = 0; i < ARRAY_LEN(endings); i++) {
		size_t ending = strlen(endings[i]);

		if (n > ending && !strncmp(path + start + n - ending,
					   endings[i], ending))
			n -= ending;
	}
	if (!is_generic(path + start, n))
		return copy(dst, size, path + start, n);
	while (start) {
		len = start;
		start = last_name(path, &len);
		if (len > start && !is_common(path + start, len - start))
			return copy(dst, size, path + start, len - start);
	}
	return 0;
}

/*
 * "path=/run/ch/web.sock", "unix:/run/web.sock,server" or the path alone.  "fd=20"
 * is a socket that the monitor was given open, and has no name.
 */
static int socket_name(const char *value, char *dst, size_t size)
{
	static const char *const before[] = { "path=", "unix:" };
	size_t i, len = strlen(value);

	if (!strncmp(value, "fd=", 3) || !strncmp(value, "tcp:", 4))
		return 0;
	for (i = 0; i < ARRAY_LEN(before); i++)
		if (!strncmp(value, before[i], strlen(before[i]))) {
			value += strlen(before[i]);
			len = strcspn(value, ",");
			break;
		}
	return path_name(value, len, dst, size);
}

/* What libvirt calls the pipe that it reads a monitor's events from. */
static int fifo_name(const char *value, char *dst, size_t size)
{
	static const char ending[] = "-event-monitor-fifo";
	size_t len;

	size_t start, n = sizeof(ending) - 1;

	if (strncmp(value, "path=", 5))
		return 0;
	value += 5;
	len = strcspn(value, ",");
	start = last_name(value, &len);
	if (len - start <= n || strncmp(value + len - n, ending, n))
		return 0;
	return copy(dst, size, value + start, len - n - start);
}

static int plain_name(const char *value, char *dst, size_t size)
{
	return copy(dst, size, value, strlen(value));
}

/* What Firecracker calls a VM that nobody gave an id. */
static int firecracker_id(const char *value, char *dst, size_t size)
{
	if (!strcmp(value, "anonymous-instance"))
		return 0;
	return plain_name(value, dst, size);
}

/* "krunvm start --cpus 2 NAME": the first word that is no option's. */
static int krunvm_name(struct words words, char *dst, size_t size)
{
	static const char *const flags[] = { "-v", "-d", "-h" };
	const char *word;
	size_t i;

	while ((word = next_word(&words)) && strcmp(word, "start"))
		;
	while (word && (word = next_word(&words))) {
		if (word[0] != '-')
			return plain_name(word, dst, size);
		for (i = 0; i < ARRAY_LEN(flags); i++)
			if (!strcmp(word, flags[i]))
				break;
		if (i == ARRAY_LEN(flags) && !strchr(word, '='))
			next_word(&words);
	}
	return 0;
}

/* A program whose name has the word, and its options, the best first. */
static const struct monitor {
	const char *word;
	struct {
		const char *option;
		int (*read)(const char *value, char *dst, size_t size);
	} options[4];
} monitors[] = {
	{ "qemu", { { "-name", qemu_name } } },
	{ "stratovirt", { { "-name", qemu_name }, { "-qmp", socket_name },
			  { "-api-channel", socket_name } } },
	{ "cloud-hypervisor", { { "--api-socket", socket_name },
				{ "--event-monitor", fifo_name } } },
	{ "clh", { { "--api-socket", socket_name },
		   { "--event-monitor", fifo_name } } },
	{ "firecracker", { { "--id", firecracker_id },
			   { "--api-sock", socket_name } } },
	{ "crosvm", { { "--name", plain_name }, { "--socket", socket_name },
		      { "-s", socket_name } } },
	/* Dragonball is a part of it. */
	{ "containerd-shim-kata", { { "-id", plain_name } } },
	{ "dragonball", { { "--id", plain_name },
			  { "--api-sock-path", socket_name },
			  { "--api-sock", socket_name } } },
	{ "dbs-cli", { { "--id", plain_name },
		       { "--api-sock-path", socket_name } } },
	{ "krunkit", { { "--restful-uri", socket_name } } },
	{ "krunvm", { } },
	{ "lkvm", { { "--name", plain_name }, { "-n", plain_name } } },
	{ "kvmtool", { { "--name", plain_name }, { "-n", plain_name } } },
};

static const struct monitor *find_monitor(const char *program)
{
	size_t i;

	if (!program)
		return NULL;
	program = base_name(program);
	if (!strcmp(program, "kvm") || !strcmp(program, "kvm-spice"))
		return &monitors[0];
	for (i = 0; i < ARRAY_LEN(monitors); i++) {
		/* A process's own name has 15 characters. */
		if (strstr(program, monitors[i].word) ||
		    (strlen(program) == 15 &&
		     !strncmp(program, monitors[i].word, 15)))
			return &monitors[i];
	}
	return NULL;
}

/* "ld-linux-x86-64.so.2 /usr/bin/qemu-system-x86_64 ..." is what it loads. */
static const struct monitor *find_loaded(struct words *words)
{
	const char *word;

	while ((word = next_word(words)))
		if (find_monitor(word))
			return find_monitor(word);
	return NULL;
}

static const struct monitor *whose_words(struct words *words, const char *comm)
{
	const char *program = next_word(words);
	const struct monitor *monitor = find_monitor(program);

	if (monitor)
		return monitor;
	if (!strncmp(base_name(program), "ld-", 3) ||
	    !strncmp(base_name(program), "ld.so", 5))
		return find_loaded(words);
	/* Called by another name, as a wrapper does. */
	return find_monitor(comm);
}

int process_vm_name(const char *args, size_t len, const char *comm, char *dst,
		    size_t size)
{
	struct words words = { args, args + len }, rest;
	const struct monitor *monitor;
	char raw[PROCESS_NAME_LEN] = "";
	const char *value;
	int err = 0;
	size_t i;

	*dst = '\0';
	if (!len || args[len])
		return 0;
	monitor = whose_words(&words, comm);
	if (!monitor)
		return 0;
	if (!strcmp(monitor->word, "krunvm"))
		err = krunvm_name(words, raw, sizeof(raw));
	for (i = 0; i < ARRAY_LEN(monitor->options); i++) {
		if (!monitor->options[i].option || raw[0] || err)
			break;
		/* Given twice, the last one that says it counts. */
		rest = words;
		while (!err && (value = next_value(&rest,
						   monitor->options[i].option)))
			err = monitor->options[i].read(value, raw, sizeof(raw));
	}
	if (!err && strlen(raw) >= size)
		err = -ENAMETOOLONG;
	if (!err)
		gmem_clean(dst, size, raw);
	return err;
}

/* ------------------------------------------------------------------- /proc */

/* Reads a whole file, which ends with a NUL here; NULL with errno set. */
static char *read_file(int dir, const char *file, size_t max, size_t *len)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), err = 0;
	size_t room = ARGS_FIRST;
	char *text, *more;
	ssize_t r = 1;

	if (fd < 0)
		return NULL;
	text = malloc(room);
	*len = 0;
	while (text && r && *len < max) {
		if (*len + 1 == room) {
			room *= 4;
			more = realloc(text, room);
			if (!more)
				break;
			text = more;
		}
		r = read(fd, text + *len, room - 1 - *len);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			err = errno;
			break;
		}
		*len += r;
	}
	close(fd);
	if (!text)
		err = ENOMEM;
	if (!err) {
		text[*len] = '\0';
		return text;
	}
	free(text);
	errno = err;
	return NULL;
}

/*
 * A process that looks through a /proc of another PID namespace has a number in
 * each of the namespaces from that one to its own there: more than one.
 */
static bool is_own(int proc)
{
	const char *line;
	size_t len, nr = 0;
	char *text;

	text = read_file(proc, "self/status", ARGS_FIRST, &len);
	line = text ? strstr(text, "\nNSpid:") : NULL;
	if (line)
		line += strlen("\nNSpid:");
	while (line && *line != '\n' && *line) {
		line += strspn(line, " \t");
		nr += isdigit(*line) != 0;
		line += strcspn(line, " \t\n");
	}
	free(text);
	/* Without namespaces there is no such line, and nothing to tell apart. */
	return nr == 1 || (text && !nr);
}

/* Looked at once: what is mounted over it later is not what was checked. */
static int open_proc(void)
{
	static int proc = -ENOENT;
	struct statfs fs;
	int fd;

	if (proc != -ENOENT)
		return proc;
	fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC && is_own(fd)) {
		proc = fd;
		return proc;
	}
	close(fd);
	return -EXDEV;
}

/* The 22nd field; the second one may have blanks and brackets in it. */
static int read_start(int dir, uint64_t *ticks)
{
	char *text, *at, *end;
	int field, err = -EPROTO;
	size_t len;

	text = read_file(dir, "stat", ARGS_FIRST, &len);
	if (!text)
		return -errno;
	at = strrchr(text, ')');
	for (field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at) {
		*ticks = strtoull(at + 1, &end, 10);
		err = end > at + 1 ? 0 : -EPROTO;
	}
	free(text);
	return err;
}

int process_open(uint32_t pid, uint64_t start_ns)
{
	int proc = open_proc(), dir, err;
	uint64_t ticks = 0;
	char name[16];

	if (proc < 0)
		return proc;
	snprintf(name, sizeof(name), "%u", pid);
	dir = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	err = read_start(dir, &ticks);
	if (!err && ticks != start_ns / (1000000000 / sysconf(_SC_CLK_TCK)))
		err = -ESRCH;
	if (!err)
		return dir;
	close(dir);
	return err;
}

int process_name(int dir, char *dst, size_t size)
{
	size_t args_len = 0, comm_len;
	char *args, *comm;
	int err;

	*dst = '\0';
	comm = read_file(dir, "comm", ARGS_FIRST, &comm_len);
	if (!comm)
		return -errno;
	/* A name may hold a newline; the last one is the file's. */
	if (comm_len && comm[comm_len - 1] == '\n')
		comm[comm_len - 1] = '\0';
	args = read_file(dir, "cmdline", ARGS_MAX, &args_len);
	err = args ? process_vm_name(args, args_len, comm, dst, size) : -errno;
	if (!err && !*dst)
		gmem_clean(dst, size, comm);
	free(args);
	free(comm);
	return !err && !*dst ? -ENOENT : err;
}

/* Has the list of controllers, "cpu,memory", this one? */
static bool has_memory(const char *list, size_t len)
{
	size_t n;

	for (; len; list += n, len -= n) {
		for (n = 0; n < len && list[n] != ','; n++)
			;
		if (n == 6 && !strncmp(list, "memory", 6))
			return true;
		n += n < len;
	}
	return false;
}

/* Version 2 stands there without a controller. */
static bool has_none(const char *list, size_t len)
{
	return !len;
}

static int find_cgroup(int dir, bool (*is_wanted)(const char *list, size_t len),
		       char *dst, size_t size)
{
	char *text, *line, *save, *list, *path;
	int err = -ENOENT;
	size_t len;

	text = read_file(dir, "cgroup", ARGS_MAX, &len);
	if (!text)
		return -errno;
	/* "4:cpu,memory:/machine.slice" */
	for (line = strtok_r(text, "\n", &save); line && err == -ENOENT;
	     line = strtok_r(NULL, "\n", &save)) {
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (path && is_wanted(list + 1, path - list - 1))
			err = copy(dst, size, path + 1, strlen(path + 1));
	}
	free(text);
	return err;
}

int process_cgroup(int dir, char *dst, size_t size)
{
	return find_cgroup(dir, has_memory, dst, size);
}

int process_cgroup2(int dir, char *dst, size_t size)
{
	return find_cgroup(dir, has_none, dst, size);
}

bool process_in_initial_cgroup_ns(void)
{
	struct stat st;

	/* Without such namespaces there is only one. */
	return stat("/proc/self/ns/cgroup", &st) ? errno == ENOENT :
						   st.st_ino == CGROUP_NS_INITIAL;
}
