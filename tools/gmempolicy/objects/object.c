// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens, fills in, loads and attaches a policy through libbpf.  The file may be
 * anyone's: of what it holds, only the one struct kvm_gmem_ops and what that
 * needs is loaded, and no map is pinned on its say-so.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "gmem_bpf_lsm.h"
#include "gmem_lsm_policies.h"
#include "gmem_params.h"
#include "gmem_source.h"
#include "objects/explain.h"
#include "objects/object.h"
#include "objects/policies.h"

#define OPS_TYPE	"kvm_gmem_ops"
#define SETTINGS_TYPE	"gmem_lsm_settings"
/* A policy is some KiB; this keeps a wrong file from filling memory. */
#define FILE_MAX	(64 << 20)
/* The verifier tells the end of the story when there is not enough room. */
#define LOG_SIZE	(256 << 10)

const char *const object_hooks[OBJECT_HOOKS] = {
	"fault", "fault_end", "convert", "convert_end", "invalidate", "vm_init",
	"vm_exit", "file_ioctl", "file_ioctl_compat",
	"kvm_arch_post_set_memory_attributes", "kvm_range_has_memory_attributes",
	"sched_process_exit", "kvm_vm_release",
};

/* The programs of a policy of BPF's LSM, in the order of their links. */
static const struct {
	const char *hook;
	const char *name;
} lsm_progs[OBJECT_LINKS] = {
	{ "file_ioctl", GMEM_LSM_PROG },
	{ "file_ioctl_compat", GMEM_LSM_PROG_COMPAT },
	{ "kvm_arch_post_set_memory_attributes", GMEM_LSM_PROG_CHANGED },
	{ "kvm_range_has_memory_attributes", GMEM_LSM_PROG_NO_CHANGE },
	{ "sched_process_exit", GMEM_LSM_PROG_EXIT },
	{ "kvm_vm_release", GMEM_LSM_PROG_RELEASE },
};

const char *const object_link_suffixes[OBJECT_LINKS] = {
	"", "+compat", "+changed", "+same", "+exit", "+release",
};

/* @ops, of the type @ops_type, is a struct kvm_gmem_ops or, if @is_lsm, settings. */
struct object {
	char *shown;
	struct bpf_object *bpf;
	struct bpf_map *ops;
	int ops_type;
	bool is_lsm;
	bool elsewhere;
	struct params params;
	void *values;
	char *name;
	char *log;
};

/* ---------------------------------------------------------- what is in it */

static bool is_ops(const struct btf *btf, const struct bpf_map *map)
{
	const struct btf_type *type;

	if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
		return false;
	type = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	return type &&
	       !strcmp(btf__name_by_offset(btf, type->name_off), OPS_TYPE);
}

static bool is_settings(const struct btf *btf, const struct bpf_map *map,
			int *type)
{
	const struct gmem_lsm_settings *settings;
	size_t size;

	if (strcmp(bpf_map__name(map), GMEM_LSM_SETTINGS))
		return false;
	settings = bpf_map__initial_value(map, &size);
	*type = btf__find_by_name_kind(btf, SETTINGS_TYPE, BTF_KIND_STRUCT);
	return settings && size == sizeof(*settings) &&
	       settings->abi == GMEM_LSM_ABI && *type > 0;
}

static int find_ops(struct object *object)
{
	const struct btf *btf = bpf_object__btf(object->bpf);
	struct bpf_map *map;

	bpf_object__for_each_map(map, object->bpf) {
		/* Where a map is pinned is for the tool to say. */
		bpf_map__set_pin_path(map, NULL);
		if (btf && is_settings(btf, map, &object->ops_type)) {
			object->is_lsm = true;
			object->ops = map;
			break;
		}
		if (!btf || !is_ops(btf, map)) {
			if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
				bpf_map__set_autocreate(map, false);
			continue;
		}
		if (object->ops) {
			gmem_err("%s has two struct " OPS_TYPE ", %s and %s; make it one policy a file",
				 object->shown, bpf_map__name(object->ops),
				 bpf_map__name(map));
			return -EINVAL;
		}
		object->ops = map;
		object->ops_type = bpf_map__btf_value_type_id(map);
	}
	if (object->ops)
		return 0;
	gmem_err("%s has no struct " OPS_TYPE "; define one in SEC(\".struct_ops.link\")",
		 object->shown);
	return -EINVAL;
}

