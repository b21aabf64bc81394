#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What of gmempolicy needs no kernel of ours: show, new, what it makes of files
# that are damaged, hostile or have mistakes, and whether its manual is true. Run
# on the host:
#	bats tests/cli/gmempolicy-files.bats

load gmempolicy

setup_file()
{
	use_build
	prepare_objects
}

@test "show: every policy that is built in, plain and JSON" {
	names=$(cd "$TOP/bpf/policies" && ls *.bpf.c | sed 's/.bpf.c//')
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
	[ "$(id -u)" -eq 0 ] || skip "nobody is not root here"
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

@test "show: an object with very many parameters" {
	object many <<-END
	struct p { $(seq -f 'u64 p%.0f;' 4000) } params SEC(".data.params") = {};
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return *(volatile char *)&params;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "many" };
	END
	# A stack that would not hold a row of each.
	run bash -c "ulimit -s 512; gmempolicy show '$obj' --json | jq '.parameters | length'"
	[ "$output" = 4000 ]
}

@test "show: wrong usage" {
	refuses 2 "no policy given" show
	refuses 2 "leave 'b' out" show a b
	refuses 2 "unknown policy 'quta'" show quta
	refuses 2 "cannot read './quta.o'" show ./quta.o
}

@test "an object without a name that can be used" {
	object x <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .name = "../etc" };
	END
	refuses 2 "has no name that can be used" show "$obj"
	object y <<-'END'
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .priority = 1 };
	END
	refuses 2 "has no name that can be used" show "$obj"
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
	refuses 2 "is no BPF object" show /dev/null
	mkfifo "$BATS_TEST_TMPDIR/fifo.o"
	refuses 2 "is no BPF object" show "$BATS_TEST_TMPDIR/fifo.o"
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

@test "tags whose values their members cannot hold" {
	for member in 'GMEM_PARAM(u8, x, "", 0, 1000, "h")' \
		'GMEM_PARAM(s8, x, "", -129, 5, "h")' \
		'GMEM_PARAM(s8, x, "", -5, 128, "h")' \
		'GMEM_PARAM(u32, x, "", 4294967296, 4294967297, "h")' \
		'GMEM_PARAM_CHOICE(u8, x, "a=0,b=256", "h")'; do
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
		refuses 2 "the tag of the parameter 'x' of the policy x has a value that its" show "$obj"
	done
}

