// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of what the verifier says and what it means for a policy.  The first
 * row whose text is in the complaint holds, so the special ones come first.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "gmem_common.h"
#include "gmem_kernel.h"
#include "objects/explain.h"

struct explanation {
	const char *text;
	const char *meaning;
};

static const struct explanation verifier_says[] = {
	{ "unknown#195896080",
	  "it uses a type or a member that this kernel does not have; build it against this kernel's BTF, or ask with bpf_core_field_exists() first" },
	{ "failed to resolve CO-RE relocation",
	  "it uses a type or a member that this kernel does not have; build it against this kernel's BTF, or ask with bpf_core_field_exists() first" },
	{ "attach to unsupported member",
	  "this hook does not take a program that may sleep; only fault and convert do (SEC(\"struct_ops.s/...\")), so mark all others SEC(\"struct_ops/...\"), without .s" },
	{ "map_value_or_null",
	  "the result of a map lookup is used before it is compared with NULL; compare it and return if it is NULL" },
	{ "_or_null_",
	  "a pointer that may be NULL is used; compare it with NULL first" },
	{ "possibly NULL pointer",
	  "a pointer that may be NULL is passed on; compare it with NULL first" },
	{ "invalid access to map value",
	  "it reaches outside of a map's value; bound the index or offset with a comparison before it is used" },
	{ "outside of the allowed memory range",
	  "it reaches outside of a map's value; bound the index or offset with a comparison before it is used" },
	{ "unbounded memory access",
	  "a length or index has no upper bound; compare it with the size of the array first" },
	{ "unbounded min value",
	  "an index may be negative; make it unsigned, or compare it with 0 first" },
	{ "invalid mem access 'scalar'",
	  "a number is used as a pointer; read the kernel's memory through typed pointers that the hook gave, or, unless the kernel is locked down, with bpf_probe_read_kernel()" },
	{ "only read is supported",
	  "it writes to the kernel's own data; a policy may only read its arguments" },
	{ "cannot write into",
	  "it writes to memory that is read-only for programs; copy it to a variable first" },
	{ "write into map forbidden",
	  "it writes to data that is read-only; leave 'const' out, or copy it" },
	{ "back-edge",
	  "it has a loop whose end the verifier cannot see; bound it by a constant, or use bpf_for()" },
	{ "infinite loop detected",
	  "it has a loop that does not end; bound it by a constant, or use bpf_for()" },
	{ "sequence of 8193 jumps",
	  "it has too many branches behind each other; use bpf_for() for loops" },
	{ "program is too large",
	  "checking it takes too many steps; use bpf_for() for loops, or take fewer branches in them" },
	{ "might sleep",
	  "it calls what may sleep where sleeping is not allowed; mark the program SEC(\"struct_ops.s/...\"), or call it outside of the lock" },
	{ "is sleepable within",
	  "it calls what may sleep where sleeping is not allowed; call it outside of the lock" },
	{ "unknown func",
	  "it calls a helper that policies may not call; bpf-helpers(7) lists them by kind of program" },
	{ "cannot use helper",
	  "it calls a helper that policies may not call; bpf-helpers(7) lists them by kind of program" },
	{ "program of this type",
	  "it calls a helper that policies may not call; bpf-helpers(7) lists them by kind of program" },
	{ "calling kernel function",
	  "it calls a kernel function that this hook may not call, or that takes CAP_SYS_ADMIN in the initial user namespace when it is loaded; gmem_kfuncs.h says which may be called where" },
	{ "must be referenced or trusted",
	  "it passes a pointer on that the kernel does not vouch for; pass the hook's own argument, or what an acquire function gave" },
	{ "Unreleased reference",
	  "something that was acquired is not released on every way out; release it before each return" },
	{ "bpf_spin_unlock is missing",
	  "a lock is held at the end; unlock before each return" },
	{ "spin_lock",
	  "it does what is not allowed with a spin lock held; take the lock for arithmetic only, and call functions outside of it" },
	{ "function calls are not allowed while holding a lock",
	  "it calls a function with a spin lock held; call it outside of the lock" },
	{ "R0 !read_ok",
	  "a way through the program returns nothing; return a verdict on each" },
	{ "!read_ok",
	  "a variable is used that was not set on every way to it; give it a value where it is declared" },
	{ "invalid read from stack",
	  "memory on the stack is read that was not set; zero the variable where it is declared" },
	{ "invalid indirect read from stack",
	  "memory on the stack is passed on that was not set; zero the variable where it is declared" },
	{ "combined stack size",
	  "its variables take more than the 512 bytes of stack; put large ones into a map" },
	{ "stack",
	  "it uses its stack wrongly; keep variables below 512 bytes, and zero them where they are declared" },
	{ "division by zero",
	  "it divides by what may be zero; compare it first" },
	{ "unreachable insn",
	  "part of it is never reached; look for a function that does not return" },
	{ "GPL",
	  "it calls what is for GPL programs only; say so: char _license[] SEC(\"license\") = \"GPL\"" },
	{ "dereference of modified",
	  "a pointer from the kernel was moved before it was used; use -> for its members" },
	{ "access beyond struct",
	  "it reads beyond the end of a kernel struct; build it against this kernel's BTF" },
};

