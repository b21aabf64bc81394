#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy with objects that are not its own: show, check and new, anyone's
# parameters, and files that are damaged, hostile or not for this kernel. Run as
# root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-author.bats

load gmempolicy

setup_file()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
	export CLANG=$(command -v clang-19 || command -v clang)
}

teardown()
{
	gmempolicy detach --all
}

# object NAME: builds standard input, behind what every policy includes.
object()
{
	{
		cat <<-'END'
		#define BPF_NO_KFUNC_PROTOTYPES
		#include "vmlinux.h"
		#include <bpf/bpf_helpers.h>
		#include <bpf/bpf_tracing.h>
		#include "gmem.bpf.h"
		char _license[] SEC("license") = "GPL";
		END
		cat
	} >"$BATS_TEST_TMPDIR/$1.bpf.c"
	"$CLANG" -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 \
		-I"$TOP/build/include" -I"$TOP/build/libbpf/include" \
		-I"$TOP/bpf/include" -c "$BATS_TEST_TMPDIR/$1.bpf.c" \
		-o "$BATS_TEST_TMPDIR/$1.bpf.o"
	obj=$BATS_TEST_TMPDIR/$1.bpf.o
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
	} | object "$1"
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

@test "show: every policy that is built in, plain and JSON" {
	names=$(gmempolicy list --json | jq -r '.available[].name')
	[ -n "$names" ]
	for name in $names; do
		run gmempolicy show "$name"
		[ "$status" -eq 0 ]
		[[ $output == *"guest sees"* ]]
		gmempolicy show "$name" --json | jq -e --arg name "$name" '
			.policy.name == $name and .policy.about != null and
			.policy.guest_sees != null and
			all(.parameters[]; .help != null and .range != null)'
	done
}

@test "show: needs no privilege" {
	run setpriv --reuid nobody --clear-groups gmempolicy show ratelimit
	[ "$status" -eq 0 ]
	[[ $output == *rate*conversions/s* ]]
}

@test "show: a third party's object" {
	third_party
	run gmempolicy show "$obj"
	[ "$status" -eq 0 ]
	[[ $output == *"a third party's"* ]]
	[ "$(gmempolicy show "$obj" --json | jq -r '.parameters[] |
		"\(.name) \(.default) \(.range) \(.unit)"')" = "small 3 1 to 9 things
sign -1 -5 to 5 null
bare 18446744073709551615 0 to 18446744073709551615 null
way right left, right null" ]
}

@test "show: wrong usage" {
	refuses 2 "no policy given" show
	refuses 2 "leave 'b' out" show a b
	refuses 2 "unknown policy 'quta'" show quta
	refuses 2 "cannot read './quta.o'" show ./quta.o
}

@test "a third party's object is attached, set and read by its programs" {
	third_party
	gmempolicy attach "$obj" --all --set small=4 --set way=left
	start=$(bpftool -j map dump name .data.params | jq -c .)
	[ -n "$start" ]
	"$TOP/tests/cli/vm.pl" once 1000 1
	seen=$(bpftool -j map dump name third.bss | tail -n 1)
	[[ $seen == *'"seen_small":4'* && $seen == *'"seen_sign":-1'* ]]
	gmempolicy set third-all sign=-5 way=right small=9
	"$TOP/tests/cli/vm.pl" once 1000 1
	seen=$(bpftool -j map dump name third.bss | tail -n 1)
	[[ $seen == *'"seen_small":9'* && $seen == *'"seen_sign":-5'* ]]
	[[ $seen == *'"seen_way":2'* ]]
}

@test "a third party's ranges are kept" {
	third_party
	refuses 2 "small takes a whole number of things from 1 to 9, not '10'" \
		attach "$obj" --all --set small=10
	refuses 2 "sign takes a whole number from -5 to 5, not '-6'" \
		attach "$obj" --all --set sign=-6
	refuses 2 "way takes one of left, right, not '1'" \
		attach "$obj" --all --set way=1
	gmempolicy attach "$obj" --all
	refuses 2 "sign takes a whole number from -5 to 5, not '6'" \
		set third-all sign=6
}

@test "parameters without gmem_params() can be set, too" {
	object plain <<-'END'
	struct { u64 limit; } params SEC(".data.params") = { 5 };
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return params.limit ? 0 : gmem_deny(EPERM);
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops plain = { .convert = (void *)c, .name = "plain" };
	END
	gmempolicy attach "$obj" --all
	[ "$("$TOP/tests/cli/vm.pl" x 1000 1 | tail -n 1 | jq .perm)" = 0 ]
	gmempolicy set plain-all limit=0
	[ "$("$TOP/tests/cli/vm.pl" x 1000 1 | tail -n 1 | jq .perm)" = 1 ]
}

@test "check: accepts, attaches nothing, plain and JSON" {
	for name in $(gmempolicy list --json | jq -r '.available[].name'); do
		gmempolicy check "$name" --json |
			jq -e '.check.result == "accepted" and
				all(.programs[]; .verified_steps > 0)'
	done
	run gmempolicy check ratelimit
	[[ $output == *accepted* && $output == *ratelimit_convert*yes* ]]
	nothing_left
	[ "$(bpftool -j prog list | jq '[.[] | select(.type == "struct_ops")] | length')" -eq 0 ]
}

@test "check: wrong usage" {
	refuses 2 "no file given" check
	refuses 2 "leave 'b' out" check a b
	refuses 1 "cannot read 'none.o'" check none.o
}

@test "check: explains a pointer that may be NULL" {
	object x <<-'END'
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
		 __type(key, u32); __type(value, u64); } m SEC(".maps");
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		u32 zero = 0;
		u64 *v = bpf_map_lookup_elem(&m, &zero);
		return *v;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
	END
	refuses 1 "the result of a map lookup is used before it is compared with NULL" \
		check "$obj"
	[[ $stderr == *"return *v"* ]]
	refuses 1 "compared with NULL" attach "$obj" --all
	run --separate-stderr gmempolicy check "$obj" --json
	[ "$status" -eq 1 ]
	jq -e '.check.result == "refused" and (.check.meaning | contains("NULL"))' <<<"$output"
	run --separate-stderr gmempolicy check "$obj" --log
	[ "$status" -eq 1 ]
	[[ $output == *"R0 invalid mem access"* ]]
	nothing_left
}

