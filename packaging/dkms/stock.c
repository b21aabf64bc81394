// SPDX-License-Identifier: GPL-2.0-only
/*
 * What our series exports, for a kernel without it, by means of what that does
 * export; and what is not to be had there, for those who ask.
 */
#include <linux/bpf.h>
#include <linux/module.h>
#include <linux/pagevec.h>
#include <linux/workqueue.h>

#include "stock.h"
#include "stock_map.h"

/* Words that gmempolicy(8) explains. */
static char *gmem_without = "kcore,mbind";
module_param(gmem_without, charp, 0444);
MODULE_PARM_DESC(gmem_without, "What gmem does not do as a module");

static struct bpf_map *stock_map(const void *kdata)
{
	return &container_of(kdata, struct bpf_struct_ops_map, kvalue.data)->map;
}

/**
 * kvm_gmem_stock_get - keep a struct_ops and its programs
 * @kdata: what it was registered with
 *
 * Context: any but an interrupt.
 * Return: false if it is being freed, or is not where we know it to be.
 */
bool kvm_gmem_stock_get(const void *kdata)
{
	struct bpf_map *map = stock_map(kdata);

	if (WARN_ON_ONCE(map->map_type != BPF_MAP_TYPE_STRUCT_OPS))
		return false;

	return !IS_ERR(bpf_map_inc_not_zero(map));
}

/**
 * kvm_gmem_stock_put - let go of a struct_ops
 * @kdata: what kvm_gmem_stock_get() got
 *
 * Context: any but an interrupt.
 */
void kvm_gmem_stock_put(const void *kdata)
{
	bpf_map_put(stock_map(kdata));
}

/* A batch drains what the CPU keeps before it is released, be it empty or not. */
static long stock_drain_cpu(void *unused)
{
	struct folio_batch batch;

	folio_batch_init(&batch);
	__folio_batch_release(&batch);

	return 0;
}

/**
 * kvm_gmem_stock_drain - empty the CPUs' lists of new pages
 *
 * Context: may sleep.
 */
void kvm_gmem_stock_drain(void)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		work_on_cpu(cpu, stock_drain_cpu, NULL);
	cpus_read_unlock();
}
