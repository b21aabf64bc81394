// SPDX-License-Identifier: GPL-2.0-only
/*
 * The value of such a map is a struct bpf_struct_ops_kvm_gmem_ops: a head of
 * the kernel's own and the struct kvm_gmem_ops.  Where a pointer to a function
 * is, userspace writes the descriptor of a program and reads its id.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attached/ops.h"
#include "gmem_clock.h"
#include "gmem_lsm_policies.h"
#include "objects/object.h"

/* BPF_STRUCT_OPS of enum bpf_attach_type, which the system's headers may lack. */
#define ATTACH_STRUCT_OPS	44
#define EXPIRES		"expires_ns"
#define VALUE_TYPE	"bpf_struct_ops_kvm_gmem_ops"

#ifndef BPF_F_VTYPE_BTF_OBJ_FD
#define BPF_F_VTYPE_BTF_OBJ_FD	(1U << 15)
#endif

/*
 * The kernel's types: of the kernel itself, or of the module KVM is in.  Read
 * once, since it takes a while, and kept until the tool ends.
 */
static struct {
	struct btf *vmlinux;
	struct btf *types;
	const struct btf_type *ops;
	uint32_t value_size;
	uint32_t data_offset;
} layout;

static int find_layout(struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, VALUE_TYPE, BTF_KIND_STRUCT);
	const struct btf_type *value;
	const struct btf_member *member;
	int i;

	if (id < 0)
		return id;
	value = btf__type_by_id(btf, id);
	member = btf_members(value);
	for (i = 0; i < btf_vlen(value); i++, member++) {
		if (strcmp(btf__name_by_offset(btf, member->name_off), "data"))
			continue;
		id = btf__resolve_type(btf, member->type);
		if (id < 0)
			return id;
		layout.types = btf;
		layout.ops = btf__type_by_id(btf, id);
		layout.value_size = value->size;
		layout.data_offset = btf_member_bit_offset(value, i) / 8;
		return 0;
	}
	return -ENOENT;
}

static int read_layout(void)
{
	struct btf *kvm;
	int err;

	if (layout.types)
		return 0;
	if (!layout.vmlinux)
		layout.vmlinux = btf__load_vmlinux_btf();
	if (!layout.vmlinux)
		return -errno;
	if (!find_layout(layout.vmlinux))
		return 0;
	kvm = btf__load_module_btf("kvm", layout.vmlinux);
	if (!kvm)
		return -errno;
	err = find_layout(kvm);
	if (err)
		btf__free(kvm);
	return err;
}

/* ----------------------------------------------------------------- link */

/* The system's headers may lack what the kernel tells of a struct_ops link. */
union link_info {
	struct bpf_link_info any;
	struct {
		uint32_t type;
		uint32_t id;
		uint32_t prog_id;
		uint32_t pad;
		uint32_t map_id;
	} struct_ops;
};

int ops_link(int link, uint32_t *link_id, uint32_t *map_id)
{
	union link_info info = {};
	uint32_t len = sizeof(info);
	int err;

	struct gmem_lsm_link lsm;

	err = bpf_link_get_info_by_fd(link, &info.any, &len);
	if (err)
		return err;
	if (info.any.type == BPF_LINK_TYPE_STRUCT_OPS) {
		*link_id = info.any.id;
		*map_id = info.struct_ops.map_id;
		return 0;
	}
	err = gmem_lsm_link(link, &lsm);
	if (err)
		return err;
	*link_id = lsm.link_id;
	*map_id = lsm.settings_id;
	return 0;
}

/* ------------------------------------------------------------------ settings */

static int write_settings(int map, const struct gmem_lsm_settings *settings)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(map, &zero, settings, BPF_EXIST);
}

int ops_set(int map, const struct ops_change *change)
{
	struct gmem_lsm_settings settings;
	int err = gmem_lsm_settings(map, &settings);

	if (err)
		return err;
	settings.flags = change->flags;
	if (change->has_priority)
		settings.priority = change->priority;
	return write_settings(map, &settings);
}

static int setting(int map, const char *name, uint64_t *number)
{
	struct gmem_lsm_settings settings;
	int err = gmem_lsm_settings(map, &settings);

	if (err)
		return err;
	if (!strcmp(name, "vm_id"))
		*number = settings.vm_id;
	else if (!strcmp(name, "priority"))
		*number = (uint32_t)settings.priority;
	else if (!strcmp(name, "flags"))
		*number = settings.flags;
	else if (!strcmp(name, EXPIRES))
		*number = settings.expires_ns;
	else if (!strcmp(name, "in_force"))
		*number = settings.in_force;
	else
		return -ENOENT;
	return 0;
}