@test "check: explains a loop without end" {
	convert x <<-'END'
		u64 n = convert->end;
		while (n != 7)
			n = n * 3 + bpf_ktime_get_ns();
		return n;
	END
	run --separate-stderr gmempolicy check "$obj"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *loop* ]]
}

@test "check: explains a write to the kernel's data" {
	convert x <<-'END'
		((struct kvm *)kvm)->userspace_pid = 0;
		return 0;
	END
	refuses 1 "a policy may only read its arguments" check "$obj"
}

@test "check: explains an index out of bounds" {
	object x <<-'END'
	u64 table[4];
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return table[convert->end & 7];
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
	END
	refuses 1 "it reaches outside of a map's value" check "$obj"
}

@test "check: explains a program that may sleep where it must not" {
	object x <<-'END'
	SEC("struct_ops.s/invalidate")
	void BPF_PROG(i, struct kvm *kvm, const struct kvm_gmem_invalidate *inv)
	{
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .invalidate = (void *)i, .name = "x" };
	END
	run --separate-stderr gmempolicy check "$obj"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == *"invalidate must not"* ]]
}

@test "an object without a policy, and one with two" {
	refuses 2 "has no struct kvm_gmem_ops" \
		attach "$TOP/build/bpf/usage.bpf.o" --all
	object two <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops one = { .name = "one" };
	SEC(".struct_ops.link")
	struct kvm_gmem_ops other = { .name = "other" };
	END
	refuses 2 "has two struct kvm_gmem_ops, one and other" attach "$obj" --all
	refuses 1 "has two struct kvm_gmem_ops" check "$obj"
	nothing_left
}

@test "an object without a name that can be used" {
	object x <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .name = "../etc" };
	END
	refuses 2 "has no name that can be used" attach "$obj" --all
	object y <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .priority = 1 };
	END
	refuses 2 "has no name that can be used" attach "$obj" --all
}

@test "an object built for another kernel" {
	object x <<-'END'
	extern int bpf_kvm_gmem_of_tomorrow(struct kvm *kvm) __ksym;
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return bpf_kvm_gmem_of_tomorrow(kvm);
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
	END
	refuses 1 "it needs a kernel function that this kernel does not have" \
		attach "$obj" --all
	object y <<-'END'
	struct kvm_arch___new { int of_tomorrow; } __attribute__((preserve_access_index));
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return ((struct kvm_arch___new *)&kvm->arch)->of_tomorrow;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "y" };
	END
	refuses 1 "a type or a member that this kernel does not have" \
		attach "$obj" --all
	nothing_left
}

