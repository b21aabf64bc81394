/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What /etc/gmem/policy.d asks for: gmem-policy.d(5) describes the files.
 */
#ifndef GMEMPOLICY_CONFIG_H
#define GMEMPOLICY_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "gmem_scope.h"

#define CONFIG_DIR	"/etc/gmem/policy.d"

struct object;

/**
 * struct wish - one policy that is asked for
 * @label: its name in the file
 * @where: "file:line:column" of it
 * @use: name of a built-in policy, or path of an object
 * @scope: which VMs
 * @flags: of struct kvm_gmem_ops
 * @priority: likewise
 * @nr_sets: number of assignments
 * @sets: "name=value"
 * @places: where each of them is
 * @object: opened, its parameters set; loaded by config_load()
 * @tags: what its programs are, from config_load()
 */
struct wish {
	char *label;
	char *where;
	char *use;
	struct scope scope;
	char *scope_text;
	uint32_t flags;
	int32_t priority;
	size_t nr_sets;
	char **sets;
	char **places;
	struct object *object;
	uint64_t tags;
};

/**
 * struct config - all that is asked for
 * @nr: number of policies
 * @wishes: the policies, in the order of the files' names
 *
 * Starts as all zeroes; config_free() gives the memory back.
 */
struct config {
	size_t nr;
	struct wish *wishes;
};

/**
 * config_read() - read a file, or all files of a directory
 * @config: where to
 * @path: which
 *
 * Everything is checked but what only the kernel can say: config_load().
 *
 * Return: 0, or -errno after one line of error that names file, line and
 * column.
 */
int config_read(struct config *config, const char *path);

/**
 * config_load() - have the kernel verify the policies
 * @config: from config_read()
 *
 * One of each is loaded, whatever VMs there are now.
 *
 * Return: 0, or -errno after one line of error that names file, line and
 * column.
 */
int config_load(struct config *config);

/**
 * config_free() - give the memory back
 * @config: all zeroes afterwards
 */
void config_free(struct config *config);

/**
 * wish_open() - open one more object of a policy that is asked for
 * @wish: the policy
 * @vm: id of the VM it is to be for, 0 for all
 *
 * Return: the object, not loaded, or NULL after one line of error.
 */
struct object *wish_open(const struct wish *wish, uint64_t vm);

#endif /* GMEMPOLICY_CONFIG_H */
