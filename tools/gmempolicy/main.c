// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmempolicy: attaches policies on guest private memory, lists and detaches
 * them.  Here is what follows from the list of verbs; each verb has a file of its
 * own.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "gmem_common.h"
#include "gmem_daemon.h"
#include "gmem_kernel.h"
#include "gmem_source.h"
#include "formats/table.h"
#include "objects/policies.h"
#include "verbs/verbs.h"

static bool help, version;

static const struct gmem_option main_options[] = {
	GMEM_OPTION_HELP(&help),
	GMEM_OPTION_VERSION(&version),
	{ .type = GMEM_OPT_END },
};

static int run_help(int argc, char **argv);

static const struct gmem_option help_options[] = { VERB_OPTIONS };

static const struct verb help_verb = {
	.name = "help",
	.synopsis = "help [VERB]",
	.about = "explain a verb, or list them",
	.options = help_options,
	.run = run_help,
};

/* In the order of the help. */
static const struct verb *const verbs[] = {
	&list_verb, &show_verb, &attach_verb, &set_verb, &enforce_verb,
	&audit_verb, &detach_verb, &status_verb, &watch_verb, &off_verb,
	&on_verb, &apply_verb, &diff_verb, &check_verb, &new_verb, &help_verb,
};

static const struct verb *find_verb(const char *name)
{
	char all[256] = "";
	size_t i, len = 0;

	for (i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
		if (len < sizeof(all))
			len += snprintf(all + len, sizeof(all) - len, "%s%s",
					i ? ", " : "", verbs[i]->name);
	}
	gmem_err("unknown verb '%s'; give one of %s", name, all);
	return NULL;
}

static int print_help(void)
{
	size_t i;

	printf("Usage: gmempolicy VERB [ARGUMENT]...\n"
	       "Governs guest private memory by policies that KVM asks.\n\n"
	       "Verbs:\n");
	for (i = 0; i < ARRAY_LEN(verbs); i++)
		printf("  %-12s%s\n", verbs[i]->name, verbs[i]->about);
	printf("\nPolicies that are built in; 'gmempolicy show NAME' tells more:\n ");
	for (i = 0; i < nr_policies; i++)
		printf(" %s", policies[i].name);
	putchar('\n');
	printf("\nOptions:\n"
	       "  -h, --help    show this help\n"
	       "  -V, --version show the version\n\n"
	       "'gmempolicy help VERB' tells more of a verb.\n");
	return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

static int print_verb_help(const struct verb *verb)
{
	char about[256];

	/* The table's lines are for lists; a sentence has a capital and a dot. */
	snprintf(about, sizeof(about), "%c%s.", verb->about[0] - 'a' + 'A',
		 verb->about + 1);
	gmem_usage(stdout, verb->synopsis, about, verb->options);
	return gmem_flush(stdout) ? GMEM_EXIT_FAIL : GMEM_EXIT_OK;
}

static int run_help(int argc, char **argv)
{
	const struct verb *verb;

	if (!argc)
		return print_help();
	if (argc > 1) {
		gmem_err("help takes one verb; leave '%s' out", argv[1]);
		return GMEM_EXIT_USAGE;
	}
	verb = find_verb(argv[0]);
	return verb ? print_verb_help(verb) : GMEM_EXIT_USAGE;
}

/*
 * The soft limit is low for the sake of programs that use select(2).  A policy
 * has some ten descriptors while it is loaded, and there may be many at once.
 */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
	int words = gmem_parse_options(verb->options, argc, argv);
	struct screen screen;

	if (words < 0)
		return GMEM_EXIT_USAGE;
	if (verb_help)
		return print_verb_help(verb);
	if (!verb_wide) {
		screen = screen_of_stdout();
		tables_fit(&screen);
	}
	gmem_libbpf_quiet(verb_debug);
	raise_open_files();
	return verb->run(words, argv);
}

int main(int argc, char **argv)
{
	const struct verb *verb;

	gmem_start();
	gmem_text_start();
	/* Options before the verb are the program's own, those after it are
	 * the verb's.
	 */
	if (argc > 1 && argv[1][0] == '-') {
		if (gmem_parse_options(main_options, 1, argv + 1) < 0)
			return GMEM_EXIT_USAGE;
		if (help)
			return print_help();
		if (version) {
			gmem_print_version();
			gmem_source_print(stdout);
			return gmem_flush(stdout) ? GMEM_EXIT_FAIL :
						    GMEM_EXIT_OK;
		}
	}
	if (argc < 2 || argv[1][0] == '-') {
		gmem_err("no verb given; see gmempolicy --help");
		return GMEM_EXIT_USAGE;
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return GMEM_EXIT_USAGE;
	return run_verb(verb, argc - 2, argv + 2);
}
