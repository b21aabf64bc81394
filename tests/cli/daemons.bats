#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# What stays (record, export, apply --watch, watch) beside logrotate, systemd and
# in containers: signals, readiness, files that others move or cut, and being
# started without a terminal or standard descriptors. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/daemons.bats

load gmempolicy

setup_file()
{
	use_build
	start_calm
}

teardown_file()
{
	gmempolicy detach --all
	stop_guests calm
}

setup()
{
	cd "$BATS_TEST_TMPDIR"
	session=daemons-$BATS_TEST_NUMBER
	daemon=
	listener=
	printf '[policy.p]\nuse = "ratelimit"\nall = true\nset = { rate = 500 }\n' >p.toml
}

teardown()
{
	local pid

	for pid in $daemon $listener; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	tmux -L "$session" kill-server 2>/dev/null || true
	stop_vm late
	gmempolicy detach --all
}

# start COMMAND...: in the background, its output in the file log. Sets daemon.
start()
{
	"$@" >log 2>&1 3>&- &
	daemon=$!
}

start_record()
{
	start gmemtop record "${1:-rec}" -d 0.05 "${@:2}"
	wait_for 30 test -s "${1:-rec}"
}

# ends [SIGNAL]: it does, with status 0.
ends()
{
	local status=0

	kill -"${1:-TERM}" "$daemon"
	wait "$daemon" || status=$?
	daemon=
	[ "$status" -eq 0 ] || { echo "status $status"; cat log; return 1; }
}

alive()
{
	kill -0 "$daemon"
}

grows()
{
	local size=$(stat -c %s "$1")

	wait_for 30 eval "[ \$(stat -c %s '$1') -gt $size ]"
}

# frames FILE...: all of them can be read; prints how many and that of each time
# there is one.
frames()
{
	local file

	for file in "$@"; do
		gmemtop replay "$file" --json || return 1
	done | jq -s 'map(.time_ns) | if . == (sort | unique) then length else error("order") end'
}

# No gap in the times of all frames of FILE...
no_gap()
{
	local file

	for file in "$@"; do
		gmemtop replay "$file" --json
	done | jq -se 'map(.time_ns) as $t | [range(1; $t | length) | $t[.] - $t[. - 1]] |
		all(. > 0 and . < 3e9)'
}

# ------------------------------------------------------------------- record

@test "record: SIGHUP after its file was moved begins a new one, and no frame is lost" {
	start_record
	sleep 0.5
	mv rec moved
	# As loggers do, until it is told.
	grows moved
	[ ! -e rec ]
	kill -HUP "$daemon"
	wait_for 30 test -s rec
	grows rec
	ends
	[ ! -e rec.1 ]
	[ ! -s log ]
	no_gap moved rec
	[ "$(frames moved rec)" -gt 5 ]
}

@test "record: SIGHUP with its file in place goes on in it" {
	start_record
	kill -HUP "$daemon"
	grows rec
	kill -HUP "$daemon"
	grows rec
	ends
	[ "$(ls)" = "$(printf 'log\np.toml\nrec')" ]
	no_gap rec
}

@test "record: an empty file that logrotate made keeps its mode" {
	start_record
	mv rec rec-old
	install -m 0640 /dev/null rec
	kill -HUP "$daemon"
	wait_for 30 test -s rec
	[ "$(stat -c %a rec)" = 640 ]
	ends
	no_gap rec-old rec
}

@test "record: logrotate with the snippet that there is" {
	sed -e "s,/var/log/gmem/rec,$PWD/rec," \
		-e "s,systemctl .*,kill -HUP \$(cat $PWD/pid)," \
		-e 's/dateext/dateext\n\tdateformat -%s/' \
		"$TOP/tools/gmemtop/gmemtop.logrotate" >conf
	grep -q 'kill -HUP' conf
	chmod 644 conf
	start_record
	echo "$daemon" >pid
	for i in 1 2; do
		sleep 1.1
		logrotate -f -s state conf
		wait_for 30 test -s rec
	done
	ends
	[ "$(ls rec-* | wc -l)" -eq 2 ]
	[ ! -s log ]
	no_gap rec-* rec
}

