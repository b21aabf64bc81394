# SPDX-License-Identifier: GPL-2.0-only
#
# What the suites of gmempolicy share: guests, what the kernel and the tool say
# of policies, and how a refusal looks.

PINS=/sys/fs/bpf/gmem

bats_require_minimum_version 1.5.0

# Sets TOP, the top directory, and lets the tools built there be called by name.
use_build()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
}

# start_guests LABEL ARGUMENT...: returns when all of them run.
start_guests()
{
	local label=$BATS_FILE_TMPDIR/$1 i

	shift
	gmemload "$@" --json "$label.json" --pidfile "$label.pids" \
		2>"$label.err" 3>&- &
	echo $! >"$label.pid"
	for i in $(seq 300); do
		[ ! -s "$label.pids" ] || return 0
		kill -0 "$(cat "$label.pid")" 2>/dev/null || break
		sleep 0.1
	done
	cat "$label.err" >&2
	return 1
}

# A guest for all tests that converts now and then. Sets CALM, the id of its VM.
start_calm()
{
	start_guests calm --guest pingpong,name=calm,rate=20/s
	watch_vms 0.05
	export CALM=$(of calm id)
}

# stop_guests LABEL: does nothing if they do not run.
stop_guests()
{
	local label=$BATS_FILE_TMPDIR/$1 pid i

	[ -e "$label.pid" ] || return 0
	pid=$(cat "$label.pid")
	kill -INT "$pid"
	# Not our child in another test, so wait(1) will not do.
	for i in $(seq 200); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	rm -f "$label.pid" "$label.pids"
}

# Attached policies as JSON, each in a line.
attached()
{
	gmempolicy list --json | jq -c '.attached[]'
}

guest_pid()
{
	awk -v name="$1" '$1 == name { print $2 }' "$BATS_FILE_TMPDIR"/*.pids
}

# watch_vms SECONDS: what all VMs did in that time.
watch_vms()
{
	frame=$(gmemtop --json -n 1 -d "$1")
}

# of GUEST KEY: of the VMs just watched.
of()
{
	jq --arg name "$1" ".vms[] | select(.name == \$name) | .$2" <<<"$frame"
}

seconds()
{
	date +%s.%N
}

nothing_left()
{
	# Under wait_for, errexit does not hold.
	[ -z "$(ls -A $PINS 2>/dev/null)" ] && [ -z "$(attached)" ]
}

# refuses STATUS PATTERN ARGUMENT...: one line of error and nothing else.
refuses()
{
	local status=$1 pattern=$2

	shift 2
	run --separate-stderr gmempolicy "$@"
	check_refusal "$status" "$pattern"
}

check_refusal()
{
	echo "status $status, stdout '$output', stderr '$stderr'"
	[ "$status" -eq "$1" ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "gmempolicy: "*$2* ]]
}

# start_vm LABEL NAME [RATE [COUNT]]: a VM without a guest; see vm.pl.
start_vm()
{
	local out=$BATS_FILE_TMPDIR/$1.vm i

	"$TOP/tests/cli/vm.pl" "${@:2}" >"$out" 2>&1 3>&- &
	echo $! >"$out.pid"
	for i in $(seq 600); do
		! grep -q ready "$out" || return 0
		sleep 0.1
	done
	cat "$out" >&2
	return 1
}

# stop_vm LABEL...: does nothing if it does not run.
stop_vm()
{
	local label file pid i

	for label in "$@"; do
		file=$BATS_FILE_TMPDIR/$label.vm.pid
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		kill -TERM "$pid" 2>/dev/null || true
		for i in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		rm -f "$file"
	done
}

# came_of LABEL OUTCOME: how many of a VM's requests ended so.
came_of()
{
	tail -n 1 "$BATS_FILE_TMPDIR/$1.vm" | jq ".$2"
}

# vm_of NAME: its id.
vm_of()
{
	gmemtop --json -n 1 -d 0.05 |
		jq --arg name "$1" '.vms[] | select(.name == $name) | .id'
}

# policy PIN KEY: of an attached policy.
policy()
{
	gmempolicy list --json |
		jq -r --arg pin "$1" ".attached[] | select(.pin == \$pin) | .$2"
}

# param PIN NAME: what a parameter is set to.
param()
{
	gmempolicy status "$1" --json |
		jq -r --arg name "$2" '.parameters[] | select(.name == $name).value'
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
	local end=$((SECONDS + $1 * ${GMEM_TEST_PATIENCE:-1}))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

bpf_clang()
{
	"$CLANG" -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 \
		-I"$TOP/build/include" -I"$TOP/build/libbpf/include" \
		-I"$TOP/bpf/include" "$@"
}

# What every policy includes, read once: it is long, and the VM is slow.
prepare_objects()
{
	export CLANG=$(command -v clang-19 || command -v clang)
	cat >"$BATS_FILE_TMPDIR/all.h" <<-'END'
	#define BPF_NO_KFUNC_PROTOTYPES
	#include "vmlinux.h"
	#include <bpf/bpf_helpers.h>
	#include <bpf/bpf_tracing.h>
	#include "gmem.bpf.h"
	END
	bpf_clang -x c-header "$BATS_FILE_TMPDIR/all.h" \
		-o "$BATS_FILE_TMPDIR/all.pch"
}

# object NAME: builds standard input and sets $obj to what comes of it.
object()
{
	obj=$BATS_TEST_TMPDIR/$1.bpf.o
	{
		echo 'char _license[] SEC("license") = "GPL";'
		cat
	} >"$BATS_TEST_TMPDIR/$1.bpf.c"
	bpf_clang -include-pch "$BATS_FILE_TMPDIR/all.pch" \
		-c "$BATS_TEST_TMPDIR/$1.bpf.c" -o "$obj"
}

# convert NAME: a policy whose convert hook has the body on standard input.
convert()
{
	{
		echo "SEC(\"struct_ops.s/convert\")"
		echo "s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)"
		echo "{"
		cat
		echo "}"
		echo "SEC(\".struct_ops.link\")"
		echo "struct kvm_gmem_ops ops = { .convert = (void *)c, .name = \"$1\" };"
	} >"$BATS_TEST_TMPDIR/body"
	object "$1" <"$BATS_TEST_TMPDIR/body"
}

third_party()
{
	object third <<-'END'
	struct third_params {
		GMEM_PARAM(u8, small, "things", 1, 9, "a small one");
		GMEM_PARAM(s32, sign, "", -5, 5, "below 0, too; and a semicolon");
		u64 bare;
		GMEM_PARAM_CHOICE(u32, way, "left=1,right=2", "which way");
	};
	GMEM_PARAMS(struct third_params, "a third party's", "nothing at all") = {
		.small = 3, .sign = -1, .bare = 18446744073709551615ULL, .way = 2,
	};
	u64 seen_small, seen_way;
	s64 seen_sign;
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		const struct third_params *params = gmem_params();

		seen_small = params->small;
		seen_sign = params->sign;
		seen_way = params->way;
		return 0;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops third = { .convert = (void *)c, .name = "third" };
	END
}