@test "a default outside of its range" {
	object x <<-'END'
	struct p { GMEM_PARAM(u8, x, "", 1, 9, "h"); };
	struct p params SEC(".data.params") = { 10 };
	SEC("struct_ops.s/convert")
	s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
	{
		return *(volatile char *)&params;
	}
	SEC(".struct_ops.link")
	struct kvm_gmem_ops ops = { .convert = (void *)c, .name = "x" };
	END
	refuses 2 "the default of the parameter 'x' of the policy x is 10, which is not in its range, 1 to 9" \
		show "$obj"
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

# wrong PLACE PATTERN: what is on standard input has a mistake there.
wrong()
{
	cat >"$dir/wrong.toml"
	refuses 1 "$dir/wrong.toml:$1: $2" diff "$dir"
}

@test "TOML mistakes are named by line and column" {
	dir=$BATS_TEST_TMPDIR
	wrong 1:1 "no name" <<<'= 1'
	wrong 1:10 "']' is missing" <<<'[policy.x'
	wrong 1:2 "arrays of tables are not used here" <<<'[[policy]]'
	wrong 2:7 "a value is missing" <<<$'[policy.x]\nuse = \n'
	wrong 2:7 "the text is not ended in its line" <<<$'[policy.x]\nuse = "a\n'
	wrong 2:9 "no such escape" <<<$'[policy.x]\nuse = "\\q"'
	wrong 2:7 "no value; a text needs" <<<$'[policy.x]\nuse = ratelimit'
	wrong 3:1 "'use' is given already, in line 2" \
		<<<$'[policy.x]\nuse = "a"\nuse = "b"'
	wrong 2:9 "the table 'x' is there already, in line 1" <<<$'[policy.x]\n[policy.x]'
	wrong 2:12 "not a whole number" <<<$'[policy.x]\npriority = 1.5'
	wrong 2:12 "not a whole number" <<<$'[policy.x]\npriority = 0x10'
	wrong 2:12 "the number is too large" \
		<<<$'[policy.x]\npriority = 99999999999999999999'
	wrong 2:11 "something follows" <<<$'[policy.x]\nuse = "a" b'
	wrong 2:7 "texts of several lines" <<<$'[policy.x]\nuse = """a"""'
	wrong 2:17 "a table in braces goes on with ','" <<<$'[policy.x]\nset = { rate = 1'
	wrong 2:5 "'=' is missing" <<<$'[policy.x]\nuse "a"'
}

@test "a file of policies that is none, or cannot be read" {
	dir=$BATS_TEST_TMPDIR
	mkfifo "$dir/x.toml"
	run --separate-stderr timeout 10 gmempolicy diff "$dir"
	check_refusal 1 "'$dir/x.toml' is no file of up to 1024 KiB"
	rm "$dir/x.toml"
	mkdir "$dir/x.toml"
	refuses 1 "'$dir/x.toml' is no file" diff "$dir"
}

@test "mistakes in what is asked for are named by line and column" {
	dir=$BATS_TEST_TMPDIR
	wrong 1:1 "unknown key 'polcy'" <<<'polcy = 1'
	wrong 2:1 "unknown key 'usee'; a policy takes use" <<<$'[policy.x]\nusee = "a"'
	wrong 1:9 "no 'use' in" <<<$'[policy.x]\nall = true'
	wrong 1:9 "no scope in" <<<$'[policy.x]\nuse = "ratelimit"'
	wrong 4:1 "a second scope" \
		<<<$'[policy.x]\nuse = "ratelimit"\nall = true\nname = "a"'
	wrong 2:7 "'all' can only be true" <<<$'[policy.x]\nall = false'
	wrong 2:7 "'all' takes a true or false, not a number" <<<$'[policy.x]\nall = 1'
	wrong 2:10 "a cgroup is a path" <<<$'[policy.x]\ncgroup = "a"'
	wrong 2:10 "no cgroup is called '.' or '..'" <<<$'[policy.x]\ncgroup = "/a/../b"'
	wrong 2:10 "it is longer than any path can be" \
		<<<$'[policy.x]\ncgroup = "/'"$(printf 'x%.0s' {1..4096})\""
	wrong 2:8 "an empty name" <<<$'[policy.x]\nname = ""'
	wrong 2:8 "a name has up to 4095 bytes" \
		<<<$'[policy.x]\nname = "'"$(printf 'x%.0s' {1..4096})\""
	wrong 2:8 "'mode' takes" <<<$'[policy.x]\nmode = "off"'
	wrong 2:12 "'priority' takes a number" <<<$'[policy.x]\npriority = 2147483648'
	wrong 1:9 "unknown policy 'quta'" <<<$'[policy.x]\nuse = "quta"\nall = true'
	wrong 1:9 "cannot read '/no.o'" <<<$'[policy.x]\nuse = "/no.o"\nall = true'
	wrong 4:9 "rate takes a whole number of conversions/s from 1" \
		<<<$'[policy.x]\nuse = "ratelimit"\nall = true\nset = { rate = 0 }'
	wrong 5:1 "the policy ratelimit has no parameter 'rat'" \
		<<<$'[policy.x]\nuse = "ratelimit"\nall = true\n[policy.x.set]\nrat = 5'
	wrong 4:16 "a parameter takes a number or a text" \
		<<<$'[policy.x]\nuse = "ratelimit"\nall = true\nset = { rate = [1] }'
	wrong 1:9 "'a b' is no name for a policy" <<<$'[policy."a b"]\nall = true'
	printf '\n[policy.web]\nuse = "ratelimit"\nall = true\n' >"$dir/10.toml"
	wrong 1:9 "a policy 'web' is asked for already, at $dir/10.toml:2:9" \
		<<<$'[policy.web]\nuse = "ratelimit"\nall = true'
}

# Helpers that read or write at will: 4, 45 and 112 to 115 are bpf_probe_read*(),
# 36 is bpf_probe_write_user().
@test "no program of ours calls what lockdown forbids" {
	objdump=$(command -v llvm-objdump-{19..24} llvm-objdump | head -n 1)
	forbidden='call (0x4|0x2d|0x24|0x7[0-3])$'
	nr=0
	for object in "$TOP"/build/bpf/*.bpf.o; do
		run -0 "$objdump" -d "$object"
		case $object in
		# On a kernel without gmem there are no kfuncs: what is read there is the
		# kernel's, by types, and lockdown=confidentiality refuses the programs.
		*/stock*.bpf.o) ;;
		# Those are for the test of it.
		*/peek*.bpf.o) grep -qE "$forbidden" <<<"$output" ;;
		*) ! grep -E "$forbidden" <<<"$output" || return 1 ;;
		esac
		nr=$((nr + 1))
	done
	[ "$nr" -gt 20 ]
}
