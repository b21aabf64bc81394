// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmemboot: boots Linux, a bzImage as it was built, in a guest whose memory is
 * one guest_memfd, and prints the guest's console.  This file is the command
 * line and the loop that runs the vCPU.  Not here: the VM (vm.c), what is in its
 * memory (image.c), what KVM reads of it (window.c), the serial port (uart.c),
 * and the guest's own program (init.c).
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "gmemboot.h"

#define LAST_LINE	"guest: done"

/* The keyboard controller's, and what it takes to reset the machine. */
#define PORT_RESET	0x64
#define RESET		0xfe
/* The clock's: without a battery it knows nothing, and is never busy. */
#define PORT_CLOCK	0x71

#define DEFAULT_MEM	(256 * MIB)
#define MIN_MEM		(64 * MIB)
/* The hole for devices begins there. */
#define MAX_MEM		(3072 * MIB)

#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT	39
#endif

static struct options {
	const char *kernel;
	const char *name;
	const char *append;
	uint64_t mem;
	unsigned long timeout;
	bool is_private;
	bool stay;
} options = {
	.kernel = "build/kernel/gmem/bzImage",
	.name = "linux",
	.append = "",
	.mem = DEFAULT_MEM,
	.timeout = 300,
};

static struct vm vm;
static volatile sig_atomic_t signalled;
static bool done;

/* Messages */

static void message(const char *fmt, va_list ap)
{
	char line[512], *p;

	vsnprintf(line, sizeof(line), fmt, ap);
	/* Names and paths come from the user: keep the message one line. */
	for (p = line; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	fflush(stdout);
	fprintf(stderr, "gmemboot: %s\n", line);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(1);
}

__attribute__((format(printf, 1, 2), noreturn))
static void usage_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(fmt, ap);
	va_end(ap);
	exit(2);
}

/* The console is the output: one that nobody got is a failure. */
static void must_be_written(void)
{
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output");
}

/* Options */

static uint64_t parse_number(const char *what, const char *arg, uint64_t max, const char *units)
{
	unsigned int shift = 0;
	const char *unit;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 10);
	if (*end && *units) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit) {
			shift = 10 * (unit - units + 1);
			end++;
		}
	}
	if (!isdigit((unsigned char)arg[0]) || errno || *end || !n || n > max >> shift)
		usage_error("bad %s '%s': see gmemboot --help", what, arg);
	return n << shift;
}

static void set_kernel(const char *arg)
{
	options.kernel = arg;
}

static void set_mem(const char *arg)
{
	options.mem = parse_number("size", arg, MAX_MEM, "KMG");
	if (options.mem < MIN_MEM || options.mem % MIB)
		usage_error("bad size '%s': give whole MiB, from %lluM to %lluM", arg,
			    MIN_MEM / MIB, MAX_MEM / MIB);
}

static void set_type(const char *arg)
{
	options.is_private = !strcmp(arg, "protected");
	if (!options.is_private && strcmp(arg, "default"))
		usage_error("bad type '%s': give default or protected", arg);
}

static void set_name(const char *arg)
{
	if (!*arg || strlen(arg) > 15)
		usage_error("bad name '%s': give 1 to 15 characters", arg);
	options.name = arg;
}

static void set_append(const char *arg)
{
	options.append = arg;
}

static void set_stay(const char *arg)
{
	options.stay = true;
}

static void set_timeout(const char *arg)
{
	options.timeout = parse_number("number of seconds", arg, 1000000, "");
}

static void show_help(const char *arg);

/* The help is made of this table. */
static const struct row {
	const char *name;
	const char *arg;
	const char *help;
	void (*set)(const char *arg);
} rows[] = {
	{ "kernel", "FILE", "bzImage to boot (default build/kernel/gmem/bzImage)", set_kernel },
	{ "mem", "SIZE", "memory of the guest (default 256M)", set_mem },
	{ "type", "TYPE", "default, or protected: all memory is private", set_type },
	{ "name", "NAME", "name of this process (default linux)", set_name },
	{ "append", "WORDS", "more words for the guest's kernel", set_append },
	{ "stay", NULL, "the guest idles after its last line, until SIGTERM", set_stay },
	{ "timeout", "SECS", "the guest's last line must come by then (default 300)",
	  set_timeout },
	{ "help", NULL, "print this", show_help },
};

#define NR_ROWS	(sizeof(rows) / sizeof(rows[0]))

static void show_help(const char *arg)
{
	size_t i;

	printf("Usage: gmemboot [options]\n\n"
	       "Boots Linux in a guest with all memory in one guest_memfd. The guest uses some\n"
	       "memory and tells how much it has; its console is the output, and its last line\n"
	       "is \"" LAST_LINE "\".\n\n");
	for (i = 0; i < NR_ROWS; i++)
		printf("  --%-7s %-6s %s\n", rows[i].name, rows[i].arg ?: "", rows[i].help);
	printf("\nExit status: 0 after the last line, 1 for any failure, 2 for wrong usage.\n");
	must_be_written();
	exit(0);
}

static void parse_options(int argc, char **argv)
{
	struct option longopts[NR_ROWS + 1] = {};
	size_t i;
	int opt;

	for (i = 0; i < NR_ROWS; i++) {
		longopts[i].name = rows[i].name;
		longopts[i].has_arg = rows[i].arg ? required_argument : no_argument;
		longopts[i].val = 256 + i;
	}
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", longopts, NULL)) != -1) {
		if (opt == ':')
			usage_error("option '%s' needs a value: see gmemboot --help",
				    argv[optind - 1]);
		if (opt == '?')
			usage_error("unknown option '%s': see gmemboot --help", argv[optind - 1]);
		rows[opt - 256].set(optarg);
	}
	if (optind < argc)
		usage_error("unexpected argument '%s': see gmemboot --help", argv[optind]);
}