/* Writes the settings of the policy of a link as they are but for one of them. */
static int change_settings(const struct gmem_lsm_link *lsm, size_t member,
			   uint64_t value)
{
	struct gmem_lsm_settings settings;
	int map, err;

	map = bpf_map_get_fd_by_id(lsm->settings_id);
	if (map < 0)
		return map;
	err = gmem_lsm_settings(map, &settings);
	memcpy((char *)&settings + member, &value, sizeof(value));
	if (!err)
		err = write_settings(map, &settings);
	close(map);
	return err;
}

int ops_enforce(int link)
{
	struct gmem_lsm_link lsm;

	if (gmem_lsm_link(link, &lsm))
		return 0;
	return change_settings(&lsm, offsetof(struct gmem_lsm_settings, in_force), 1);
}

int ops_detach(int link)
{
	struct gmem_lsm_link lsm;

	if (gmem_lsm_link(link, &lsm))
		return bpf_link_detach(link);
	return change_settings(&lsm, offsetof(struct gmem_lsm_settings, expires_ns), 1);
}

/* ------------------------------------------------------------- members */

struct member {
	const char *name;
	uint32_t offset;
	uint32_t size;
	bool is_hook;
};

static int member_at(int i, struct member *member)
{
	const struct btf_member *m = &btf_members(layout.ops)[i];
	const struct btf_type *type;
	int id = btf__resolve_type(layout.types, m->type);
	int64_t size = btf__resolve_size(layout.types, m->type);

	if (id < 0 || size < 0)
		return -EINVAL;
	type = btf__type_by_id(layout.types, id);
	member->name = btf__name_by_offset(layout.types, m->name_off);
	member->offset = layout.data_offset +
			 btf_member_bit_offset(layout.ops, i) / 8;
	member->size = size;
	member->is_hook = btf_is_ptr(type);
	return member->offset + size > layout.value_size ? -EINVAL : 0;
}

static int write_map(int map, const void *value)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(map, &zero, value, 0);
}

/* An end of 0 is none: then the object's own holds, if it has one. */
static void fill_number(char *value, const struct member *member,
			const struct object *object, uint64_t expires_ns)
{
	uint64_t number = object_member(object, member->name);

	if (expires_ns && !strcmp(member->name, EXPIRES))
		number = expires_ns;
	memcpy(value + member->offset, &number, member->size);
}

static int fill_from_object(int map, const struct object *object,
			    uint64_t expires_ns)
{
	const struct bpf_program *prog;
	struct member member;
	int i, err;
	char *value;
	uint64_t fd;

	err = read_layout();
	if (err)
		return err;
	value = calloc(1, layout.value_size);
	if (!value)
		return -ENOMEM;
	for (i = 0; i < btf_vlen(layout.ops) && !err; i++) {
		err = member_at(i, &member);
		if (err)
			break;
		if (!strcmp(member.name, "name")) {
			strncpy(value + member.offset, object_name(object),
				member.size - 1);
		} else if (!member.is_hook) {
			if (member.size <= sizeof(uint64_t))
				fill_number(value, &member, object,
					    expires_ns);
		} else {
			prog = object_hook(object, member.name);
			if (!prog)
				continue;
			fd = bpf_program__fd(prog);
			memcpy(value + member.offset, &fd, sizeof(fd));
		}
	}
	if (!err)
		err = write_map(map, value);
	free(value);
	return err;
}

/* When the policy of a link ends, 0 if it does not by itself. */
static uint64_t expires_of(int link)
{
	uint64_t expires_ns = 0;
	uint32_t link_id, id;
	int map;

	if (ops_link(link, &link_id, &id))
		return 0;
	map = bpf_map_get_fd_by_id(id);
	if (map < 0)
		return 0;
	if (ops_number(map, EXPIRES, &expires_ns))
		expires_ns = 0;
	close(map);
	return expires_ns;
}

int ops_replace(const struct object *object, int link)
{
	uint64_t own = object_member(object, EXPIRES);
	int map = object_map(object), err;

	err = fill_from_object(map, object, own ? own : expires_of(link));
	return err ? err : bpf_link_update(link, map, NULL);
}

/* An older kernel would attach it for good. */
static bool knows_expiry(void)
{
	struct member member;
	int i;

	for (i = 0; i < btf_vlen(layout.ops); i++) {
		if (!member_at(i, &member) && !strcmp(member.name, EXPIRES))
			return true;
	}
	return false;
}

/* Settings can be written until the program that decides is attached, and later. */
static int attach_lsm(struct object *object, uint64_t expires_ns,
		      struct links *links)
{
	uint64_t own = object_member(object, EXPIRES);

	object_set_member(object, EXPIRES, expires_ns ? expires_ns : own);
	object_set_member(object, "since_ns", gmem_now_ns());
	return object_attach(object, links);
}

