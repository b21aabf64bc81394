// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at the running kernel's BTF, and asks KVM and the kernel which of the things
 * that the stock source lives on they have.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_bpf_lsm.h"
#include "gmem_source.h"

#define BTF_DIR		"/sys/kernel/btf"

/* Of KVM's interface, which the headers of a distribution may not know yet. */
#define KVM_HAS_EXTENSION	0xae03
#define HAS_GUEST_MEMFD		234
#define HAS_VM_TYPES		235
#define HAS_GUEST_MEMFD_FLAGS	244
/* Software-protected, SNP, TDX. */
#define PRIVATE_VM_TYPES	(1 << 1 | 1 << 4 | 1 << 5)
/* The host may map a guest_memfd, so that a VM of any type can live in one. */
#define MEMFD_MMAP		(1 << 0)

static const struct gmem_source native = {
	.kind = GMEM_SOURCE_NATIVE,
	.name = "native",
	.about = "gmem's hooks in KVM",
};

static char lacks[320] =
	"no private, stale, ranges, delays; gmem-dkms adds them";

static const struct gmem_source stock = {
	.kind = GMEM_SOURCE_STOCK,
	.name = "stock",
	.about = "BPF on KVM as it is",
	.lacks = lacks,
};

static const struct gmem_source *chosen;
static char problem[256];
static bool looked;

static bool has_hooks(const struct btf *btf)
{
	return btf__find_by_name_kind(btf, "kvm_gmem_ops", BTF_KIND_STRUCT) > 0;
}

/* 1: in the BTF of the module, 0: not there, or a negative errno: there is none. */
static int module_has_hooks(struct btf *vmlinux)
{
	struct btf *kvm;
	int found;

	if (access(BTF_DIR "/kvm", R_OK))
		return -ENOENT;
	kvm = btf__load_module_btf("kvm", vmlinux);
	if (!kvm)
		return -EINVAL;
	found = has_hooks(kvm);
	btf__free(kvm);
	return found;
}

static void add_lack(const char *what)
{
	size_t len = strlen(lacks);

	snprintf(lacks + len, sizeof(lacks) - len, "; %s", what);
}

static void ask_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), memfd, types, flags;

	/* Whoever may not ask is told of the rest. */
	if (kvm < 0)
		return;
	memfd = ioctl(kvm, KVM_HAS_EXTENSION, HAS_GUEST_MEMFD);
	types = ioctl(kvm, KVM_HAS_EXTENSION, HAS_VM_TYPES);
	flags = ioctl(kvm, KVM_HAS_EXTENSION, HAS_GUEST_MEMFD_FLAGS);
	close(kvm);
	if (types > 0 && types & PRIVATE_VM_TYPES)
		return;
	if (flags > 0 && flags & MEMFD_MMAP)
		add_lack("no memory is private, as KVM has no type of VM for it here; guest_memfds are shared");
	else if (memfd <= 0)
		add_lack("no memory is private, as KVM has no guest_memfd");
	else
		add_lack("no memory is private, as KVM has no type of VM for it here");
}

static const struct gmem_source *look(void)
{
	struct btf *vmlinux;
	bool has_kvm;
	int module;

	if (access(BTF_DIR "/vmlinux", R_OK)) {
		snprintf(problem, sizeof(problem),
			 "no BTF: cannot read " BTF_DIR "/vmlinux (%s); mount sysfs, or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
			 strerror(errno));
		return NULL;
	}
	vmlinux = btf__parse(BTF_DIR "/vmlinux", NULL);
	if (!vmlinux) {
		snprintf(problem, sizeof(problem),
			 "cannot use the BTF in " BTF_DIR "/vmlinux: %s; boot a kernel built with CONFIG_DEBUG_INFO_BTF=y",
			 strerror(errno));
		return NULL;
	}
	module = has_hooks(vmlinux) ? 1 : module_has_hooks(vmlinux);
	/* Debian's kernel has one, though its KVM is a module. */
	has_kvm = btf__find_by_name_kind(vmlinux, "kvm", BTF_KIND_STRUCT) > 0;
	btf__free(vmlinux);
	if (module > 0)
		return &native;

	/* The module directory exists for a built-in KVM, too. */
	if (module == -ENOENT && access("/sys/module/kvm", F_OK)) {
		snprintf(problem, sizeof(problem),
			 "KVM is not loaded; load it (modprobe kvm_amd or kvm_intel)");
		return NULL;
	}
	if (!has_kvm && module) {
		snprintf(problem, sizeof(problem),
			 "no gmem hooks, and no types of KVM in " BTF_DIR "; boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, or install gmem-dkms");
		return NULL;
	}
	ask_kvm();
	if (gmem_lsm_is_missing())
		add_lack("no policy can be attached, as bpf is not among the LSMs");
	return &stock;
}

static const struct gmem_source *find(void)
{
	if (!looked)
		chosen = look();
	looked = true;
	return chosen;
}

const struct gmem_source *gmem_source(void)
{
	const struct gmem_source *source = find();

	if (!source)
		gmem_err("%s", problem);
	return source;
}

bool gmem_source_is_stock(void)
{
	const struct gmem_source *source = find();

	return source && source->kind == GMEM_SOURCE_STOCK;
}

void gmem_source_print(FILE *out)
{
	const struct gmem_source *source = find();

	if (!source) {
		fprintf(out, "source: none: %s\n", problem);
		return;
	}
	fprintf(out, "source: %s: %s\n", source->name, source->about);
	if (source->lacks)
		fprintf(out, "%s\n", source->lacks);
}
