// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds out what confines this process.  Each question is put to who decides:
 * the kernel's bpf(2), SELinux's own table, the options /proc is mounted with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <mntent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_confined.h"

#define USER_NS		"/proc/self/ns/user"
/* The inode of the initial user namespace: the kernel's PROC_USER_INIT_INO. */
#define USER_NS_INITIAL	0xeffffffdU
#define SELINUX		"/sys/fs/selinux/"
#define SELINUX_CLASS	SELINUX "class/"
#define SELF_CONTEXT	"/proc/self/attr/current"
/* A command of bpf(2) that no kernel has.  In newer ones the high bits are flags. */
#define BPF_NO_COMMAND	0xffff
/* The kernel's AVD_FLAGS_PERMISSIVE. */
#define AVD_PERMISSIVE	1

bool gmem_has_cap(int cap)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return !syscall(SYS_capget, &hdr, data) &&
	       data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

bool gmem_in_initial_user_ns(void)
{
	struct stat st;

	return stat(USER_NS, &st) || st.st_ino == USER_NS_INITIAL;
}

int gmem_bpf_filtered(void)
{
	union bpf_attr attr = {};

	if (syscall(SYS_bpf, BPF_NO_COMMAND, &attr, sizeof(attr)) >= 0 ||
	    errno == EINVAL)
		return 0;
	return errno;
}

/* The first line of a file, without its end; -errno. */
static int read_line(const char *path, char *dst, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, dst, size - 1);
	err = n < 0 ? -errno : 0;
	close(fd);
	if (err)
		return err;
	dst[n] = '\0';
	dst[strcspn(dst, "\n")] = '\0';
	return 0;
}

/* ----------------------------------------------------------------- SELinux */

static int read_number(const char *path, unsigned long *value)
{
	char line[32], *end;
	int err = read_line(path, line, sizeof(line));

	if (err)
		return err;
	*value = strtoul(line, &end, 10);
	return end == line || *end ? -EINVAL : 0;
}

/* What a domain may do to itself in a class; all if the policy leaves it open. */
static int allowed(const char *domain, const char *class, uint32_t *mask,
		   bool *known)
{
	unsigned int flags, seqno, ignored[3];
	char path[128], text[512];
	unsigned long index;
	int fd, err = 0;
	ssize_t n;

	*known = false;
	snprintf(path, sizeof(path), SELINUX_CLASS "%s/index", class);
	err = read_number(path, &index);
	if (err == -ENOENT) {
		/* What the policy does not know, it denies as a whole or not. */
		if (!read_number(SELINUX "deny_unknown", &index) && index)
			*mask = 0;
		else
			*mask = ~0U;
		return 0;
	}
	if (err)
		return err;
	fd = open(SELINUX "access", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%s %s %lu", domain, domain, index);
	if (n >= (ssize_t)sizeof(text))
		err = -EINVAL;
	else if (write(fd, text, n) < 0)
		err = -errno;
	/* The answer to what was written is what is read. */
	n = err ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	if (!err && n <= 0)
		err = n ? -errno : -EINVAL;
	close(fd);
	if (err)
		return err;
	text[n] = '\0';
	if (sscanf(text, "%x %x %x %x %u %x", mask, &ignored[0], &ignored[1],
		   &ignored[2], &seqno, &flags) != 6)
		return -EINVAL;
	if (flags & AVD_PERMISSIVE)
		*mask = ~0U;
	*known = true;
	return 0;
}

/* The bit of a permission; 0 if the policy does not know it and lets it pass. */
static uint32_t bit_of(const char *class, const char *perm)
{
	unsigned long number;
	char path[128];

	snprintf(path, sizeof(path), SELINUX_CLASS "%s/perms/%s", class, perm);
	if (read_number(path, &number) || !number || number > 32)
		return 0;
	return 1U << (number - 1);
}

int gmem_selinux_refuses(char *dst, size_t size, char *domain,
			 size_t domain_size)
{
	/* CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, here too. */
	static const struct {
		const char *class;
		const char *perms[6];
	} wanted[] = {
		{ "capability", { "sys_admin" } },
		{ "bpf", { "map_create", "map_read", "map_write", "prog_load",
			   "prog_run" } },
	};
	unsigned long enforcing;
	size_t i, p, len = 0;

	if (read_number(SELINUX "enforce", &enforcing) || !enforcing ||
	    read_line(SELF_CONTEXT, domain, domain_size))
		return 0;
	dst[0] = '\0';
	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		const char *class = wanted[i].class;
		uint32_t mask;
		int first = 1;
		bool known;

		if (allowed(domain, class, &mask, &known))
			return -EACCES;
		for (p = 0; wanted[i].perms[p] && len < size; p++) {
			const char *perm = wanted[i].perms[p];
			uint32_t bit = known ? bit_of(class, perm) : ~0U;

			if (!bit || mask & bit)
				continue;
			if (first)
				len += snprintf(dst + len, size - len, "%s%s {",
						len ? ", " : "", class);
			first = 0;
			if (len < size)
				len += snprintf(dst + len, size - len, " %s",
						perm);
		}
		if (!first && len < size)
			len += snprintf(dst + len, size - len, " }");
	}
	return len > 0;
}

