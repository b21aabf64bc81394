#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy with objects that are not its own: anyone's parameters, check and
# new, and objects that the kernel refuses. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-author.bats

load gmempolicy

setup_file()
{
	use_build
	prepare_objects
}

teardown()
{
	gmempolicy detach --all
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
	refuses 2 "cannot read 'none.o'" check none.o
	refuses 2 "unknown policy 'quta'" check quta
	head -c 100 "$TOP/build/bpf/deny.bpf.o" >"$BATS_TEST_TMPDIR/cut.o"
	refuses 2 "is no BPF object" check "$BATS_TEST_TMPDIR/cut.o"
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
	run --separate-stderr gmempolicy check "$obj" --log --json
	jq -e '.check.log | contains("R0 invalid mem access")' <<<"$output"
	nothing_left
}

@test "check: explains a write to the kernel's data" {
	convert x <<-'END'
		((struct kvm *)kvm)->userspace_pid = 0;
		return 0;
	END
	refuses 1 "a policy may only read its arguments" check "$obj"
}

@test "check: explains a loop without end" {
	convert x <<-'END'
		while (!*(volatile u64 *)&convert->end)
			;
		return 0;
	END
	refuses 1 "it has a loop that does not end" check "$obj"
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
	[[ $stderr == *"mark all others SEC(\"struct_ops/...\")"* ]]
	[[ $stderr == *"unsupported member invalidate"* ]]
}

@test "check and attach: explain a vm_init that may sleep, as it once could" {
	object x <<-'END'
	SEC("struct_ops.s/vm_init")
	void BPF_PROG(i, struct kvm *kvm)
	{
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .vm_init = (void *)i, .name = "x" };
	END
	for verb in "check $obj" "attach $obj --all"; do
		run --separate-stderr gmempolicy $verb
		[ "$status" -eq 1 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ $stderr == *"unsupported member vm_init"* ]]
		[[ $stderr == *"only fault and convert do"*"without .s"* ]]
	done
}

@test "check: lists the programs that are told of the end" {
	run --separate-stderr gmempolicy check quota --json
	[ "$status" -eq 0 ]
	jq -e '[.programs[] | select(.hook == "fault_end")] |
		length == 1 and .[0].sleepable == "no"' <<<"$output"
	[[ $(gmempolicy show guard) == *convert_end* ]]
}

@test "a policy that cannot be looked at is in nobody's way" {
	object odd <<-'END'
	struct { u64 x __attribute__((btf_decl_tag("gmem:nonsense"))); }
		params SEC(".data.params") = {};
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return params.x ? gmem_deny(EPERM) : 0;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops odd = { .convert = (void *)c, .name = "odd" };
	END
	mkdir -p -m 700 $PINS
	# Asked before the other and listed before it.
	# It pins what a module has, and then dies of saying so.
	bpftool struct_ops register "$obj" $PINS || [ -e /sys/kernel/btf/kvm ]
	[ -e $PINS/odd ]
	gmempolicy attach ratelimit --all --set rate=7
	for mode in audit enforce; do
		run --separate-stderr gmempolicy $mode --all
		[ "$status" -eq 1 ]
		[ "$output" = "ratelimit-all $mode" ]
		[[ $stderr == *"the policy odd"* ]]
		[ "$(policy ratelimit-all mode)" = $mode ]
	done
	run --separate-stderr gmempolicy status --json
	[ "$status" -eq 1 ]
	[ "$(jq -r '[.policies[].policy] | sort | join(" ")' <<<"$output")" = \
		"odd ratelimit" ]
	[ "$(jq -r '.parameters[] | select(.name == "rate").value' <<<"$output")" = 7 ]
	gmempolicy detach --all
	nothing_left
}

# without_end NAME: an object whose struct kvm_gmem_ops is that of a kernel that
# knows no end.
without_end()
{
	mkdir "$BATS_TEST_TMPDIR/older"
	sed '/u64 expires_ns;/d' "$TOP/build/include/vmlinux.h" \
		>"$BATS_TEST_TMPDIR/older/vmlinux.h"
	obj=$BATS_TEST_TMPDIR/$1.bpf.o
	{
		cat "$BATS_FILE_TMPDIR/all.h"
		echo 'char _license[] SEC("license") = "GPL";'
		echo 'SEC(".struct_ops.link")'
		echo "struct kvm_gmem_ops ops = { .name = \"$1\" };"
	} >"$BATS_TEST_TMPDIR/$1.bpf.c"
	"$CLANG" -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 \
		-I"$BATS_TEST_TMPDIR/older" -I"$TOP/build/libbpf/include" \
		-I"$TOP/bpf/include" -c "$BATS_TEST_TMPDIR/$1.bpf.c" -o "$obj"
}

