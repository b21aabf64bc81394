# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of gmemload share: to run it, to look at what it wrote, and to
# answer it in KVM's stead.

bats_require_minimum_version 1.5.0

GMEMLOAD=$BATS_TEST_DIRNAME/../../build/gmemload
MEM_PAGES=4096	# of the default 16M

setup() {
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	# A test that failed half way must not disturb the next one.
	[ ! -e driver.pid ] || kill -KILL "$(cat driver.pid)" 2>/dev/null || true
}

# load ARG...: run to the end; the last line of the guest goes to summary.json
load() {
	timeout 300 "$GMEMLOAD" "$@" >out.json
	jq -es 'map(select(.summary)) | last' out.json >summary.json
}

# holds EXPRESSION [FILE]: a jq expression is true of the summary
holds() {
	jq -e "$1" "${2:-summary.json}" >/dev/null || {
		echo "not true: $1 of"
		cat "${2:-summary.json}"
		return 1
	}
}

# start ARG...: run in the background until all guests run
start() {
	rm -f pids
	"$GMEMLOAD" --pidfile pids "$@" >out.json 2>err.txt 3>&- &
	echo $! >driver.pid
	for _ in $(seq 600); do
		[ ! -e pids ] || return 0
		sleep 0.1
	done
	echo "guests did not start:"
	cat err.txt
	return 1
}

# stop: end what start began
stop() {
	kill -TERM "$(cat driver.pid)"
	wait "$(cat driver.pid)"
	rm driver.pid
}

# gone PID...: none of them exists, after a moment at most
gone() {
	local pid
	for pid in "$@"; do
		for _ in $(seq 300); do
			[ -e "/proc/$pid" ] || continue 2
			sleep 0.1
		done
		echo "process $pid is left: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		return 1
	done
}

# stop_while_delayed [OPTION...]: a guest whose conversions wait for a policy ends
stop_while_delayed() {
	local began driver gmempolicy

	gmempolicy=$(dirname "$GMEMLOAD")/gmempolicy
	start pingpong "$@" --rate 200
	driver=$(cat driver.pid)
	"$gmempolicy" attach ratelimit --pid "$(awk '{ print $2 }' pids)" \
		--set rate=1 --set burst=1 --set action=delay
	sleep 2
	began=$SECONDS
	kill -INT "$driver"
	gone "$driver"
	[ $((SECONDS - began)) -le 5 ]
	"$gmempolicy" detach --all
}

# usage_error WORD ARG...: exit status 2, one line that names WORD, no output
usage_error() {
	local word=$1
	shift
	run --separate-stderr -2 "$GMEMLOAD" "$@"
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "gmemload: "*"$word"* ]]
}

# huge_pages: pages of all guests that are in huge folios
huge_pages() {
	cat /sys/kernel/debug/kvm/gmem_huge_pages
}

# touches_huge ARG...: memory comes in huge folios, and not without being asked for
touches_huge() {
	start steady --mem 8M --rate max --huge "$@"
	for _ in $(seq 300); do
		[ "$(huge_pages)" -ne 2048 ] || break
		sleep 0.1
	done
	[ "$(huge_pages)" -eq 2048 ]
	stop
	jq -es 'last | .huge and .status == "ok"' out.json
	start steady --mem 8M --rate max "$@"
	sleep 2
	[ "$(huge_pages)" -eq 0 ]
	stop
	jq -es 'last | (.huge | not) and .status == "ok"' out.json
}

# survives_huge ARG...: patterns find in their memory what they wrote, however often
# its folios are split and merged
survives_huge() {
	local pattern
	for pattern in steady churn pingpong giant boot fragment walk scatter bounce reset hoard; do
		load $pattern --mem 4M --huge --rate max --duration 2 "$@"
		holds '.status == "ok" and .refused == 0 and .steps > 0'
	done
}