@test "record: copytruncate leaves two recordings" {
	cat >conf <<-END
	$PWD/rec {
		rotate 5
		copytruncate
		dateext
		dateformat -%s
	}
	END
	chmod 644 conf
	start_record
	for i in 1 2 3; do
		sleep 1.1
		logrotate -f -s state conf
		grows rec
	done
	ends
	[ ! -s log ]
	[ "$(ls rec-* | wc -l)" -eq 3 ]
	frames rec-* rec
	[ "$(frames rec)" -gt 1 ]
	# It begins at the beginning, and not behind a hole.
	cmp -n 4 rec rec-"$(ls rec-* | head -n 1 | sed s/rec-//)"
}

@test "record: truncated to nothing a hundred times, it stays a recording" {
	start gmemtop record rec -d 0.01
	wait_for 30 test -s rec
	for i in $(seq 100); do
		: >rec
		sleep 0.03
	done
	grows rec
	ends
	[ ! -s log ]
	frames rec
}

@test "record: a file that is removed is begun anew, and that is said" {
	start_record
	rm rec
	wait_for 30 test -s rec
	ends
	[ "$(cat log)" = "gmemtop: rec was removed; it is begun anew" ]
	frames rec
}

@test "record: a file that is cut or written to is left, and another begun" {
	start_record
	grows rec
	truncate -s -3 rec
	wait_for 30 test -s rec.1
	grows rec
	printf junk >>rec
	wait_for 30 test -s rec.2
	grows rec
	ends
	[ "$(grep -c 'rec was changed by somebody else; it is left as it is, and another is begun' log)" -eq 2 ]
	frames rec
	# What was written before is there.
	[ "$(gmemtop replay rec.1 --json 2>/dev/null | wc -l)" -ge 1 ]
	[ "$(gmemtop replay rec.2 --json 2>/dev/null | wc -l)" -ge 1 ]
	# A frame that was under way may have come behind it.
	grep -qa junk rec.1
}

@test "record: SIGHUP that cannot be followed is said, and nothing is lost" {
	start_record
	mv rec moved
	echo "my thesis" >rec
	kill -HUP "$daemon"
	wait_for 30 grep -q "SIGHUP cannot be followed; the recording goes on in the file that is open" log
	grep -q "rec exists and is not a recording" log
	grows moved
	ends
	[ "$(cat rec)" = "my thesis" ]
	no_gap moved
}

@test "record: two do not share a file" {
	start_record
	run --separate-stderr gmemtop record rec -n 1
	[ "$status" -eq 1 ]
	[ "$stderr" = "gmemtop: another gmemtop records into rec; name another file" ]
	ends
	[ ! -e rec.1 ]
	gmemtop record rec -n 1
	[ -e rec.1 ]
}

@test "record: SIGINT and SIGTERM end it with what it has, at once" {
	for signal in INT TERM; do
		start gmemtop record rec-$signal -d 3600
		wait_for 30 test -s rec-$signal
		ends $signal
		[ "$(frames rec-$signal)" -eq 1 ]
	done
}

# In a terminal that goes away.
@test "record: the end of its terminal ends it, nohup or not as it was told" {
	tmux -L "$session" -f /dev/null new-session -d 'echo $$ >one; exec gmemtop record rec -d 0.1' 3>&-
	tmux -L "$session" new-session -d 'echo $$ >two; exec nohup gmemtop record kept -d 0.1 >/dev/null 2>&1' 3>&-
	wait_for 30 test -s rec
	wait_for 30 test -s kept
	other=$(cat one)
	daemon=$(cat two)
	# With a terminal, it is asked for its file.
	mv rec moved
	kill -HUP "$other"
	wait_for 30 test -s rec
	tmux -L "$session" kill-server
	wait_for 30 eval "! kill -0 $other 2>/dev/null"
	frames rec
	grows kept
	kill -TERM "$daemon"
	wait_for 30 eval "! kill -0 $daemon 2>/dev/null"
	frames kept
}

@test "record: with closed descriptors, messages do not end up in the recording" {
	gmemtop record rec -d 0.05 <&- >&- 2>&- 3>&- &
	daemon=$!
	wait_for 30 test -s rec
	rm rec
	wait_for 30 test -s rec
	grows rec
	: >log
	ends
	frames rec
}

# ------------------------------------------------------------------- export

served()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9753/metrics)" = 200 ]
}

@test "export: SIGHUP is not its end" {
	start gmemtop export
	wait_for 30 served
	kill -HUP "$daemon"
	sleep 1
	served
	ends
}