int ops_attach(struct object *object, uint64_t expires_ns, struct links *links)
{
	int map = object_map(object), err;

	*links = NO_LINKS;
	if (object_is_lsm(object))
		return attach_lsm(object, expires_ns, links);
	if (!expires_ns)
		return object_attach(object, links);
	err = read_layout();
	if (!err && !knows_expiry())
		err = -EOPNOTSUPP;
	if (!err)
		err = fill_from_object(map, object, expires_ns);
	if (err)
		return err;
	links->fds[0] = bpf_link_create(map, 0, ATTACH_STRUCT_OPS, NULL);
	return links->fds[0] < 0 ? links->fds[0] : 0;
}

/* ---------------------------------------------------------------- copies */

static char *read_value(int map)
{
	uint32_t zero = 0;
	char *value = calloc(1, layout.value_size);
	int err;

	if (!value)
		return NULL;
	err = bpf_map_lookup_elem(map, &zero, value);
	if (!err)
		return value;
	free(value);
	errno = -err;
	return NULL;
}

int ops_check(int map)
{
	struct bpf_map_info info = {};
	struct gmem_lsm_settings settings;
	uint32_t len = sizeof(info);
	int err, id;

	if (!gmem_lsm_settings(map, &settings))
		return 0;
	err = read_layout();
	if (!err)
		err = bpf_map_get_info_by_fd(map, &info, &len);
	if (err)
		return err;
	id = btf__find_by_name_kind(layout.types, VALUE_TYPE, BTF_KIND_STRUCT);
	return info.type == BPF_MAP_TYPE_STRUCT_OPS &&
	       info.btf_vmlinux_value_type_id == (uint32_t)id &&
	       info.value_size == layout.value_size ? 0 : -EINVAL;
}

int ops_number(int map, const char *name, uint64_t *number)
{
	struct member member;
	char *value;
	int i, err;

	err = setting(map, name, number);
	if (err != -EINVAL)
		return err;
	err = read_layout();
	if (err)
		return err;
	value = read_value(map);
	if (!value)
		return -errno;
	err = -ENOENT;
	for (i = 0; i < btf_vlen(layout.ops) && err; i++) {
		if (member_at(i, &member) || strcmp(member.name, name) ||
		    member.is_hook || member.size > sizeof(*number))
			continue;
		*number = 0;
		memcpy(number, value + member.offset, member.size);
		err = 0;
	}
	free(value);
	return err;
}

bool ops_is_in_force(int map)
{
	uint64_t in_force;

	return ops_check(map) || ops_number(map, "in_force", &in_force) || in_force;
}

bool ops_has_ended(int map)
{
	uint64_t expires_ns;

	return !ops_check(map) && !ops_number(map, EXPIRES, &expires_ns) &&
	       expires_ns && expires_ns <= gmem_clock_ns(CLOCK_BOOTTIME);
}

int ops_progs(int link, int map, uint32_t *ids)
{
	struct gmem_lsm_link lsm;
	struct member member;
	uint64_t id;
	char *value;
	int i, nr = 0, err;

	/* It uses all maps that the others do. */
	if (!gmem_lsm_link(link, &lsm)) {
		ids[0] = lsm.prog_id;
		return 1;
	}
	err = read_layout();
	if (err)
		return err;
	value = read_value(map);
	if (!value)
		return -errno;
	for (i = 0; i < btf_vlen(layout.ops) && nr < OPS_MAX_PROGS; i++) {
		if (member_at(i, &member) || !member.is_hook)
			continue;
		memcpy(&id, value + member.offset, sizeof(id));
		if (id)
			ids[nr++] = id;
	}
	free(value);
	return nr;
}

/* The kernel holds the programs by the map once it is filled. */
static int open_progs(char *value, int *fds, int *opened)
{
	struct member member;
	uint64_t id;
	int i, nr = 0;

	for (i = 0; i < btf_vlen(layout.ops) && nr < OPS_MAX_PROGS; i++) {
		if (member_at(i, &member) || !member.is_hook)
			continue;
		memcpy(&id, value + member.offset, sizeof(id));
		if (!id)
			continue;
		fds[nr] = bpf_prog_get_fd_by_id(id);
		if (fds[nr] < 0)
			return fds[nr];
		id = fds[nr++];
		*opened = nr;
		memcpy(value + member.offset, &id, sizeof(id));
	}
	return 0;
}

static void apply_change(char *value, const struct ops_change *change)
{
	struct member member;
	int i;

	for (i = 0; i < btf_vlen(layout.ops); i++) {
		if (member_at(i, &member) || member.size != sizeof(uint32_t))
			continue;
		if (!strcmp(member.name, "flags"))
			memcpy(value + member.offset, &change->flags,
			       sizeof(change->flags));
		else if (!strcmp(member.name, "priority") &&
			 change->has_priority)
			memcpy(value + member.offset, &change->priority,
			       sizeof(change->priority));
	}
	/* The head is the kernel's: it wants zeroes. */
	memset(value, 0, layout.data_offset);
}

