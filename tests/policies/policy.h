/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads a policy of build/bpf, sets its parameters by name, and attaches it
 * for as long as this process lives.  What is wrong ends the program.
 */
#ifndef TESTS_POLICY_H
#define TESTS_POLICY_H

#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "kselftest.h"

/* gmem_test.h has one for its harness. */
#ifndef MUST
#define MUST(condition, fmt, ...)					\
	do {								\
		if (!(condition))					\
			ksft_exit_fail_msg("%s:%d: " fmt "\n", __func__,	\
					   __LINE__, ##__VA_ARGS__);	\
	} while (0)
#endif

struct test_policy {
	struct bpf_object *bpf;
	struct bpf_link *link;
};

static inline struct bpf_map *policy_ops(struct bpf_object *bpf)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, bpf) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			return map;
	}
	MUST(false, "no struct_ops in %s", bpf_object__name(bpf));
	return NULL;
}

/* Stores a number where BTF says that the member of this name is. */
static inline void policy_store(const struct btf *btf, uint32_t id, char *at,
				const char *name, uint64_t value)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	const struct btf_member *m = btf_members(type);
	int i;

	for (i = 0; i < btf_vlen(type); i++, m++) {
		if (!strcmp(btf__name_by_offset(btf, m->name_off), name)) {
			memcpy(at + btf_member_bit_offset(type, i) / 8, &value,
			       btf__resolve_size(btf, m->type));
			return;
		}
	}
	MUST(false, "no member %s", name);
}

static inline void policy_set(struct bpf_object *bpf, const char *name,
			      uint64_t value)
{
	const struct btf *btf = bpf_object__btf(bpf);
	struct bpf_map *map = bpf_object__find_map_by_name(bpf, ".data.params");
	const struct btf_type *var;
	size_t size;
	char *at;
	int id;

	id = btf__find_by_name_kind(btf, "params", BTF_KIND_VAR);
	MUST(map && id > 0, "no parameters for %s", name);
	at = bpf_map__initial_value(map, &size);
	var = btf__type_by_id(btf, id);
	policy_store(btf, btf__resolve_type(btf, var->type), at, name, value);
}

/* @set is "name=number name=number", @vm_id 0 for all. */
static inline struct test_policy policy_attach(const char *name,
					       const char *set, uint64_t vm_id)
{
	struct test_policy policy;
	char path[128], words[256], *word, *rest = words, *value;
	struct bpf_map *ops;
	size_t size;

	snprintf(path, sizeof(path), "build/bpf/%s.bpf.o", name);
	policy.bpf = bpf_object__open_file(path, NULL);
	MUST(policy.bpf, "cannot open %s: %s", path, strerror(errno));

	snprintf(words, sizeof(words), "%s", set);
	while ((word = strsep(&rest, " "))) {
		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		policy_set(policy.bpf, word, strtoull(value, NULL, 0));
	}

	ops = policy_ops(policy.bpf);
	policy_store(bpf_object__btf(policy.bpf), bpf_map__btf_value_type_id(ops),
		     bpf_map__initial_value(ops, &size), "vm_id", vm_id);
	MUST(!bpf_object__load(policy.bpf), "cannot load %s: %s", name,
	     strerror(errno));
	policy.link = bpf_map__attach_struct_ops(ops);
	MUST(policy.link, "cannot attach %s: %s", name, strerror(errno));

	return policy;
}

static inline void policy_detach(struct test_policy *policy)
{
	bpf_link__destroy(policy->link);
	bpf_object__close(policy->bpf);
	*policy = (struct test_policy){};
}

#endif /* TESTS_POLICY_H */
