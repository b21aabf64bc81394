// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame as metrics.  The families of VMs follow from the table of columns,
 * those of policies from a table here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "export/exposition.h"
#include "export/text.h"
#include "figures/columns.h"
#include "gmem_clock.h"
#include "gmem_common.h"
#include "gmem_confined.h"
#include "gmem_denial.h"

/*
 * It takes a look at page tables, and the rest of a scrape does not.  Scrapes that
 * are ten seconds apart may be a moment less.
 */
#define TWICE_AGE_NS	(9 * NSEC_PER_SEC)

static void append_comment(struct exporter *e, const char *word,
			   const char *family, const char *suffix,
			   const char *text)
{
	text_str(&e->text, "# ");
	text_str(&e->text, word);
	text_str(&e->text, " ");
	text_str(&e->text, family);
	text_str(&e->text, suffix);
	text_str(&e->text, " ");
	text_str(&e->text, text);
	text_str(&e->text, "\n");
}

/* The two formats differ in what a counter and an info are called. */
static void begin_family(struct exporter *e, enum export_format format,
			 const char *type, const char *family, const char *unit,
			 const char *help)
{
	const char *suffix = "";

	if (format == EXPORT_TEXT && !strcmp(type, "counter"))
		suffix = "_total";
	if (format == EXPORT_TEXT && !strcmp(type, "info")) {
		suffix = "_info";
		type = "gauge";
	}
	append_comment(e, "TYPE", family, suffix, type);
	if (format == EXPORT_OPENMETRICS && unit)
		append_comment(e, "UNIT", family, "", unit);
	append_comment(e, "HELP", family, suffix, help);
}

static void host_gauge(struct exporter *e, enum export_format format,
		       const char *family, const char *unit, const char *help,
		       double value)
{
	begin_family(e, format, "gauge", family, unit, help);
	text_str(&e->text, family);
	text_str(&e->text, " ");
	text_value(&e->text, value);
	text_str(&e->text, "\n");
}

static void write_host(struct exporter *e, enum export_format format,
		       double seconds)
{
	struct utsname kernel = {};

	uname(&kernel);
	begin_family(e, format, "info", "gmem_build", NULL,
		     "Version of gmemtop and of the kernel that it runs on.");
	text_str(&e->text, "gmem_build_info{");
	text_label(&e->text, "version", GMEM_VERSION);
	text_str(&e->text, ",");
	text_label(&e->text, "kernel", kernel.release);
	text_str(&e->text, "} 1\n");

	host_gauge(e, format, "gmem_vms", NULL, "VMs on this host.",
		   e->frame.vms.nr_vms);
	host_gauge(e, format, "gmem_host_memory_bytes", "bytes",
		   "Memory of this host.",
		   e->frame.host_pages * (GMEM_PAGE_KIB * 1024.0));
	host_gauge(e, format, "gmem_orphaned_bytes", "bytes",
		   "Memory of guest_memfds that somebody holds though their VM is gone.",
		   e->frame.vms.orphaned_pages * (GMEM_PAGE_KIB * 1024.0));
	host_gauge(e, format, "gmem_policies", NULL, "Policies attached.",
		   e->frame.policies.nr);
	if (e->frame.policies_enabled >= 0)
		host_gauge(e, format, "gmem_policies_enabled", NULL,
			   "1 if policies are asked, 0 if the switch gmem_policies bypasses all of them.",
			   e->frame.policies_enabled);
	host_gauge(e, format, "gmem_sample_duration_seconds", "seconds",
		   "Time that reading all counters took.", seconds);
}

static bool is_series(const struct metric *metric)
{
	return metric->type == METRIC_GAUGE || metric->type == METRIC_COUNTER;
}

/* What a line of a VM has room for: its name, its label, its value. */
#define NAME_ROOM	64
#define LABEL_ROOM	32
#define VALUE_ROOM	64

/* "{vm="ID"} ", which all lines of a VM have in common. */
struct vm_label {
	char text[LABEL_ROOM];
	size_t len;
};