/* The console */

static void end_of_line(const char *line)
{
	if (strcmp(line, LAST_LINE))
		return;
	done = true;
	if (options.stay)
		alarm(0);
}

void console_byte(char c)
{
	static char line[128];
	static size_t len;

	if (c == '\r')
		return;
	putchar(c);
	if (c != '\n') {
		if (len < sizeof(line) - 1)
			line[len++] = c;
		return;
	}
	line[len] = '\0';
	len = 0;
	end_of_line(line);
}

/* The vCPU */

static void on_signal(int sig)
{
	signalled = sig;
	/* One that comes just before KVM_RUN must not be lost in it. */
	vm.run->immediate_exit = 1;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	alarm(options.timeout);
}

static uint8_t port_read(uint16_t port)
{
	if (uart_has(port))
		return uart_read(&vm, port);
	return port == PORT_RESET || port == PORT_CLOCK ? 0 : 0xff;
}

/* Returns false when the guest wants to end. */
static bool port_write(uint16_t port, uint8_t value)
{
	if (uart_has(port)) {
		uart_write(&vm, port, value);
		/* Process 1 gets its console just before the guest frees its code. */
		if (vm.is_private && uart_is_open())
			window_drop_start();
	}
	return port != PORT_RESET || value != RESET;
}

static bool handle_io(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i, n = run->io.count * run->io.size;
	bool more = true;

	for (i = 0; i < n; i++) {
		uint16_t port = run->io.port + i % run->io.size;

		if (run->io.direction == KVM_EXIT_IO_IN)
			data[i] = port_read(port);
		else
			more &= port_write(port, data[i]);
	}
	return more;
}

/*
 * AMD's reasons to leave the guest of which KVM has done all but to step over
 * the instruction.
 */
static const struct {
	uint32_t code;
	uint8_t length;
} skipped[] = {
	{ 0x72, 2 },	/* CPUID */
	{ 0x7c, 2 },	/* RDMSR, WRMSR */
	{ 0x89, 2 },	/* WBINVD */
	{ 0x8d, 3 },	/* XSETBV */
};

static void handle_unread(struct kvm_run *run)
{
	/* Flags, the instruction if it is known, and then the reason. */
	unsigned int at = run->emulation_failure.flags ? 3 : 1;
	uint32_t code = run->internal.data[at];
	struct kvm_regs regs;
	size_t i;

	if (ioctl(vm.vcpu, KVM_GET_REGS, &regs))
		die("KVM_GET_REGS: %s", strerror(errno));
	for (i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		if (!vm.is_private || run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
		    code != skipped[i].code)
			continue;
		regs.rip += skipped[i].length;
		if (ioctl(vm.vcpu, KVM_SET_REGS, &regs))
			die("KVM_SET_REGS: %s", strerror(errno));
		return;
	}
	die("KVM cannot go on at 0x%llx: error %u, reason 0x%x", regs.rip,
	    run->internal.suberror, code);
}

/* Returns false when the guest has ended. */
static bool handle_exit(struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return handle_io(run);
	case KVM_EXIT_INTERNAL_ERROR:
		handle_unread(run);
		return true;
	case KVM_EXIT_MMIO:
		die("the guest looks for a device at 0x%llx, where none is", run->mmio.phys_addr);
	case KVM_EXIT_SHUTDOWN:
		die("the guest died of a triple fault");
	default:
		die("the guest stopped for a reason that is unknown here: %u", run->exit_reason);
	}
}

static void run_guest(void)
{
	while (!signalled) {
		if (!ioctl(vm.vcpu, KVM_RUN, 0)) {
			if (!handle_exit(vm.run))
				break;
		} else if (errno == EFAULT && vm.run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
			die("KVM has no memory for the guest's access to 0x%llx",
			    vm.run->memory_fault.gpa);
		} else if (errno != EINTR && errno != EAGAIN) {
			die("KVM_RUN: %s", strerror(errno));
		}
	}
	fflush(stdout);
	if (signalled == SIGALRM && done)
		die("the guest does not end after its last line");
	if (signalled == SIGALRM)
		die("no line \"" LAST_LINE "\" in %lu s: give more --timeout", options.timeout);
	if (!done)
		die(signalled ? "ended before the guest's last line" :
				"the guest ended before its last line");
}

/*
 * For the guest's kernel: it has a serial console and none of the devices that it
 * would look for, and a reset is written to a port.
 */
static char *command_line(void)
{
	unsigned int khz = vm_tsc_khz(&vm);
	char tsc[32] = "";
	char *line;

	/* It has nothing to measure this with but a timer that is slow to ask. */
	if (khz)
		snprintf(tsc, sizeof(tsc), " tsc_early_khz=%u", khz);
	if (asprintf(&line,
		     "console=ttyS0 quiet acpi=off pci=off noapic nolapic nosmp nokaslr reboot=k panic=-1 tsc=reliable%s %s --%s",
		     tsc, options.append, options.stay ? " stay" : "") < 0)
		die("out of memory");
	return line;
}

int main(int argc, char **argv)
{
	struct kernel kernel;

	parse_options(argc, argv);
	prctl(PR_SET_NAME, options.name);
	setvbuf(stdout, NULL, _IOLBF, 0);

	vm.size = options.mem;
	vm.is_private = options.is_private;
	kernel_open(&kernel, options.kernel);
	vm_create(&vm);
	kernel_load(&kernel, &vm, command_line());
	if (vm.is_private) {
		vm_add_memory(&vm, window_open(&kernel, &vm));
		vm_make_private(&vm);
	} else {
		vm_add_memory(&vm, vm.mem);
	}
	catch_signals();
	run_guest();
	must_be_written();
	return 0;
}
