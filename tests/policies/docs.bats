#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The documents on policies: the example of docs/writing-policies.md is built,
# attached and does what it says, and docs/policies.md has every parameter as
# it is. Run as root in the VM:
#	tests/vm/run -- bats tests/policies/docs.bats

bats_require_minimum_version 1.5.0

setup_file()
{
	export TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export PATH=$TOP/build:$PATH
	cd "$TOP"
	export CLANG=$(. kernel/lib.sh; find_clang)
	export DIR=$BATS_FILE_TMPDIR
}

teardown()
{
	if [ -e "$DIR/load.pid" ]; then
		kill -INT "$(cat "$DIR/load.pid")" || true
		rm "$DIR/load.pid"
	fi
	gmempolicy detach --all
}

# block LANGUAGE: the first fenced block of it in docs/writing-policies.md.
block()
{
	sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$TOP/docs/writing-policies.md" |
		sed '/^```$/q' | sed '1d;$d'
}

# build_example: as the document says, but in a directory of its own.
build_example()
{
	block c >"$DIR/budget.bpf.c"
	block sh | sed "s:budget\.bpf:$DIR/&:g" >"$DIR/build.sh"
	cd "$TOP"
	sh -e "$DIR/build.sh"
	[ -s "$DIR/budget.bpf.o" ]
}

@test "the example builds as the document says" {
	[ "$(block c | wc -l)" -gt 30 ]
	build_example
}

@test "gmempolicy shows the example's parameters" {
	[ -e "$DIR/budget.bpf.o" ] || build_example
	run gmempolicy show "$DIR/budget.bpf.o"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *budget* && $output == *pages*65536* ]]
}

@test "the example attaches and gives a guest its budget and no more" {
	[ -e "$DIR/budget.bpf.o" ] || build_example
	gmemload --guest pingpong,name=spender,rate=200 --guest steady,name=other \
		--json "$DIR/load.json" --pidfile "$DIR/pids" 3>&- &
	echo $! >"$DIR/load.pid"
	for i in $(seq 300); do
		[ ! -s "$DIR/pids" ] || break
		sleep 0.1
	done
	pid=$(sed -n 's/^spender //p' "$DIR/pids")
	gmempolicy attach "$DIR/budget.bpf.o" --pid "$pid" --set pages=50
	shared=$(gmemtop --json -n 1 -d 0.1 |
		jq ".vms[] | select(.pid == $pid).pages_to_shared")
	sleep 3
	gmemtop --json -n 1 -d 1 >"$DIR/frame.json"
	jq -e ".vms[] | select(.pid == $pid) |
		.pages_to_shared <= $shared + 50 and .conversions_denied > 0" "$DIR/frame.json"
	jq -e '.vms[] | select(.name == "other") |
		.conversions_denied == 0 and .faults_denied == 0' "$DIR/frame.json"

	kill -INT "$(cat "$DIR/load.pid")"
	wait "$(cat "$DIR/load.pid")"
	rm "$DIR/load.pid"
	jq -es 'map(select(.summary)) | .[0] |
		.status == "ok" and (.errors.convert | keys) == ["EDQUOT"]' "$DIR/load.json"
	# The guest is gone, and so is what was kept of it.
	[ "$(bpftool -j map dump name vms | jq length)" -eq 0 ]
}

@test "docs/policies.md has a section for every policy" {
	for f in "$TOP"/bpf/policies/*.bpf.c; do
		name=$(basename "$f" .bpf.c)
		grep -qx "## $name" "$TOP/docs/policies.md" || {
			echo "no section for $name"
			return 1
		}
	done
}

@test "docs/policies.md has every parameter with its default, range and unit" {
	for f in "$TOP"/bpf/policies/*.bpf.c; do
		name=$(basename "$f" .bpf.c)
		sed -n "/^## $name\$/,/^## /p" "$TOP/docs/policies.md" >"$DIR/section"
		gmempolicy show "$name" --json >"$DIR/show.json"
		jq -r '.parameters[] | "| `\(.name)` | \(.default) | \(.range) | \(.unit // "-") | \(.help) |"' \
			"$DIR/show.json" >"$DIR/rows"
		while IFS= read -r row; do
			grep -qxF -- "$row" "$DIR/section" || {
				echo "$name: not in its section: $row"
				return 1
			}
		done <"$DIR/rows"
		[ "$(grep -c '^| `' "$DIR/section")" -eq "$(wc -l <"$DIR/rows")" ]
	done
}

@test "every policy says what it does, to whom it is fair, what it cannot stop" {
	for f in "$TOP"/bpf/policies/*.bpf.c; do
		head="$(sed '/^ \*\/$/q' "$f")"
		[[ $head == *"$(basename "$f" .bpf.c): "* || $head == *"$(basename "$f" .bpf.c):"* ]]
		[[ $head == *fair* ]]
		[[ $head == *"cannot"* ]]
	done
}