static bool make_labels(struct exporter *e)
{
	char text[20], *end = text + sizeof(text);
	size_t nr = e->frame.vms.nr_vms, i;
	struct vm_label *labels;

	labels = reallocarray(e->labels, nr ? nr : 1, sizeof(*labels));
	if (!labels)
		return false;
	e->labels = labels;
	for (i = 0; i < nr; i++) {
		char *digits = text_digits(e->frame.vms.vms[i].vm_id, end);
		char *p = mempcpy(labels[i].text, "{vm=\"", 5);

		p = mempcpy(p, digits, end - digits);
		p = mempcpy(p, "\"} ", 3);
		labels[i].len = p - labels[i].text;
	}
	return true;
}

/* The label that a column is, from the end of the one before. */
struct info_label {
	const struct column *col;
	char text[LABEL_ROOM];
	size_t len;
};

static int find_info_labels(struct info_label *labels)
{
	const char *end = "";
	int c, nr = 0;

	for (c = 0; c < NR_COLUMNS; c++) {
		struct info_label *label = &labels[nr];

		if (columns[c].metric.type != METRIC_INFO)
			continue;
		label->col = &columns[c];
		label->len = snprintf(label->text, sizeof(label->text),
				      "%s,%s=\"", end, columns[c].metric.name);
		end = "\"";
		nr++;
	}
	return nr;
}

static void append_info(struct exporter *e, const struct info_label *label,
			const struct row *row)
{
	char text[TEXT_LEN];

	text_add(&e->text, label->text, label->len);
	if (label->col->kind == COLUMN_TEXT)
		text_quoted(&e->text, column_text(label->col, row, text));
	else if (!column_known(label->col, row->now))
		text_str(&e->text, FACT_UNKNOWN);
	else
		text_uint(&e->text, column_counter(label->col, row->now));
}

static void write_vm_info(struct exporter *e, enum export_format format)
{
	struct info_label labels[NR_COLUMNS];
	int nr = find_info_labels(labels), n;
	size_t i;

	begin_family(e, format, "info", "gmem_vm", NULL,
		     "The process that a VM belongs to.");
	for (i = 0; i < e->frame.vms.nr_vms; i++) {
		const struct vm_label *vm = &e->labels[i];
		const struct row row = {
			.now = &e->frame.vms.vms[i],
			.facts = &e->facts.vm[i],
		};

		text_str(&e->text, "gmem_vm_info");
		text_add(&e->text, vm->text, vm->len - strlen("} "));
		for (n = 0; n < nr; n++)
			append_info(e, &labels[n], &row);
		text_str(&e->text, "\"} 1\n");
	}
}

/* Where the lines of a family begin, with room for all; NULL without memory. */
static char *begin_lines(struct exporter *e)
{
	size_t nr = e->frame.vms.nr_vms;

	if (!text_grow(&e->text, nr * (NAME_ROOM + LABEL_ROOM + VALUE_ROOM)))
		return NULL;
	return e->text.data + e->text.len;
}

/* A value and the end of its line; returns where the next one begins. */
static inline char *put_value(char *p, double value)
{
	char text[20], *end = text + sizeof(text), *digits;

	if (text_is_whole(value)) {
		digits = text_digits(value, end);
		memcpy(p, digits, end - digits);
		p += end - digits;
	} else {
		p += sprintf(p, "%.9f", value);
	}
	*p++ = '\n';
	return p;
}

/*
 * The lines of one family.  With many VMs nearly all of the time goes here.  So
 * room is made once for all lines, and whole fields are copied, which the
 * compiler does in a few instructions, with what follows written over the rest.
 */
static void write_series(struct exporter *e, const struct column *col,
			 const char *name, size_t len)
{
	double scale = col->metric.scale ? col->metric.scale : 1;
	size_t nr = e->frame.vms.nr_vms, i;
	char *p = begin_lines(e);
	uint64_t value;

	if (!p)
		return;
	for (i = 0; i < nr; i++) {
		value = column_counter(col, &e->frame.vms.vms[i]);
		/* Not known: no series. */
		if (value == GMEM_UNKNOWN && col->may_lack)
			continue;
		memcpy(p, name, NAME_ROOM);
		p += len;
		memcpy(p, e->labels[i].text, LABEL_ROOM);
		p += e->labels[i].len;
		if (value) {
			p = put_value(p, value * scale);
		} else {
			*p++ = '0';
			*p++ = '\n';
		}
	}
	e->text.len = p - e->text.data;
}

