/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How near a VM is to what a policy lets it have: of the parameters that are
 * marked with GMEM_BOUNDS(), and of its token buckets.
 */
#ifndef GMEMPOLICY_LIMITS_H
#define GMEMPOLICY_LIMITS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct gmem_vm_sample;
struct params;
struct rows;
struct vms;

/**
 * struct limit - one limit of a policy, and one VM
 * @who: what the policy is called
 * @vm: id of the VM
 * @name: name of the VM
 * @what: what is limited
 * @unit: of @used and @most
 * @used: what the VM has, or has used up
 * @most: what it may have, not 0
 */
struct limit {
	char who[NAME_MAX + 1];
	uint64_t vm;
	const char *name;
	char what[64];
	char unit[32];
	double used;
	double most;
};

/**
 * limit_percent() - how near a VM is to a limit
 * @limit: the limit
 *
 * Return: percent, more than 100 if it is beyond.
 */
double limit_percent(const struct limit *limit);

/**
 * limit_of_bucket() - how much of a bucket is used up
 * @limit: its used and most are set
 * @credit: credit of the bucket, in billionths of a token
 * @last: when it had that, in ns; 0: never used
 * @rate: tokens per second that it gets
 * @burst: tokens that it holds
 * @now: the same clock, in ns
 *
 * One that was used within the last second is told of as it was then: at any
 * other moment, one that is small and always used up would look as if it were not.
 */
void limit_of_bucket(struct limit *limit, int64_t credit, uint64_t last,
		     uint64_t rate, uint64_t burst, uint64_t now);

/**
 * limit_of_param() - how near a VM is to the ceiling that a parameter is
 * @limit: its used and most are set
 * @bounds: the figure that it is a ceiling of
 * @unit: unit of the parameter
 * @value: what it is set to
 * @sample: figures of the VM
 *
 * Return: true, or false if that is no ceiling, or not known to be one.
 */
bool limit_of_param(struct limit *limit, const char *bounds, const char *unit,
		    uint64_t value, const struct gmem_vm_sample *sample);

/**
 * limits_of_params() - the ceilings among a policy's parameters
 * @params: the parameters
 * @values: what they are set to, NULL if there are none
 * @who: what to call the policy
 * @vm_id: the VM that it is for, 0 for all
 * @vms: VMs on this host
 * @limits: rows of struct limit, added to
 *
 * Return: 0, or -ENOMEM after one line of error.
 */
int limits_of_params(const struct params *params, const void *values,
		     const char *who, uint64_t vm_id, const struct vms *vms,
		     struct rows *limits);

#endif /* GMEMPOLICY_LIMITS_H */