@test "export: with closed descriptors, and where nobody reads its line" {
	gmemtop export <&- >&- 2>&- 3>&- &
	daemon=$!
	wait_for 30 served
	: >log
	ends
	start sh -c 'exec gmemtop export >/dev/full'
	wait_for 30 served
	ends
}

@test "export --textfile: SIGHUP opens the directory that is there now" {
	mkdir dir
	start gmemtop export --textfile dir -d 0.1
	wait_for 30 test -s dir/gmem.prom
	mv dir old
	mkdir dir
	kill -HUP "$daemon"
	wait_for 30 test -s dir/gmem.prom
	# One that cannot be followed changes nothing.
	mv dir moved
	rm moved/gmem.prom
	kill -HUP "$daemon"
	wait_for 30 grep -q "SIGHUP cannot be followed; the directory that is open stays in use" log
	wait_for 30 test -s moved/gmem.prom
	# Nor does one with the same directory, whose lock it has.
	mv moved dir
	kill -HUP "$daemon"
	sleep 0.5
	rm dir/gmem.prom
	wait_for 30 test -s dir/gmem.prom
	ends
	[ "$(wc -l <log)" -eq 2 ]
}

# ------------------------------------------------------------ apply and watch

@test "apply --watch: goes on when nobody reads what it prints" {
	printf '[policy.q]\nuse = "guard"\nname = "late"\n' >>p.toml
	start sh -c 'exec gmempolicy apply p.toml --watch --json >/dev/full'
	wait_for 60 eval '[ "$(policy p@all state)" = active ]'
	start_vm late late
	wait_for 60 eval '[ "$(policy "q@vm$(vm_of late)" state)" = active ]'
	ends
	# A reader that goes.
	mkfifo pipe
	gmempolicy apply p.toml --watch >pipe 2>err 3>&- &
	daemon=$!
	head -n 1 pipe >/dev/null
	sleep 1
	gmempolicy detach p@all
	wait_for 60 eval '[ "$(policy p@all state)" = active ]'
	: >log
	ends
}

@test "apply --watch: files that are gone at SIGHUP change nothing" {
	mkdir d
	mv p.toml d
	start gmempolicy apply d --watch
	wait_for 60 eval '[ "$(policy p@all state)" = active ]'
	mv d e
	kill -HUP "$daemon"
	wait_for 60 grep -q "the policies asked for before stay in force" log
	gmempolicy detach p@all
	wait_for 60 eval '[ "$(policy p@all state)" = active ]'
	ends
}

@test "watch: SIGHUP, SIGINT and SIGTERM end it in order" {
	gmempolicy attach ratelimit --all --set rate=1
	for signal in HUP INT TERM; do
		start gmempolicy watch --json
		wait_for 60 test -s log
		ends $signal
		# No line is half there.
		jq -se 'all(.policy == "ratelimit")' log
	done
}

# --------------------------------------------------------- a service manager

# listen ADDRESS
listen()
{
	rm -f told
	"$TOP/tests/cli/notified.pl" "$1" >told 3>&- &
	listener=$!
	wait_for 30 grep -q listening told
}

# said LINE...: the messages so far
said()
{
	wait_for 60 eval "[ \$(wc -l <told) -gt $# ]" || true
	sed 1d told | sed 's/MONOTONIC_USEC=[1-9][0-9]*/MONOTONIC_USEC=N/' >messages
	printf '%s\n' "$@" | diff messages -
}

@test "readiness: each says when it is ready, reads again and stops" {
	mkdir dir
	while read -r ready command; do
		# export is nobody, who may not look into this directory.
		listen "@gmem-$$"
		# shellcheck disable=SC2086
		start env NOTIFY_SOCKET="@gmem-$$" $command
		wait_for 60 grep -q READY told
		# At once: it is true when it is said.
		eval "${ready//_/ }"
		said READY=1
		kill -HUP "$daemon"
		said READY=1 'RELOADING=1 MONOTONIC_USEC=N' READY=1
		ends
		said READY=1 'RELOADING=1 MONOTONIC_USEC=N' READY=1 STOPPING=1
		[ "$(grep -c NOTIFY log)" -eq 0 ]
		kill "$listener"
		wait "$listener" || true
	done <<-'END'
	test_-s_rec gmemtop record rec -d 1
	served gmemtop export
	test_-s_dir/gmem.prom gmemtop export --textfile dir -d 1
	test_-e_/sys/fs/bpf/gmem/p@all gmempolicy apply p.toml --watch
	END
}