@test "truncated objects at any length, and files that are none" {
	third_party
	size=$(stat -c %s "$obj")
	for part in 0 1 20 63 64 100 $((size / 3)) $((size / 2)) $((size - 1)); do
		head -c "$part" "$obj" >"$BATS_TEST_TMPDIR/cut.o"
		run --separate-stderr gmempolicy show "$BATS_TEST_TMPDIR/cut.o"
		echo "$part: $status $stderr"
		[ "$status" -eq 2 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
	refuses 2 "is no BPF object" show "$BATS_TEST_TMPDIR/"
	refuses 2 "is no BPF object" show "$TOP/Makefile"
	refuses 2 "is no BPF object" show "$TOP/build/gmemtop"
	refuses 2 "is no BPF object" attach /dev/null --all
	mkfifo "$BATS_TEST_TMPDIR/fifo.o"
	refuses 2 "is no BPF object" show "$BATS_TEST_TMPDIR/fifo.o"
	nothing_left
}

@test "hostile objects: a byte changed anywhere is refused or harmless" {
	third_party
	cp "$obj" "$BATS_TEST_TMPDIR/good.o"
	perl -e '
		my ($from, $dir) = @ARGV;
		local $/; open(my $f, "<", $from); binmode $f; my $data = <$f>;
		srand(7);
		for my $i (1 .. 40) {
			my $bad = $data;
			substr($bad, int(rand(length $bad)), 1) = chr(int(rand(256)))
				for 1 .. 8;
			open(my $o, ">", "$dir/bad$i.o"); binmode $o; print $o $bad;
		}' "$obj" "$BATS_TEST_TMPDIR"
	for i in $(seq 40); do
		run --separate-stderr timeout 20 gmempolicy show "$BATS_TEST_TMPDIR/bad$i.o"
		echo "bad$i: $status $stderr"
		[ "$status" -eq 0 ] || [ "$status" -eq 2 ]
		[ "${#stderr_lines[@]}" -le 1 ]
	done
}

@test "hostile tags and parameters" {
	for member in 'u64 x __attribute__((btf_decl_tag("gmem:min=9;max=1;help=h")))' \
		'u64 x __attribute__((btf_decl_tag("gmem:min=x;help=h")))' \
		'u64 x __attribute__((btf_decl_tag("gmem:values=;help=h")))' \
		'u64 x __attribute__((btf_decl_tag("gmem:values=a=1,=2;help=h")))' \
		'u64 x __attribute__((btf_decl_tag("gmem:nonsense")))' \
		'u64 x[4]' 'struct { u64 y; } x' 'u64 x : 3' 'void *x'; do
		object x <<-END
		struct p { $member; } params SEC(".data.params") = {};
		SEC("struct_ops.s/convert")
		s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
		{
			return *(volatile char *)&params;
		}
		SEC(".struct_ops.link")
		struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
		END
		run --separate-stderr gmempolicy show "$obj"
		echo "$member: $status $stderr"
		[ "$status" -eq 2 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
}

@test "an object cannot have its maps pinned by the tool" {
	object x <<-'END'
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
		 __type(key, u32); __type(value, u64);
		 __uint(pinning, LIBBPF_PIN_BY_NAME); } spy SEC(".maps");
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		u32 zero = 0;
		return !!bpf_map_lookup_elem(&spy, &zero) - 1;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
	END
	gmempolicy attach "$obj" --all
	[ ! -e /sys/fs/bpf/spy ]
	[ "$(ls -A $PINS)" = x-all ]
}

@test "new: what it writes builds, attaches and passes its own test" {
	cd "$BATS_TEST_TMPDIR"
	run gmempolicy new mine
	[ "$status" -eq 0 ]
	[ "$output" = "wrote mine" ]
	run make -C mine CLANG="$CLANG" check
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *accepted* ]]
	run make -C mine CLANG="$CLANG" test
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"ok 3"* && $output != *"not ok"* ]]
	# And it does what its file says.
	gmempolicy attach mine/mine.bpf.o --all --set max_pages=2
	[ "$("$TOP/tests/cli/vm.pl" x 1000 2 2 | tail -n 1 | jq .ok)" = 2 ]
	[ "$("$TOP/tests/cli/vm.pl" x 1000 2 3 | tail -n 1 | jq .perm)" = 2 ]
}

@test "new: JSON, and wrong usage" {
	cd "$BATS_TEST_TMPDIR"
	[ "$(gmempolicy new sub_1 --json | jq -r '.created[0].path')" = sub_1 ]
	refuses 1 "is there already" new sub_1
	refuses 2 "no name given" new
	refuses 2 "leave 'b' out" new a b
	for name in 1a A a-b a.b "" averyveryveryverylongname_x "a b"; do
		refuses 2 "is no name for a policy" new "$name"
	done
	refuses 1 "cannot make '/proc/x'" new /proc/x
	refuses 1 "cannot make 'no/such'" new no/such
}

@test "the manual and --help name the same verbs and options" {
	command -v man >/dev/null || skip "needs man"
	page=$(MANWIDTH=200 man -l "$TOP/docs/man/gmempolicy.8" | col -b)
	for verb in $(gmempolicy --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		echo "verb $verb"
		grep -qE "^ *(gmempolicy )?$verb( |\$)" <<<"$page"
		for option in $(gmempolicy help "$verb" | grep -oE -- '--[a-z]+'); do
			echo "option $option"
			grep -q -- "$option" <<<"$page"
		done
	done
	# Nor does the manual promise an option that no verb has.
	help=$(for verb in $(gmempolicy --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		gmempolicy help "$verb"; done; gmempolicy --help)
	for option in $(grep -oE -- '(^|[ (|])--[a-z]+' <<<"$page" | grep -oE -- '--[a-z]+' | sort -u); do
		echo "manual $option"
		grep -q -- "$option" <<<"$help"
	done
}