/* Of what the policy has no hook for, only the end of the program is left. */
#define INSNS_OF_NOTHING	2

static bool is_ours(const struct object *object, const struct bpf_program *prog)
{
	size_t i;

	if (!object->is_lsm)
		return bpf_program__type(prog) == BPF_PROG_TYPE_STRUCT_OPS;
	for (i = 0; i < OBJECT_LINKS; i++) {
		if (!strcmp(bpf_program__name(prog), lsm_progs[i].name))
			return bpf_program__insn_cnt(prog) > INSNS_OF_NOTHING;
	}
	return false;
}

/* Nothing would attach the others, and loading them may fail for no reason. */
static void leave_others_out(struct object *object)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, object->bpf) {
		if (!is_ours(object, prog))
			bpf_program__set_autoload(prog, false);
	}
}

static const struct btf_member *find_member(const struct object *object,
					    const char *name, size_t *offset,
					    int64_t *size)
{
	const struct btf *btf = bpf_object__btf(object->bpf);
	const struct btf_type *type = btf__type_by_id(btf, object->ops_type);
	const struct btf_member *m = btf_members(type);
	size_t room;
	int i;

	if (!bpf_map__initial_value(object->ops, &room))
		return NULL;
	for (i = 0; i < btf_vlen(type); i++, m++) {
		if (strcmp(btf__name_by_offset(btf, m->name_off), name))
			continue;
		*offset = btf_member_bit_offset(type, i) / 8;
		*size = btf__resolve_size(btf, m->type);
		if (*size < 0 || *offset + *size > room)
			return NULL;
		return m;
	}
	return NULL;
}

static char *ops_data(const struct object *object)
{
	size_t room;

	return bpf_map__initial_value(object->ops, &room);
}

/* The name is what pins and messages are made of: the kernel's rules hold. */
static int find_name(struct object *object)
{
	const char *text;
	size_t offset, i;
	int64_t size;

	if (!find_member(object, "name", &offset, &size))
		goto bad;
	text = ops_data(object) + offset;
	for (i = 0; i < (size_t)size && text[i]; i++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
			    text[i]))
			goto bad;
	}
	if (!i || i == (size_t)size)
		goto bad;
	object->name = strdup(text);
	return object->name ? 0 : -ENOMEM;
bad:
	gmem_err("the struct " OPS_TYPE " of %s has no name that can be used; set .name to letters, digits, '_', '-' and '.'",
		 object->shown);
	return -EINVAL;
}

static int check_defaults(const struct object *object)
{
	char range[256], text[PARAM_TEXT_SIZE];
	size_t i;

	for (i = 0; i < object->params.nr; i++) {
		const struct param *param = &object->params.params[i];
		uint64_t value = param_load(param, object->values);

		if (param_takes(param, value))
			continue;
		gmem_err("the default of the parameter '%s' of the policy %s is %s, which is not in its range, %s; mend the one or the other",
			 param->name, object->name,
			 param_format(param, value, text),
			 param_range(param, range, sizeof(range)));
		return -EINVAL;
	}
	return 0;
}

static int find_params(struct object *object)
{
	struct bpf_map *map;
	size_t room = 0;
	char *at = NULL;
	int err;

	err = params_read(&object->params, bpf_object__btf(object->bpf),
			  object->name);
	if (err || !object->params.size)
		return err;
	map = bpf_object__find_map_by_name(object->bpf, GMEM_PARAMS_SECTION);
	if (map)
		at = bpf_map__initial_value(map, &room);
	if (!at || object->params.offset > room ||
	    object->params.size > room - object->params.offset) {
		gmem_err("the parameters of %s are not in its section " GMEM_PARAMS_SECTION "; build it anew",
			 object->shown);
		return -EINVAL;
	}
	object->values = at + object->params.offset;
	return check_defaults(object);
}

/* ------------------------------------------------------------------- open */

static bool is_path(const char *what)
{
	size_t len = strlen(what);

	return strchr(what, '/') || (len > 2 && !strcmp(what + len - 2, ".o"));
}