@test "attach --for: an object that knows no end gets one" {
	without_end older
	! bpftool btf dump file "$obj" | grep -q expires_ns
	gmempolicy attach "$obj" --all --for 1h
	[ "$(policy older-all left_s)" -gt 3000 ]
	gmempolicy audit older-all
	[ "$(policy older-all left_s)" -gt 3000 ]
}

@test "an object that says itself when it ends" {
	object own <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .name = "own", .expires_ns = 1 };
	END
	refuses 1 "the time at which it ends has passed already" attach "$obj" --all
	gmempolicy attach "$obj" --all --for 1h
	[ "$(policy own-all left_s)" -gt 3000 ]
}

@test "status: a number that is too large for a double, and a bucket of another's" {
	object large <<-'END'
	struct my_bucket { struct gmem_bucket mine; struct gmem_bucket yours
		GMEM_BUDGET("your things"); };
	struct big_state { GMEM_STATUS(u64, big, "a big one", "things", 1);
		GMEM_STATUS(s64, low, "a low one", "things", 1);
		struct my_bucket my; };
	GMEM_VM_STATE(vms, struct big_state);
	SEC("struct_ops/vm_init")
	void BPF_PROG(i, struct kvm *kvm)
	{
		struct big_state *s = gmem_vm_state(vms, kvm);
		if (!s)
			return;
		s->big = 9007199254740993ULL;
		s->low = -9007199254740993LL;
		s->my.mine.last = s->my.yours.last = bpf_ktime_get_ns();
		s->my.mine.limit.burst = s->my.yours.limit.burst = 10;
		s->my.mine.credit = 9000000000LL;
		s->my.yours.credit = 5000000000LL;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .vm_init = (void *)i, .name = "large" };
	END
	start_vm one one 0
	gmempolicy attach "$obj" --all
	json=$(gmempolicy status --json)
	[ "$(jq -r '.budgets[] | select(.member == "big").value_text' <<<"$json")" = \
		9007199254740993 ]
	[ "$(jq -r '.budgets[] | select(.member == "low").value_text' <<<"$json")" = \
		-9007199254740993 ]
	jq -e '.budgets[] | select(.member == "my.mine.credit") |
		.value == 9 and (has("value_text") | not)' <<<"$json"
	[ "$(jq -c '[.limits[] | [.limit, .percent]]' <<<"$json")" = \
		'[["my.mine",10],["your things",50]]' ]
	jq -e '.held[0] | .nearest_limit == "your things" and .nearest_percent == 50' \
		<<<"$json"
	stop_vm one
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
	refuses 2 "has two struct kvm_gmem_ops" check "$obj"
	nothing_left
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

@test "new: names that mean something in C or in the headers build, too" {
	cd "$BATS_TEST_TMPDIR"
	for name in int if bool true params vms vm gmem struct gmem_deny vm_state \
		kvm convert policy; do
		gmempolicy new $name
		# Made once already, and that takes long here.
		ln -s "$TOP/build/include/vmlinux.h" $name/include/vmlinux.h
		run make -C $name CLANG="$CLANG" -o include/vmlinux.h
		echo "$output"
		[ "$status" -eq 0 ]
		[ "$(gmempolicy show $name/$name.bpf.o --json | jq -r .policy.name)" = $name ]
	done
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
	# A bats of its own, not one inside this one.
	run env -i PATH="$TOP/build:/usr/bin:/bin:/usr/sbin:/sbin" HOME="$HOME" make -C mine CLANG="$CLANG" test
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"ok 3"* && $output != *"not ok"* ]]
	# And it does what its file says.
	gmempolicy attach mine/mine.bpf.o --all --set max_pages=2
	[ "$("$TOP/tests/cli/vm.pl" x 1000 2 2 | tail -n 1 | jq .ok)" = 2 ]
	[ "$("$TOP/tests/cli/vm.pl" x 1000 2 3 | tail -n 1 | jq .perm)" = 2 ]
}