# in_use: KiB that programs and files take of this machine, guest_memfds among them
in_use() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(Cached|AnonPages):/ { sum += $2 } END { print sum }' /proc/meminfo
}

# share_a_quarter ARG...: sets TAKEN to what a guest takes of the host that has
# touched all of its 64M and a quarter of them again when it had shared that,
# in thousandths of its size; the same guest, idle, is what it does not take
share_a_quarter() {
	local idle busy
	start idle --mem 64M "$@"
	idle=$(in_use)
	stop

	start hoard --mem 64M --buffers 256 --rate max --interval 0.2 "$@"
	for _ in $(seq 600); do
		! jq -es 'map(.pages_to_shared) | add == 4096' out.json >/dev/null || break
		sleep 0.1
	done
	busy=$(in_use)
	stop
	jq -es 'last | .status == "ok" and .pages_to_shared == 4096' out.json
	TAKEN=$((1000 * (busy - idle) / 65536))
	printf '# 64M of which 16M are shared%s: %d KiB, %d.%03d times its size\n' "${1:+ ($*)}" \
		$((busy - idle)) $((TAKEN / 1000)) $((TAKEN % 1000)) >&3
}

# Library that makes KVM's answers what a policy would make them.
make_refuser() {
	cat >refuse.c <<-'END'
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <errno.h>
	#include <linux/kvm.h>
	#include <stdarg.h>
	#include <stdlib.h>
	#include <sys/mman.h>

	#ifndef KVM_EXIT_MEMORY_FAULT
	#define KVM_EXIT_MEMORY_FAULT 39
	#endif
	/* Both ioctls have this number: the old one and the one in place. */
	#define IS_SET_ATTRIBUTES(request) (((request) & 0xffff) == 0xaed2)
	#define IN_PLACE(request) ((request) >> 16 == 0xc080)

	static struct kvm_run *kvm_run;

	void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
	{
		void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
		void *p = real(addr, len, prot, flags, fd, off);

		/* The library maps a vCPU's kvm_run last, from offset 0 of its fd. */
		if (fd >= 0 && (flags & MAP_SHARED) && !off && len < 65536)
			kvm_run = p;
		return p;
	}

	int ioctl(int fd, unsigned long request, ...)
	{
		int (*real)(int, unsigned long, void *) = dlsym(RTLD_NEXT, "ioctl");
		static unsigned int conversions, runs;
		va_list ap;
		void *arg;

		va_start(ap, request);
		arg = va_arg(ap, void *);
		va_end(ap);

		if (IS_SET_ATTRIBUTES(request) && IN_PLACE(request)) {
			/* Offset, size, attributes, flags, error_offset. */
			__u64 *attr = arg;

			if (attr[2] && getenv("REFUSE_HELD")) {
				attr[4] = attr[0] + atoi(getenv("REFUSE_HELD"));
				errno = EAGAIN;
				return -1;
			}
			if (attr[2] && getenv("OVERLOOK_HELD"))
				return 0;
		}
		if (IS_SET_ATTRIBUTES(request) && conversions++ && getenv("REFUSE_CONVERT")) {
			if (conversions % 4 == 1) {
				errno = EINTR;
				return -1;
			}
			if (conversions % 4 == 3) {
				errno = EBUSY;
				return -1;
			}
		}
		if (request == KVM_RUN && getenv("REFUSE_FAULT") && ++runs % 8 == 1) {
			/* Flags, gpa and size; headers before 6.8 don't name them. */
			__u64 *fault = (__u64 *)&kvm_run->hw;

			kvm_run->exit_reason = KVM_EXIT_MEMORY_FAULT;
			fault[0] = 1 << 3;
			fault[1] = strtoull(getenv("FAULT_GPA") ?: "0", NULL, 0);
			fault[2] = 4096;
			errno = atoi(getenv("REFUSE_FAULT"));
			return -1;
		}
		return real(fd, request, arg);
	}
	END
	gcc -O1 -shared -fPIC -o refuse.so refuse.c -ldl
}
