#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/layers on a toy: one tool of two folders, and what it is to find there.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p tools/lib tools/t/low tools/t/high
	printf '%s\tsomething\n' lib t/low t/high >tools/layers
	unit lib/base '' 'int base(void) { return 1; }'
	unit t/low/a '"base.h"' 'int a(void) { return base(); }'
	unit t/low/b '"low/a.h"' 'int b(void) { return a(); }'
	unit t/high/c '"low/b.h"' 'int c(void) { return b(); }'
}

# unit NAME INCLUDE BODY: a file, its header and its object
unit()
{
	local f=${1##*/}

	echo "int $f(void);" >"tools/$1.h"
	printf '%s%s\n%s\n' "${2:+#include }" "$2" "$3" >"tools/$1.c"
	mkdir -p "build/obj/tools/${1%/*}"
	cc -Itools/lib -Itools/t -w -c "tools/$1.c" -o "build/obj/tools/$1.o"
}

layers()
{
	run "$BATS_TEST_DIRNAME/../layers" .
	echo "$output"
}

# found NUMBER TEXT: only this test failed, and says so
found()
{
	[ "$(grep -c '^not ok' <<<"$output")" -eq 1 ]
	[[ $output == *"not ok $1 "* ]]
	[[ $output == *"# $2"* ]]
}

@test "what uses what is below it passes" {
	layers
	[[ $output != *"not ok"* ]]
	[[ $output == *"1..4" ]]
}

@test "an include that looks up is found" {
	sed -i '1i #include "high/c.h"' tools/t/low/a.c
	sed -i '1d' tools/t/high/c.c
	unit t/high/c '' 'int c(void) { return 1; }'
	layers
	found 2 "t/low/a.c includes t/high/c.h"
}

@test "a call that looks up is found without an include" {
	unit t/high/c '' 'int c(void) { return 1; }'
	unit t/low/b '' 'int c(void); int b(void) { return c(); }'
	layers
	found 3 "t/low/b uses c of t/high/c"
}

@test "a circle of files of one folder is found" {
	unit t/low/a '"low/b.h"' 'int a(void) { return 1; }'
	layers
	found 4 "a circle: t/low/b.c includes t/low/a.h, t/low/a.c includes t/low/b.h"
}

@test "what another header declares is found" {
	echo 'int a(void);' >>tools/t/low/b.h
	: >tools/t/low/a.h
	layers
	found 3 "a of t/low/a is declared in no header of it"
}

@test "a folder that has no place is found" {
	sed -i '/high/d' tools/layers
	layers
	[[ $output == *"# tools/t/high is not in tools/layers"* ]]
	[ "$status" -ne 0 ]
}
