// SPDX-License-Identifier: GPL-2.0-only
/*
 * Linked into a tool in place of what prints its help, so that --help gives the
 * table of options itself, a row a line, for packaging/completion/generate.  Built for
 * that alone, and not installed.
 */
#include "gmem_common.h"

void __wrap_gmem_usage(FILE *out, const char *synopsis, const char *about,
		       const struct gmem_option *options);

static const char *choices_of(const struct gmem_option *opt)
{
	static char all[1024];
	size_t len = 0;
	int i;

	all[0] = '\0';
	if (opt->type != GMEM_OPT_CHOICE)
		return all;
	for (i = 0; opt->choices[i] && len < sizeof(all); i++)
		len += snprintf(all + len, sizeof(all) - len, "%s%s",
				i ? " " : "", opt->choices[i]);
	return all;
}

/* For the linker's --wrap: what the tool calls instead. */
void __wrap_gmem_usage(FILE *out, const char *synopsis, const char *about,
		       const struct gmem_option *options)
{
	const struct gmem_option *opt;

	fprintf(out, "%s\t%s\n", synopsis, about);
	for (opt = options; opt->type != GMEM_OPT_END; opt++)
		fprintf(out, "%s\t%c\t%s\t%s\t%s\n", opt->name,
			opt->short_name ?: '-', opt->arg ?: "",
			choices_of(opt), opt->help);
}