/* What libbpf says before the verifier is asked. */
static const struct explanation libbpf_says[] = {
	{ "not found in kernel or module BTFs",
	  "it needs a kernel function that this kernel does not have; build it for this kernel, or boot the one it is for" },
	{ "is not found in kernel",
	  "it needs what this kernel does not have; build it for this kernel, or boot the one it is for" },
	{ "cannot find member",
	  "its struct kvm_gmem_ops has a member that this kernel does not have; build it against this kernel's BTF" },
	{ "struct_ops init_kern",
	  "its struct kvm_gmem_ops does not fit this kernel's; build it against this kernel's BTF" },
	{ "struct_ops reloc",
	  "its struct kvm_gmem_ops is not filled in as it should be; give members programs of this file" },
	{ "func_proto",
	  "it calls a kernel function as it is not declared there; build it against this kernel's BTF" },
	{ "license",
	  "it has no licence; say so: char _license[] SEC(\"license\") = \"GPL\"" },
	{ "relo",
	  "a reference in it leads nowhere in this kernel; build it against this kernel's BTF" },
};

static const char *find(const struct explanation *table, size_t nr,
			const char *text)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (strstr(text, table[i].text))
			return table[i].meaning;
	}
	return NULL;
}

/*
 * The one reason why the kernel has no such helper for who may load policies; the
 * mode is told by securityfs only where that is mounted.
 */
static bool reads_are_locked_down(void)
{
	return !libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT,
					BPF_FUNC_probe_read_kernel, NULL);
}

static const char *verifier_means(const char *complaint)
{
	/* libbpf puts the old helper in the place of the one that is not there. */
	if (strstr(complaint, "bpf_probe_read") && reads_are_locked_down())
		return "this kernel is locked down (lockdown=confidentiality), where no program may read what it likes of the kernel, as bpf_probe_read*() and BPF_CORE_READ() do; read through the typed pointers that the hook gave, as in kvm->gmem.id";
	return find(verifier_says, ARRAY_LEN(verifier_says), complaint);
}

static void copy_line(char *dst, size_t size, const char *line)
{
	size_t len = strcspn(line, "\n");

	if (len >= size)
		len = size - 1;
	memcpy(dst, line, len);
	dst[len] = '\0';
}

/* Statistics and the verifier's own reasoning, not what it complains of. */
static bool is_complaint(const char *line)
{
	static const char *const others[] = {
		"processed ", "verification time", "stack depth", "mark_precise",
		"from ", "func#", "Func#", "Live regs", "cur state:",
		"old state:", "; ", "\n", "R",
	};
	size_t i;

	if (*line >= '0' && *line <= '9')
		return false;
	for (i = 0; i < ARRAY_LEN(others); i++) {
		if (strncmp(line, others[i], strlen(others[i])))
			continue;
		/* "R1 invalid mem access" is one, "R1=ctx() R10=fp0" is not. */
		return others[i][0] == 'R' && line[1] >= '0' &&
		       line[1] <= '9' && strcspn(line, " ") < strcspn(line, "=");
	}
	return true;
}

const char *explain_complaint(const char *log, char *complaint, char *source,
			      size_t size)
{
	const char *line, *next;

	complaint[0] = '\0';
	source[0] = '\0';
	for (line = log; *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next == '\n';
		/* "; statement @ file.c:12" */
		if (!strncmp(line, "; ", 2))
			copy_line(source, size, line + 2);
		else if (is_complaint(line))
			copy_line(complaint, size, line);
	}
	return verifier_means(complaint);
}

const char *explain_libbpf(void)
{
	return find(libbpf_says, ARRAY_LEN(libbpf_says),
		    gmem_libbpf_warning());
}

void explain_open(int err, const char *shown)
{
	const char *meaning = explain_libbpf();

	char text[128];

	libbpf_strerror(err, text, sizeof(text));
	/* libbpf names the program's sections and its own; few know them. */
	if (meaning)
		gmem_err("cannot use %s: %s (%s)", shown, meaning,
			 gmem_libbpf_warning());
	else
		gmem_err("%s is no BPF object that can be used: it is damaged, or not made by clang -g -target bpf (%s%s%s); build it anew",
			 shown, text,
			 *gmem_libbpf_warning() ? ", " : "",
			 gmem_libbpf_warning());
}

void explain_load(int err, const char *shown, const char *log)
{
	char complaint[256], source[256];
	const char *meaning;

	meaning = explain_complaint(log, complaint, source, sizeof(complaint));
	if (*complaint && meaning) {
		gmem_err("the verifier refuses %s%s%s: %s (its words: %s)",
			 shown, *source ? " at " : "", source, meaning,
			 complaint);
		return;
	}
	if (*complaint) {
		gmem_err("the verifier refuses %s%s%s: %s; gmempolicy check --log shows all it says",
			 shown, *source ? " at " : "", source, complaint);
		return;
	}
	meaning = explain_libbpf();
	if (meaning)
		gmem_err("cannot load %s: %s (%s)", shown, meaning,
			 gmem_libbpf_warning());
	else
		gmem_err_bpf(err, "cannot load %s", shown);
}
