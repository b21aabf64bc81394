// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the gmem tools ask of the running kernel before they start, and how
 * they report what libbpf could not do.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_kernel.h"
#include "gmem_source.h"

#define BTF_DIR		"/sys/kernel/btf"
#define POLICIES_SWITCH	"/sys/module/kvm/parameters/gmem_policies"
#define HUGE_MODE	"/sys/module/kvm/parameters/gmem_huge_pages"
/* There with CONFIG_TRANSPARENT_HUGEPAGE, whose code splits folios. */
#define THP_DIR		"/sys/kernel/mm/transparent_hugepage"

#ifndef CAP_PERFMON
#define CAP_PERFMON	38
#endif
#ifndef CAP_BPF
#define CAP_BPF		39
#endif

static bool libbpf_debug;
static char libbpf_warning[256];

int gmem_check_kernel(void)
{
	const struct gmem_source *source = gmem_source();

	if (!source)
		return -1;
	if (source->kind == GMEM_SOURCE_NATIVE)
		return 0;
	gmem_err("this kernel has no gmem hooks (no struct kvm_gmem_ops in its BTF); boot a kernel built with CONFIG_KVM_GMEM_BPF=y, or install gmem-dkms");
	return -1;
}

/* Before anything is loaded: what libbpf says of it names no cause. */
static int check_confined(void)
{
	char why[GMEM_CONFINED_LEN];

	if (!gmem_confined(0, why, sizeof(why)))
		return 0;
	gmem_err("no BPF: %s", why);
	return -1;
}

int gmem_check_privilege(void)
{
	if (!gmem_has_cap(CAP_SYS_ADMIN)) {
		gmem_err("no privilege: CAP_SYS_ADMIN missing, which KVM asks for before it shows the guests of others or lets them be governed; run it as root, or grant CAP_SYS_ADMIN");
		return -1;
	}
	if (!gmem_in_initial_user_ns()) {
		gmem_err("no privilege: this is a user namespace of its own, and KVM asks for CAP_SYS_ADMIN in the initial one; run it as root of the host, outside of the container");
		return -1;
	}
	return check_confined();
}

bool gmem_may_list(void)
{
	return gmem_has_cap(CAP_SYS_ADMIN) && gmem_in_initial_user_ns();
}

int gmem_check_load(void)
{
	bool bpf, perfmon;

	if (gmem_has_cap(CAP_SYS_ADMIN))
		return check_confined();

	bpf = gmem_has_cap(CAP_BPF);
	perfmon = gmem_has_cap(CAP_PERFMON);
	if (!bpf || !perfmon) {
		gmem_err("no privilege: %s%s%s missing; run it as root, or grant CAP_BPF and CAP_PERFMON",
			 bpf ? "" : "CAP_BPF", bpf || perfmon ? "" : " and ",
			 perfmon ? "" : "CAP_PERFMON");
		return -1;
	}
	if (!access(BTF_DIR "/kvm", F_OK)) {
		gmem_err("no privilege: CAP_SYS_ADMIN missing, which BPF asks for when KVM is a module; run it as root");
		return -1;
	}
	return check_confined();
}

static int on_libbpf_message(enum libbpf_print_level level, const char *fmt,
			     va_list ap)
{
	size_t len;

	if (libbpf_debug)
		return vfprintf(stderr, fmt, ap);
	if (level != LIBBPF_WARN || libbpf_warning[0])
		return 0;

	/* The first warning names the cause, the later ones what followed. */
	vsnprintf(libbpf_warning, sizeof(libbpf_warning), fmt, ap);
	len = strcspn(libbpf_warning, "\n");
	libbpf_warning[len] = '\0';
	return 0;
}

void gmem_libbpf_quiet(bool debug)
{
	libbpf_debug = debug;
	libbpf_set_print(on_libbpf_message);
}

const char *gmem_libbpf_warning(void)
{
	return libbpf_warning;
}

void gmem_libbpf_forget(void)
{
	libbpf_warning[0] = '\0';
}

static const char *remedy(int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return "nothing that confines this process explains it; look at the end of dmesg, and run it again with --debug for libbpf's messages";
	case ENOMEM:
		return "free memory or raise the memory limit of this cgroup";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files";
	default:
		return "run it again with --debug for libbpf's messages";
	}
}

void gmem_err_bpf(int err, const char *fmt, ...)
{
	char what[256], why[GMEM_CONFINED_LEN];
	va_list ap;

	if (err < 0)
		err = -err;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* libbpf knows what failed, but not why it was refused. */
	if (gmem_confined(err, why, sizeof(why)))
		gmem_err("%s: %s: %s", what, strerror(err), why);
	else
		gmem_err("%s: %s%s%s%s; %s", what, strerror(err),
			 libbpf_warning[0] ? " (" : "", libbpf_warning,
			 libbpf_warning[0] ? ")" : "", remedy(err));
	libbpf_warning[0] = '\0';
}

int gmem_policies_enabled(void)
{
	FILE *f = fopen(POLICIES_SWITCH, "re");
	int c;

	if (!f)
		return -errno;
	c = fgetc(f);
	fclose(f);
	if (c == 'Y' || c == '1')
		return 1;
	if (c == 'N' || c == '0')
		return 0;
	return -EINVAL;
}

const char *gmem_huge_off(char mode[GMEM_HUGE_MODE_LEN])
{
	FILE *f = fopen(HUGE_MODE, "re");
	int err = f ? 0 : errno;

	*mode = '\0';
	/* To ask for the source may change errno. */
	if (err == ENOENT && gmem_source_is_stock())
		return "this kernel's KVM is without gmem";
	if (err == ENOENT)
		return access(THP_DIR, F_OK) && errno == ENOENT ?
		       "the kernel has no CONFIG_TRANSPARENT_HUGEPAGE" :
		       "KVM was built without CONFIG_KVM_GMEM_HUGE";
	if (err)
		return NULL;
	if (fgets(mode, GMEM_HUGE_MODE_LEN, f))
		mode[strcspn(mode, "\n")] = '\0';
	fclose(f);
	return strcmp(mode, "never") ? NULL : "kvm.gmem_huge_pages is never";
}