const char *gmem_confined(int err, char *dst, size_t size)
{
	char perms[160], domain[128];
	int filter;

	filter = gmem_bpf_filtered();
	if (filter) {
		/* Some filters answer with the errno of a kernel without it. */
		snprintf(dst, size,
			 prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2 ?
			 "a seccomp filter answers bpf(2) with %s; run it outside of the container, or under a seccomp profile that allows bpf(2)" :
			 "the kernel answers every bpf(2) with %s; boot one built with CONFIG_BPF_SYSCALL=y",
			 strerror(filter));
		return dst;
	}
	if (err != EPERM && err != EACCES)
		return NULL;
	if (!gmem_in_initial_user_ns()) {
		snprintf(dst, size,
			 "this is a user namespace of its own, whose capabilities do not count here; run it as root of the host, outside of the container");
		return dst;
	}
	switch (gmem_selinux_refuses(perms, sizeof(perms), domain,
				     sizeof(domain))) {
	case 0:
		return NULL;
	case 1:
		snprintf(dst, size,
			 "SELinux refuses the domain %s %s; allow that in its policy, or run it in a domain that has it",
			 domain, perms);
		return dst;
	default:
		snprintf(dst, size,
			 "SELinux is enforcing and does not tell the domain %s what it may do; ausearch -m avc shows what it refused",
			 domain);
		return dst;
	}
}

/* The profile of whichever security module labels processes. */
static bool has_profile(char *dst, size_t size)
{
	unsigned long enforcing;

	if (!read_number(SELINUX "enforce", &enforcing) && !enforcing)
		return false;
	return !read_line(SELF_CONTEXT, dst, size) && dst[0] &&
	       strcmp(dst, "unconfined");
}

const char *gmem_file_remedy(int err, char *dst, size_t size)
{
	char profile[128];

	if (err == EROFS)
		snprintf(dst, size,
			 "it is mounted read-only; mount it writable, or run it outside of the container");
	else if (err != EACCES && err != EPERM)
		snprintf(dst, size, "look at the file system there");
	else if (geteuid())
		snprintf(dst, size, "run it as root");
	else if (!gmem_has_cap(CAP_DAC_OVERRIDE))
		snprintf(dst, size,
			 "root has no CAP_DAC_OVERRIDE here; grant it, or give it to root with chown");
	else if (has_profile(profile, sizeof(profile)))
		snprintf(dst, size,
			 "the security module's profile '%s' confines this process; allow it there",
			 profile);
	else
		snprintf(dst, size,
			 "run it as root of the host, outside of the container");
	return dst;
}

/* ------------------------------------------------------------------- /proc */

static bool in_group(gid_t gid)
{
	gid_t *groups;
	int i, nr;
	bool found = getegid() == gid;

	nr = getgroups(0, NULL);
	groups = nr > 0 ? calloc(nr, sizeof(*groups)) : NULL;
	if (groups)
		nr = getgroups(nr, groups);
	for (i = 0; groups && i < nr; i++)
		found |= groups[i] == gid;
	free(groups);
	return found;
}

/* The options of what is mounted on /proc last, which is what is seen. */
static bool proc_options(char *dst, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	bool found = false;

	while (f && (entry = getmntent(f))) {
		if (strcmp(entry->mnt_dir, "/proc") ||
		    strcmp(entry->mnt_type, "proc"))
			continue;
		snprintf(dst, size, "%s", entry->mnt_opts);
		found = true;
	}
	if (f)
		endmntent(f);
	return found;
}

const char *gmem_proc_hides(char *dst, size_t size)
{
	char options[512], mode[32] = "";
	unsigned int gid = 0;
	char *word, *save;

	if (gmem_has_cap(CAP_SYS_PTRACE) ||
	    !proc_options(options, sizeof(options)))
		return NULL;
	for (word = strtok_r(options, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		if (sscanf(word, "gid=%u", &gid) == 1)
			continue;
		sscanf(word, "hidepid=%31s", mode);
	}
	if (!mode[0] || !strcmp(mode, "0") || !strcmp(mode, "off"))
		return NULL;
	/* The group may see all, but where one has to be able to trace. */
	if (strcmp(mode, "ptraceable") && strcmp(mode, "4") && in_group(gid))
		return NULL;
	snprintf(dst, size,
		 "/proc is mounted with hidepid=%s, which hides the processes of others; grant CAP_SYS_PTRACE%s",
		 mode, strcmp(mode, "ptraceable") && strcmp(mode, "4") ?
		 ", or run it in the group that /proc's option gid= names" :
		 ", or mount it with hidepid=invisible and gid=");
	return dst;
}