/* A series for each VM and NUMA node; what is cut off a label is its end. */
static void write_nodes(struct exporter *e, enum export_format format)
{
	static const char name[NAME_ROOM] = "gmem_vm_node_populated_bytes";
	size_t nr = e->frame.vms.nr_vms, len = strlen(name), i;
	char label[LABEL_ROOM] = "";
	char *p;
	int n;

	begin_family(e, format, "gauge", name, "bytes",
		     "Host memory allocated in guest_memfds, by NUMA node.");
	for (n = 0; n < GMEM_NODES_MAX; n++) {
		if (!(e->frame.nodes >> n & 1))
			continue;
		p = begin_lines(e);
		if (!p)
			return;
		snprintf(label, sizeof(label), ",node=\"%d\"} ", n);
		for (i = 0; i < nr; i++) {
			const struct vm_label *vm = &e->labels[i];

			memcpy(p, name, NAME_ROOM);
			p += len;
			memcpy(p, vm->text, LABEL_ROOM);
			p += vm->len - strlen("} ");
			memcpy(p, label, LABEL_ROOM);
			p += strlen(label);
			p = put_value(p, e->frame.vms.vms[i].node_pages[n] *
				      (GMEM_PAGE_KIB * 1024.0));
		}
		e->text.len = p - e->text.data;
	}
}

static void write_vms(struct exporter *e, enum export_format format)
{
	char name[NAME_ROOM];
	int c, len;

	if (!make_labels(e)) {
		text_fail(&e->text);
		return;
	}
	write_vm_info(e, format);
	for (c = 0; c < NR_COLUMNS; c++) {
		const struct metric *metric = &columns[c].metric;
		bool counter = metric->type == METRIC_COUNTER;

		if (!is_series(metric))
			continue;
		begin_family(e, format, counter ? "counter" : "gauge",
			     metric->name, metric->unit, metric->help);
		len = snprintf(name, sizeof(name), "%s%s", metric->name,
			       counter ? "_total" : "");
		write_series(e, &columns[c], name, len);
	}
	write_nodes(e, format);
}

#define AT(member) offsetof(struct gmem_policy_sample, member)

/* What policies count, in 64 bits each. */
static const struct policy_metric {
	const char *family;
	const char *unit;
	const char *help;
	double scale;
	size_t offset;
} policy_counters[] = {
	{ "gmem_policy_calls", NULL, "Times that the policy was asked.", 1,
	  AT(calls) },
	{ "gmem_policy_allowed", NULL, "Verdicts that allowed.", 1,
	  AT(allowed) },
	{ "gmem_policy_delayed", NULL, "Verdicts that delayed.", 1,
	  AT(delayed) },
	{ "gmem_policy_delay_seconds", "seconds",
	  "Delay that the policy asked for, after the cap.", 1e-9,
	  AT(delayed_ns) },
	{ "gmem_policy_clamped", NULL,
	  "Verdicts outside of what a policy may say.", 1, AT(clamped) },
};

static void append_policy(struct exporter *e, const char *name,
			  const struct gmem_policy_sample *policy)
{
	text_str(&e->text, name);
	text_str(&e->text, "{link=\"");
	text_uint(&e->text, policy->link_id);
	text_str(&e->text, "\"");
}

static void write_policy_info(struct exporter *e, enum export_format format)
{
	char name[GMEM_POLICY_NAME_LEN + 1] = "", vm[24];
	size_t i;

	begin_family(e, format, "info", "gmem_policy", NULL,
		     "The policy that a BPF link holds.");
	for (i = 0; i < e->frame.policies.nr; i++) {
		const struct gmem_policy_sample *p =
			&e->frame.policies.policies[i];

		memcpy(name, p->name, GMEM_POLICY_NAME_LEN);
		snprintf(vm, sizeof(vm), "%ju", (uintmax_t)p->vm_id);
		append_policy(e, "gmem_policy_info", p);
		text_str(&e->text, ",");
		text_label(&e->text, "name", name);
		text_str(&e->text, ",");
		text_label(&e->text, "vm", p->vm_id ? vm : "all");
		text_str(&e->text, ",");
		text_label(&e->text, "mode",
			   p->flags & GMEM_POLICY_AUDIT ? "audit" : "enforce");
		text_str(&e->text, "} 1\n");
	}
}

