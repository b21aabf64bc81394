// SPDX-License-Identifier: GPL-2.0-only
/*
 * with_allow -- CMD...: runs CMD under a policy for every VM that allows
 * everything, and fails if CMD made no VM that the policy saw.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allow.skel.h"

int main(int argc, char **argv)
{
	struct bpf_link *link;
	struct allow_bpf *skel;
	int status;
	pid_t pid;

	if (argc < 3 || strcmp(argv[1], "--")) {
		fprintf(stderr, "usage: with_allow -- CMD...\n");
		return 2;
	}

	skel = allow_bpf__open_and_load();
	if (!skel) {
		fprintf(stderr, "with_allow: cannot load the policy: %s\n",
			strerror(errno));
		return 125;
	}
	link = bpf_map__attach_struct_ops(skel->maps.allow);
	if (!link) {
		fprintf(stderr, "with_allow: cannot attach the policy: %s\n",
			strerror(errno));
		return 125;
	}

	pid = fork();
	if (!pid) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "with_allow: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("with_allow");
		return 125;
	}

	bpf_link__destroy(link);
	printf("# the policy was called %llu times\n", skel->bss->calls);
	if (!skel->bss->calls) {
		fprintf(stderr, "with_allow: the policy was never called\n");
		return 125;
	}
	allow_bpf__destroy(skel);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