static int check_file(const char *path)
{
	struct stat st;
	int err;

	if (stat(path, &st)) {
		err = -errno;
		gmem_err("cannot read '%s': %s; give a file.bpf.o or one of the policies that gmempolicy list shows",
			 path, strerror(-err));
		return err;
	}
	if (S_ISREG(st.st_mode) && st.st_size && st.st_size <= FILE_MAX)
		return 0;
	gmem_err("'%s' is no BPF object file; give one that clang made with -target bpf",
		 path);
	return -EINVAL;
}

static struct object *open_object(const char *shown, const void *elf,
				  size_t size, const char *path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct object *object = calloc(1, sizeof(*object));

	gmem_libbpf_forget();
	if (!object)
		goto no_memory;
	object->shown = strdup(shown);
	object->log = calloc(1, LOG_SIZE);
	if (!object->shown || !object->log)
		goto no_memory;
	opts.kernel_log_buf = object->log;
	opts.kernel_log_size = LOG_SIZE;
	if (elf) {
		opts.object_name = shown;
		object->bpf = bpf_object__open_mem(elf, size, &opts);
	} else {
		object->bpf = bpf_object__open_file(path, &opts);
	}
	if (!object->bpf) {
		explain_open(errno, object->shown);
		goto fail;
	}
	if (find_ops(object) || find_name(object) || find_params(object))
		goto fail;
	leave_others_out(object);
	return object;
no_memory:
	gmem_err("no memory for the policy; free some");
fail:
	object_close(object);
	return NULL;
}

struct object *object_open_elf(const char *name, const void *elf, size_t size)
{
	return open_object(name, elf, size, NULL);
}

static void not_here(const struct policy *policy)
{
	char all[256] = "";
	size_t i, size, len = 0;

	for (i = 0; i < nr_policies && len < sizeof(all); i++) {
		if (policy_elf(&policies[i], &size))
			len += snprintf(all + len, sizeof(all) - len, "%s%s",
					len ? ", " : "", policies[i].name);
	}
	gmem_err("the policy %s decides on faults, of which this kernel asks nobody; use one of %s, or install gmem-dkms",
		 policy->name, all);
}

struct object *object_open(const char *what)
{
	const struct policy *policy;
	const char *elf;
	size_t size;

	if (is_path(what))
		return check_file(what) ? NULL :
					  open_object(what, NULL, 0, what);
	policy = policy_find(what);
	elf = policy ? policy_elf(policy, &size) : NULL;
	if (elf)
		return object_open_elf(what, elf, size);
	if (policy) {
		not_here(policy);
		return NULL;
	}
	gmem_err("unknown policy '%s'; see gmempolicy list for those there are, or give a file.bpf.o",
		 what);
	return NULL;
}

struct object *object_open_to_show(const char *what)
{
	const struct policy *policy = is_path(what) ? NULL : policy_find(what);
	struct object *object;
	size_t size;

	if (!policy || policy_elf(policy, &size))
		return object_open(what);
	object = object_open_elf(what, policy->elf,
				 policy->elf_end - policy->elf);
	if (object)
		object->elsewhere = true;
	return object;
}

void object_close(struct object *object)
{
	if (!object)
		return;
	bpf_object__close(object->bpf);
	params_free(&object->params);
	free(object->name);
	free(object->shown);
	free(object->log);
	free(object);
}

/* ------------------------------------------------------------------- look */

const char *object_name(const struct object *object)
{
	return object->name;
}

bool object_is_lsm(const struct object *object)
{
	return object->is_lsm;
}

const char *object_not_enforced(const struct object *object)
{
	if (object->elsewhere)
		return "all of it: it decides on faults, of which this kernel asks nobody; gmem-dkms has what it needs";
	if (!object->is_lsm)
		return NULL;
	return "delays: what would be delayed is refused with EBUSY; faults: nobody is asked; priorities: the policy that was attached last is asked first; requests of a VMM that changes them while they are read";
}

const struct params *object_params(const struct object *object)
{
	return &object->params;
}

const void *object_values(const struct object *object)
{
	return object->values;
}

int object_map(const struct object *object)
{
	return bpf_map__fd(object->ops);
}