static void write_policy_gauges(struct exporter *e, enum export_format format)
{
	char text[16];
	size_t i;

	begin_family(e, format, "gauge", "gmem_policy_priority", NULL,
		     "Policies are asked from the lowest number to the highest.");
	for (i = 0; i < e->frame.policies.nr; i++) {
		const struct gmem_policy_sample *p =
			&e->frame.policies.policies[i];

		append_policy(e, "gmem_policy_priority", p);
		text_str(&e->text, "} ");
		text_add(&e->text, text,
			 snprintf(text, sizeof(text), "%d\n", p->priority));
	}
	begin_family(e, format, "gauge", "gmem_policy_vms", NULL,
		     "VMs that the policy is in force on.");
	for (i = 0; i < e->frame.policies.nr; i++) {
		const struct gmem_policy_sample *p =
			&e->frame.policies.policies[i];

		append_policy(e, "gmem_policy_vms", p);
		text_str(&e->text, "} ");
		text_uint(&e->text, p->nr_vms);
		text_str(&e->text, "\n");
	}
}

static void write_policy_denials(struct exporter *e, enum export_format format)
{
	size_t i;
	int n;

	begin_family(e, format, "counter", "gmem_policy_denied", NULL,
		     "Verdicts that denied, by what they said.");
	for (i = 0; i < e->frame.policies.nr; i++) {
		const struct gmem_policy_sample *p =
			&e->frame.policies.policies[i];

		for (n = 0; n < GMEM_NR_DENIALS; n++) {
			append_policy(e, "gmem_policy_denied_total", p);
			text_str(&e->text, ",");
			text_label(&e->text, "errno", gmem_denial_name(n));
			text_str(&e->text, "} ");
			text_uint(&e->text, p->denied_by_errno[n]);
			text_str(&e->text, "\n");
		}
	}
}

static void write_policies(struct exporter *e, enum export_format format)
{
	char name[128];
	size_t i, m;

	write_policy_info(e, format);
	write_policy_gauges(e, format);
	write_policy_denials(e, format);
	for (m = 0; m < ARRAY_LEN(policy_counters); m++) {
		const struct policy_metric *metric = &policy_counters[m];

		begin_family(e, format, "counter", metric->family, metric->unit,
			     metric->help);
		snprintf(name, sizeof(name), "%s_total", metric->family);
		for (i = 0; i < e->frame.policies.nr; i++) {
			const struct gmem_policy_sample *p =
				&e->frame.policies.policies[i];
			const uint64_t *value = (const void *)
				((const char *)p + metric->offset);

			append_policy(e, name, p);
			text_str(&e->text, "} ");
			text_value(&e->text, *value * metric->scale);
			text_str(&e->text, "\n");
		}
	}
}

static double seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - began->tv_sec +
	       (now.tv_nsec - began->tv_nsec) * 1e-9;
}

int exporter_sample(struct exporter *e, enum export_format format)
{
	char why[GMEM_CONFINED_LEN];
	struct timespec began;
	double seconds;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &began);
	e->source->twice_of = GMEM_TWICE_OF_ALL;
	e->source->twice_age_ns = TWICE_AGE_NS;
	err = e->source->read(e->source, &e->frame, &e->facts);
	/* Of a /proc that hides, export has told already. */
	if (e->source->notice[0] && gmem_proc_hides(why, sizeof(why)))
		e->source->notice[0] = '\0';
	source_tell(e->source);
	if (!err)
		err = frame_share_resident(&e->frame);
	if (err)
		return err;
	seconds = seconds_since(&began);

	e->text.len = 0;
	e->text.failed = false;
	write_host(e, format, seconds);
	write_vms(e, format);
	write_policies(e, format);
	if (format == EXPORT_OPENMETRICS)
		text_str(&e->text, "# EOF\n");
	if (e->text.failed) {
		gmem_err("no memory for the metrics of %zu VMs; free some",
			 e->frame.vms.nr_vms);
		return -ENOMEM;
	}
	return 0;
}

void exporter_free(struct exporter *e)
{
	frame_free(&e->frame);
	facts_free(&e->facts);
	free(e->text.data);
	free(e->labels);
	e->text = (struct text) {};
	e->labels = NULL;
}