@test "readiness: a socket with a path, and one that is not there" {
	listen "$PWD/socket"
	start env NOTIFY_SOCKET="$PWD/socket" gmemtop record rec -d 1
	said READY=1
	ends
	start env NOTIFY_SOCKET=/nowhere gmemtop record rec -d 0.1
	grows rec
	ends
	grep -q "cannot tell the service manager 'READY=1' at NOTIFY_SOCKET=/nowhere: No such file or directory" log
	start env NOTIFY_SOCKET=not-a-path gmemtop export
	wait_for 30 served
	ends
	grep -q "NOTIFY_SOCKET=not-a-path: Invalid argument" log
}

@test "readiness: apply says nothing before its policies are in force" {
	printf '[policy.p]\nuse = "ratelimit"\nname = "nobody-*"\nset = { rate = 0 }\n' >p.toml
	listen "$PWD/socket"
	run env NOTIFY_SOCKET="$PWD/socket" gmempolicy apply p.toml --watch
	[ "$status" -eq 1 ]
	[ "$(cat told)" = listening ]
}

@test "the units tell systemd when they are ready, and come before who starts guests" {
	for unit in gmempolicy/gmempolicyd gmemtop/gmemtop-export gmemtop/gmemtop-record; do
		file=$TOP/tools/$unit.service
		grep -qx Type=notify "$file"
		grep -qx 'ExecReload=/bin/sh -c "kill -HUP $MAINPID"' "$file"
		# Without it there is no socket to tell systemd by.
		grep -q '^RestrictAddressFamilies=.*AF_UNIX' "$file"
		grep -q '^After=.*modprobe@kvm.service' "$file"
		sed "s,/usr/sbin/,$TOP/build/,g" "$file" >"$(basename "$file")"
		command -v systemd-analyze >/dev/null || continue
		run systemd-analyze verify --man=no "$PWD/$(basename "$file")"
		echo "$output"
		[ "$status" -eq 0 ]
	done
	for unit in libvirtd virtqemud containerd docker crio kubelet; do
		grep -q "^Before=.*\b$unit.service" "$TOP/tools/gmempolicy/gmempolicyd.service"
		grep -q "^Before=.*\b$unit.service" "$TOP/tools/gmemtop/gmemtop-record.service"
	done
}

# --------------------------------------------------------------- containers

# as_first COMMAND...: as process 1 of a PID namespace. Sets daemon.
as_first()
{
	unshare -p -f --kill-child --mount-proc "$@" >log 2>&1 3>&- &
	parent=$!
	wait_for 30 pgrep -P "$parent"
	daemon=$(pgrep -P "$parent")
}

# first_ends SIGNAL STATUS
first_ends()
{
	local status=0

	kill -"$1" "$daemon"
	wait "$parent" || status=$?
	daemon=
	[ "$status" -eq "$2" ] || { echo "status $status"; cat log; return 1; }
}

@test "as process 1 of a container, signals are heard" {
	for signal in TERM INT; do
		as_first gmemtop record rec -d 0.1
		wait_for 30 test -s rec
		kill -HUP "$daemon"
		grows rec
		first_ends $signal 0
		frames rec
		rm rec
		as_first gmemtop export
		wait_for 30 served
		first_ends $signal 0
		as_first gmempolicy apply p.toml --watch
		wait_for 60 eval '[ "$(policy p@all state)" = active ]'
		first_ends $signal 0
		as_first gmempolicy watch
		wait_for 30 grep -q VERDICT log
		first_ends $signal 0
	done
	# Those have no handler, and end as they do elsewhere.
	as_first gmemtop --json -d 0.2
	wait_for 30 test -s log
	first_ends TERM 143
	# The shell has its background jobs ignore it.
	as_first env --default-signal=INT gmemtop -b -d 3600
	sleep 2
	first_ends INT 130
}

@test "closed descriptors: what cannot be printed is still an error" {
	for command in "gmemtop -b --once" "gmempolicy list" "gmemtop --help"; do
		run bash -c "$command >&-"
		[ "$status" -eq 1 ]
		[[ $output == *"cannot write the output: Bad file descriptor"* ]]
	done
}