uint64_t object_member(const struct object *object, const char *member)
{
	uint64_t value = 0;
	size_t offset;
	int64_t size;

	if (find_member(object, member, &offset, &size) &&
	    size <= (int64_t)sizeof(value))
		memcpy(&value, ops_data(object) + offset, size);
	return value;
}

const struct bpf_program *object_hook(const struct object *object,
				      const char *hook)
{
	const struct bpf_program *prog;
	size_t offset, i;
	int64_t size;

	for (i = 0; i < OBJECT_LINKS && object->is_lsm; i++) {
		if (strcmp(hook, lsm_progs[i].hook))
			continue;
		prog = bpf_object__find_program_by_name(object->bpf,
							lsm_progs[i].name);
		return prog && bpf_program__autoload(prog) ? prog : NULL;
	}
	if (object->is_lsm || !find_member(object, hook, &offset, &size) ||
	    size != sizeof(prog))
		return NULL;
	/* Between open and load, libbpf keeps the program there. */
	memcpy(&prog, ops_data(object) + offset, sizeof(prog));
	return prog;
}

/* -------------------------------------------------------------------- set */

int object_set_member(struct object *object, const char *member,
		      uint64_t value)
{
	size_t offset;
	int64_t size;

	if (!find_member(object, member, &offset, &size) ||
	    (size != 4 && size != 8)) {
		gmem_err("struct " OPS_TYPE " of the policy %s has no number '%s'; build it against this kernel",
			 object->name, member);
		return -EINVAL;
	}
	memcpy(ops_data(object) + offset, &value, size);
	return 0;
}

int object_set(struct object *object, const char *assignment)
{
	return params_assign(&object->params, object->values, assignment,
			     object->name);
}

/* ------------------------------------------------------------------- load */

int object_try_load(struct object *object)
{
	return bpf_object__load(object->bpf);
}

const char *object_log(const struct object *object)
{
	return object->log;
}

/* It would be loaded, and never asked. */
static int check_source(const struct object *object)
{
	if (object->is_lsm && !gmem_source_is_stock()) {
		gmem_err("%s is for kernels without gmem's hooks, and this one has them; build it without -DGMEM_LSM",
			 object->shown);
		return -EINVAL;
	}
	if (!object->is_lsm && gmem_source_is_stock()) {
		gmem_err("%s is for gmem's hooks, which this kernel does not have; attach one of those that gmempolicy list shows, or install gmem-dkms",
			 object->shown);
		return -EINVAL;
	}
	return object->is_lsm && gmem_lsm_check() ? -EOPNOTSUPP : 0;
}

int object_load(struct object *object)
{
	int err = check_source(object);

	if (err)
		return err;
	err = object_try_load(object);
	if (err)
		explain_load(err, object->shown, object->log);
	return err;
}

/* Keep the descriptor, free what libbpf has around it. */
static int take_link(struct bpf_link *link)
{
	int fd;

	if (!link)
		return -errno;
	fd = bpf_link__fd(link);
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	return fd;
}

/* The one that decides comes last: until then nothing has happened. */
static int attach_lsm(const struct object *object, struct links *links)
{
	struct bpf_program *prog;
	int i;

	for (i = OBJECT_LINKS - 1; i >= 0; i--) {
		prog = bpf_object__find_program_by_name(object->bpf,
							lsm_progs[i].name);
		if (!prog)
			return -EINVAL;
		if (!bpf_program__autoload(prog))
			continue;
		links->fds[i] = take_link(bpf_program__attach(prog));
		if (links->fds[i] < 0)
			return links->fds[i];
	}
	return 0;
}

int object_attach(struct object *object, struct links *links)
{
	int err = 0;

	*links = NO_LINKS;
	if (object->is_lsm) {
		err = attach_lsm(object, links);
		if (err)
			links_close(links);
		return err;
	}
	err = take_link(bpf_map__attach_struct_ops(object->ops));
	if (err < 0)
		return err;
	links->fds[0] = err;
	return 0;
}

void links_close(struct links *links)
{
	size_t i;

	for (i = 0; i < OBJECT_LINKS; i++) {
		if (links->fds[i] >= 0)
			close(links->fds[i]);
	}
	*links = NO_LINKS;
}