/* The system's headers may be older and have a hole where this is. */
static uint32_t types_of(const struct bpf_map_info *info)
{
	uint32_t id;

	memcpy(&id, (const char *)info +
	       offsetof(struct bpf_map_info, map_extra) - sizeof(id),
	       sizeof(id));
	return id;
}

static int make_map(const struct bpf_map_info *like)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = like->map_flags,
		    .btf_vmlinux_value_type_id = like->btf_vmlinux_value_type_id);
	int own = bpf_btf_get_fd_by_id(like->btf_id), btf = -1, map;

	/* The types of the programs, not those of the value. */
	if (own < 0)
		return own;
	opts.btf_fd = own;
	if (opts.map_flags & BPF_F_VTYPE_BTF_OBJ_FD) {
		btf = bpf_btf_get_fd_by_id(types_of(like));
		if (btf < 0) {
			close(own);
			return btf;
		}
		opts.value_type_btf_obj_fd = btf;
	}
	map = bpf_map_create(BPF_MAP_TYPE_STRUCT_OPS, like->name,
			     like->key_size, like->value_size, 1, &opts);
	if (btf >= 0)
		close(btf);
	close(own);
	return map;
}

int ops_copy(int map, const struct ops_change *change)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int fds[OPS_MAX_PROGS], nr = 0, new, err;
	char *value;

	err = read_layout();
	if (!err)
		err = bpf_map_get_info_by_fd(map, &info, &len);
	if (err)
		return err;
	if (info.value_size != layout.value_size)
		return -EINVAL;
	value = read_value(map);
	if (!value)
		return -errno;
	err = open_progs(value, fds, &nr);
	apply_change(value, change);
	new = err ? err : make_map(&info);
	if (new >= 0) {
		err = write_map(new, value);
		if (err) {
			close(new);
			new = err;
		}
	}
	while (nr)
		close(fds[--nr]);
	free(value);
	return new;
}

/* ------------------------------------------------------------------ tags */

/* FNV-1a: nobody gains by a collision, who can write the files. */
static void fold(uint64_t *tags, const void *data, size_t size)
{
	const unsigned char *c = data;

	while (size--)
		*tags = (*tags ^ *c++) * 0x100000001b3ULL;
}

static int fold_contents(int map, const struct bpf_map_info *info,
			 uint64_t *tags)
{
	uint32_t key;
	char *value;
	int err = 0;

	value = malloc(info->value_size);
	if (!value)
		return -ENOMEM;
	for (key = 0; key < info->max_entries && !err; key++) {
		err = bpf_map_lookup_elem(map, &key, value);
		if (!err)
			fold(tags, value, info->value_size);
	}
	free(value);
	return err;
}

static int add_map(uint32_t id, uint64_t *tags)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int map, err;

	map = bpf_map_get_fd_by_id(id);
	if (map < 0)
		return map;
	err = bpf_map_get_info_by_fd(map, &info, &len);
	if (!err) {
		const uint32_t made_as[] = {
			info.type, info.key_size, info.value_size,
			info.max_entries, info.map_flags,
		};

		fold(tags, made_as, sizeof(made_as));
		if (info.type == BPF_MAP_TYPE_ARRAY &&
		    info.map_flags & BPF_F_RDONLY_PROG)
			err = fold_contents(map, &info, tags);
	}
	close(map);
	return err;
}

int ops_add_prog(int prog, uint64_t *tags, struct bpf_prog_info *info)
{
	const uint32_t *ids = (const uint32_t *)(uintptr_t)info->map_ids;
	uint32_t room = info->nr_map_ids, len = sizeof(*info), i;
	int err;

	err = bpf_prog_get_info_by_fd(prog, info, &len);
	if (err)
		return err;
	fold(tags, info->tag, sizeof(info->tag));
	for (i = 0; i < info->nr_map_ids && i < room && !err; i++)
		err = add_map(ids[i], tags);
	return err;
}

static int add_hook(const struct object *object, const char *hook,
		    uint64_t *tags)
{
	const struct bpf_program *prog = object_hook(object, hook);
	uint32_t ids[OPS_MAX_MAPS];
	struct bpf_prog_info info = {
		.nr_map_ids = OPS_MAX_MAPS,
		.map_ids = (uintptr_t)ids,
	};

	return prog ? ops_add_prog(bpf_program__fd(prog), tags, &info) : 0;
}

int ops_object_tags(const struct object *object, uint64_t *tags)
{
	struct member member;
	int i, err;

	*tags = 0;
	if (object_is_lsm(object))
		return add_hook(object, "file_ioctl", tags);
	err = read_layout();
	for (i = 0; !err && i < btf_vlen(layout.ops); i++) {
		if (!member_at(i, &member) && member.is_hook)
			err = add_hook(object, member.name, tags);
	}
	return err;
}
