#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop's live view in a terminal that tmux provides: keys are sent, the screen
# is read.

load gmemtop.bash

setup_file()
{
	start_guests --guest pingpong,name=abuser,mem=8M,rate=300 \
		--guest steady,name=steady,mem=16M,rate=5 \
		--guest idle,name=idle,mem=32M
}

teardown_file()
{
	end_guests
}

@test "live: rows, help, sort, freeze, interval and quit" {
	start_live ""
	wait_screen 'abuser .*[1-9][0-9.k]+ '
	wait_screen '^ +ID +PID NAME +PRIV POPUL STALE   RSS TOTAL FLT/S >PRIV >SHAR'
	wait_screen 'by conversions, descending; every 1 s$'
	press F1
	wait_screen 'STALE +stale +populated memory'
	press x
	wait_screen 'by conversions'
	press F6
	wait_screen '^Sort by'
	press Up Up Up Up Up Up Enter
	wait_screen 'by stale, descending'
	press '<'
	wait_screen 'by populated, descending'
	press '>'
	wait_screen 'by stale, descending'
	press I
	wait_screen 'by stale, ascending'
	press z
	wait_screen 'FROZEN'
	before=$(screen)
	sleep 2
	[ "$(screen)" = "$before" ]
	press z
	wait_for 10 eval '! screen_has FROZEN'
	press d
	wait_screen '^Seconds between refreshes'
	press 9999 Enter
	wait_screen 'it is unchanged'
	press d
	press 0.5 Enter
	wait_screen 'every 0.5 s'
	press q
	wait_screen '^status 0'
	wait_screen '^icanon'
}

@test "live: the cursor stays on its VM" {
	start_vms 40 crowd
	start_live "" 80 24 "--sort id"
	wait_screen 'every 1 s'
	press End
	wait_screen "$(sample 0.1; jq -r '[.vms[].id] | max' frame.json) +$pid crowd"
	press Home
	wait_screen ' steady '
	press q
	wait_screen '^status 0'
}

@test "live: TERM=vt100, NO_COLOR and no UTF-8" {
	start_live "TERM=vt100 NO_COLOR=1 LC_ALL=C"
	wait_screen 'abuser '
	press '>'
	wait_screen 'by denied'
	[ "$(screen | LC_ALL=C grep -c '[^ -~]')" -eq 0 ]
	press q
	wait_screen '^status 0'
	wait_screen '^icanon'
}

@test "live: survives every size" {
	start_live "" 80 24
	wait_screen 'abuser '
	for size in "200 50" "40 10" "10 3" "2 2" "80 24"; do
		# shellcheck disable=SC2086
		set -- $size
		tmux -L "$session" resize-window -x "$1" -y "$2"
		sleep 0.5
	done
	wait_screen '^ +ID +PID NAME .* >SHAR'
	wait_screen '^F1 Help'
	press q
	wait_screen '^status 0'
}

@test "live: a signal restores the terminal" {
	for signal in INT TERM QUIT; do
		# A server of its own: the one before may not be gone yet.
		session=gmemtop-$$-$signal
		start_live "" 80 24
		wait_screen 'abuser '
		pid=$(tmux -L "$session" list-panes -F '#{pane_pid}')
		pid=$(pgrep -P "$pid" -x gmemtop)
		kill -"$signal" "$pid"
		wait_screen "^status $((128 + $(kill -l $signal)))"
		wait_screen '^icanon'
		tmux -L "$session" kill-server
	done
}

@test "live: Ctrl-backslash restores the terminal" {
	start_live "" 80 24
	wait_screen 'abuser '
	press 'C-\'
	wait_screen "^status $((128 + $(kill -l QUIT)))"
	wait_screen '^icanon'
}

@test "live: an unknown terminal is one line" {
	start_live "TERM=nonsense"
	wait_screen "^gmemtop: cannot drive a terminal of type 'nonsense'"
	wait_screen '^status 1'
}

# Ends the live view in order; settings are written by then.
leave()
{
	press q
	wait_screen '^status 0'
}

@test "live: search moves the cursor, and goes on with F3" {
	start_vms 30 crowd
	start_live "" 80 24 "--sort id"
	wait_screen 'crowd'
	# The last VMs are below the screen until they are searched for.
	last=$(sample 0.1; jq -r '[.vms[].id] | max' frame.json)
	[ "$(screen | grep -c "^ *$last ")" -eq 0 ]
	press F3
	wait_screen '^Search'
	press c r o
	wait_screen '^Search .*: cro$'
	for ((i = 0; i < 29; i++)); do
		press F3
	done
	wait_screen "^ +$last +$pid crowd"
	press Escape
	wait_screen '^F1 Help'
	press /
	press i d l e Enter
	wait_screen ' idle '
	leave
}

@test "live: the filter hides VMs, and Esc shows them again" {
	start_live "TERM=vt100"
	wait_screen 'abuser '
	press '\'
	wait_screen '^Filter'
	press A B U
	wait_screen "filter 'ABU'"
	wait_for 10 eval '! screen_has " steady "'
	wait_screen ' abuser '
	press Enter
	wait_screen '^F1 Help'
	wait_screen '^3 VMs'
	press '\'
	press x y z
	wait_screen 'No VM passes the filter'
	press Escape
	wait_screen ' steady '
	leave
}

@test "live: u shows the VMs of a control group" {
	mkdir -p /sys/fs/cgroup/tenant
	start_vms 2 tenant-vm /tenant
	start_live ""
	wait_screen 'tenant-vm'
	press u
	wait_screen '^Show the VMs in control group'
	wait_screen '^/tenant'
	press End Enter
	wait_screen '; in /tenant'
	wait_for 10 eval '! screen_has " steady "'
	wait_screen ' tenant-vm '
	press u
	press Home Enter
	wait_screen ' steady '
	leave
	end "$pid"
	rmdir /sys/fs/cgroup/tenant
}

@test "live: Space tags VMs and adds them up" {
	start_live "" 100 24 "--sort private"
	wait_screen ' abuser '
	press Home Space Space
	wait_screen '^2 tagged, 48.0M private, '
	wait_screen '^\* .* idle '
	press U
	wait_screen '^[0-9.k]+ faults/s'
	leave
}

@test "live: columns are chosen, moved and kept" {
	start_live ""
	wait_screen '^ +ID +PID NAME'
	press F2
	wait_screen '^Columns'
	# Hide the id, move the name before the process.
	press Space Down '['
	wait_screen '^\[x\] private'
	press Enter
	wait_screen '^NAME +PID +PRIV'
	press '>'
	wait_screen '; by denied'
	press d 2 Enter
	wait_screen 'every 2 s'
	leave
	grep -q '^fields = name,pid,private,' "$config/gmem/gmemtop.conf"
	grep -q '^sort = denied$' "$config/gmem/gmemtop.conf"

	tmux -L "$session" kill-server
	session=$session-again
	start_live ""
	wait_screen '^NAME +PID +PRIV'
	wait_screen '; by denied, descending; every 2 s'
	leave
	tmux -L "$session" kill-server
	# The command line goes before the file.
	session=$session-third
	start_live "" 80 24 "--fields id,name --sort id -d 1"
	wait_screen '^ +ID NAME$'
	wait_screen '; by id, ascending; every 1 s'
	# What was changed is kept, what the command line said is not.
	press d 3 Enter
	wait_screen 'every 3 s'
	leave
	tmux -L "$session" kill-server
	grep -q '^fields = name,pid,private,' "$config/gmem/gmemtop.conf"
	grep -q '^sort = denied$' "$config/gmem/gmemtop.conf"
	grep -q '^interval = 3$' "$config/gmem/gmemtop.conf"
}

@test "live: options of one start are no settings" {
	start_live "" 80 24 "--fields id,name --sort name -d 2"
	wait_screen '^ +ID NAME$'
	press I
	wait_screen 'by name, descending'
	leave
	[ "$(grep -v '^#' "$config/gmem/gmemtop.conf")" = $'sort = name\ninverted = yes' ]
}

@test "live: settings without a newline at the end are settings" {
	mkdir "$config/gmem"
	printf 'sort = pid\ninterval = 2' >"$config/gmem/gmemtop.conf"
	start_live ""
	wait_screen '; by pid, ascending; every 2 s$'
	leave
}

@test "live: a broken settings file is named, ignored and kept" {
	mkdir "$config/gmem"
	printf '# mine\nsort = id\nfields = id,colour\n' >"$config/gmem/gmemtop.conf"
	cp "$config/gmem/gmemtop.conf" before
	start_live "" 160 24
	wait_screen 'gmemtop.conf:3: fields takes columns .*; the file is ignored'
	wait_screen '; by conversions, descending'
	press '>'
	wait_screen '; by denied'
	leave
	cmp before "$config/gmem/gmemtop.conf"
}

@test "live: settings that cannot be kept are an error" {
	echo "not a directory" >"$config/gmem"
	start_live "" 160 24
	wait_screen 'abuser '
	press I
	wait_screen 'ascending'
	press q
	wait_screen '^status 1'
	wait_screen 'gmemtop: cannot keep the settings in .*: Not a directory'
}

@test "live: P shows policies, what they denied and with which errno" {
	pid=$(pid_of abuser)
	start_live ""
	wait_screen ' abuser '
	press P
	wait_screen 'No policy is attached'
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=50 --set action=deny
	wait_screen '^ratelimit +VM [0-9]+ +enforce +[0-9]+ +1 +[1-9][0-9]* +[1-9]'
	wait_screen '^denied with EPERM 0, EACCES 0, EBUSY [1-9][0-9]*, ENOMEM 0'
	press z
	wait_screen FROZEN
	shown=$(screen)
	"$gmempolicy" detach --all
	denied=$(sed -n 's/.*EBUSY \([0-9]*\),.*/\1/p' <<<"$shown")
	row=$(awk '$1 == "ratelimit" { print $8 }' <<<"$shown")
	[ "$denied" -eq "$row" ]
	press z
	wait_screen 'No policy is attached'
	press Escape
	wait_screen ' abuser '
	leave
}

@test "live: P shows when a policy ends, and that it has" {
	start_live ""
	wait_screen ' abuser '
	press P
	"$gmempolicy" attach ratelimit --pid "$(pid_of abuser)" --for 5s
	wait_screen '^ratelimit: link [0-9]+, ends in [0-4] s; allowed'
	wait_screen '^ratelimit +VM [0-9]+ +ended '
	wait_screen '^ratelimit: link [0-9]+, ended [0-9]+ s ago; allowed'
	"$gmempolicy" detach --all
	press Escape
	leave
}

@test "live: the mouse sorts, selects and presses keys" {
	start_live ""
	wait_screen 'abuser '
	# What a terminal sends when button 1 goes down and up at a column and
	# line, both from 1 and with 32 added.
	click=$'\e[M \x4d\x24\e[M#\x4d\x24'
	tmux -L "$session" send-keys -l "$click"
	wait_screen '; by stale, descending'
	tmux -L "$session" send-keys -l "$click"
	wait_screen '; by stale, ascending'
	tmux -L "$session" send-keys -l $'\e[M \x22\x38\e[M#\x22\x38'
	wait_screen 'private memory of KVM guests'
	press x
	wait_screen 'abuser '
	leave
}

@test "live: 200x50 shows all columns, and a resize to 80x24 the first" {
	start_live "" 200 50
	wait_screen '^ +ID +PID NAME .* DENY/S DELAY POLICIES +TREND +INV/S VCPUS +SIZE CGROUP'
	wait_screen ' abuser .* [1-9][0-9.]* .* /$'
	tmux -L "$session" resize-window -x 80 -y 24
	# Half a column would show half a number.
	wait_screen '^ +ID +PID NAME .* FLT/S >PRIV >SHAR +>$'
	! screen_has 'CONV|CO$'
	press Right Right Right Right Right Right
	wait_screen 'POLICIES +TREND'
	leave
}

@test "live: the trend is drawn with blocks where the terminal has UTF-8" {
	start_live "LC_ALL=C.UTF-8" 200 50
	wait_screen ' abuser '
	wait_for 10 eval 'screen | LC_ALL=C grep -q "$(printf "\342\226[\201-\210]")"'
	leave
}

@test "live: help scrolls to the last column" {
	start_live ""
	wait_screen 'abuser '
	press h
	wait_screen '^F3 /  search'
	wait_screen '^\^L    draw .* \^Z    back to the shell'
	press NPage NPage NPage
	wait_screen '^L-CONV +conversions_delayed'
	press NPage NPage
	wait_screen '^NODES +nodes'
	# What is said of a column goes on in the next line.
	wait_screen '^ {38}[a-z]'
	press x
	wait_screen 'abuser '
	leave
}

# The VMs on the screen.
shown_ids()
{
	screen | awk '$1 ~ /^[0-9]+$/ && $2 ~ /^[0-9]+$/ { print $1 }'
}

@test "live: with 1,000 VMs it scrolls and filters" {
	ulimit -n 4096
	start_vms 996 crowd
	crowd=$pid
	start_vms 1 needle
	start_live "" 120 30 "--sort id"
	wait_screen '^1000 VMs'
	wait_screen 'every 1 s'
	sample 0.1
	ids=$(jq -r '[.vms[].id] | sort | .[]' frame.json)
	[ "$(wc -l <<<"$ids")" -eq 1000 ]

	# Every id comes by, in order, when the view goes down page by page.
	wait_screen 'by id, ascending'
	shown=$(shown_ids)
	for ((i = 1; i < 60; i++)); do
		page=$(shown_ids)
		! grep -qx "$(tail -n 1 <<<"$ids")" <<<"$page" || break
		press NPage
		wait_for 10 eval '[ "$(shown_ids)" != "$page" ]'
		# It may be drawn by halves yet.
		sleep 0.3
		shown+=$'\n'$(shown_ids)
	done
	echo "$i pages"
	[ "$(sort -nu <<<"$shown")" = "$ids" ]

	press Home
	wait_screen "^ +$(head -n 1 <<<"$ids") "
	press End
	wait_screen "^ +$(tail -n 1 <<<"$ids") +$pid needle"

	press '\'
	wait_screen '^Filter'
	press n e e d
	wait_screen "^ +[0-9]+ +$pid needle"
	wait_for 10 eval '! screen_has " $crowd "'
	press Escape
	wait_screen " $crowd "
	leave
}

@test "live: without VMs it says so" {
	start_live "" 80 24 "--vm none"
	wait_screen 'No VM passes the filter'
	leave
}

@test "live: a column, an item and a hint are there as a whole or not at all" {
	start_live "" 80 24 "--fields id,name,conversions,cgroup,private"
	wait_screen ' CGROUP +PRIV$'
	wait_screen ' abuser .* 8.00M$'
	for width in 70 62 61 50 44 43 30 20 12; do
		tmux -L "$session" resize-window -x "$width" -y 24
		wait_for 10 eval '[ "$(screen | sed -n 4p | wc -c)" -le $((width + 1)) ]'
		sleep 0.5
		titles=$(screen | sed -n 4p)
		# Words of titles, a text cut at the edge, and what tells of more.
		for word in $titles; do
			case $word in
			ID | NAME | CONV/S | CGROUP | PRIV | '>') ;;
			*) [[ $titles == *"$word " && ${#titles} -ge $((width - 2)) ]] || [[ NAME == "$word"* || CGROUP == "$word"* ]] ;;
			esac
		done
		[[ $titles != *PRIV || $width -ge 61 ]]
		[[ $titles == *PRIV || $titles == *'>' ]]
		# No number of memory without its unit, no hint without its end.
		screen | sed -n '1s/, /\n/gp' | while read -r item; do
			[[ $item =~ ^(([0-9.]+[KMGT]|[0-9]+)\ .*|\.\.\.)$ || $width -lt 20 ]]
		done
		case $(screen | tail -n 1) in
		*Help | *Columns | *Search | *Filter | *Sort | *Details | *Policies | *Quit) ;;
		*) false ;;
		esac
	done
	tmux -L "$session" resize-window -x 80 -y 24
	wait_screen ' CGROUP +PRIV$'
	leave
}

# What another program writes to the terminal.
spoil()
{
	printf '\e[2;1HSPOILED' >"$(tmux -L "$session" display-message -p '#{pane_tty}')"
	wait_screen SPOILED
}

@test "live: Ctrl-L draws the screen anew: the table, a prompt, a menu, help, a complaint" {
	start_live "" 80 24 "-d 3600"
	wait_screen ' abuser '
	for keys in "" "/ a b" "F6" "h" "Enter" "P" "d 9 9 9 9 Enter"; do
		# shellcheck disable=SC2086
		[ -z "$keys" ] || press $keys
		sleep 1
		before=$(screen)
		spoil
		press C-l
		wait_for 10 eval '! screen_has SPOILED'
		[ "$(screen)" = "$before" ]
		case $keys in
		"/ a b") wait_screen '^Search .*: ab$'; press Escape ;;
		"d "*) wait_screen 'it is unchanged' ;;
		"") ;;
		*) press Escape ;;
		esac
		sleep 0.3
	done
	leave
}

# A shell with jobs in a terminal, where gmemtop runs with arguments $1.
start_job()
{
	tmux -L "$session" -f /dev/null new-session -d -x 80 -y 24 \
		"env XDG_CONFIG_HOME=$config PS1='shell> ' bash --norc" 3>&-
	wait_screen '^shell>'
	press "'$gmemtop' $1" Enter
}

programs()
{
	"$build/bpftool" prog show | grep -c -E "name ($1) "
}

@test "live: Ctrl-Z gives the terminal back, and fg goes on" {
	start_job ""
	wait_screen ' abuser '
	press C-z
	wait_screen 'Stopped'
	! screen_has '^F1 Help'
	press 'clear; stty -a | grep -ow -- "-*icanon"; jobs' Enter
	wait_screen '^icanon'
	wait_screen 'Stopped'
	press fg Enter
	wait_screen '^F1 Help'
	wait_screen ' abuser '
	# It is live, and takes keys.
	press '>'
	wait_screen 'by denied'
	press q
	wait_screen '^shell>'
	press 'clear; echo status $?' Enter
	wait_screen '^status 0'
}

@test "live: Ctrl-Z in a prompt keeps it; in details nothing stays attached" {
	start_job ""
	wait_screen ' abuser '
	press / a b u
	wait_screen '^Search .*: abu$'
	press C-z
	wait_screen 'Stopped'
	press fg Enter
	wait_screen '^Search .*: abu$'
	# The cursor is on it, whatever the order is by now.
	press Enter
	press Enter 2
	wait_screen '^Faults: '
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	press C-z
	wait_screen 'Stopped'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 0 ]
	press fg Enter
	wait_screen '^Faults: .*Conversions: [1-9]'
	[ "$(programs 'on_fault|on_convert|on_verdict')" -eq 3 ]
	press Escape
	press q
	wait_screen '^shell>'
}

@test "live: stopped from elsewhere, and sent on, it draws itself anew" {
	start_job ""
	wait_screen ' abuser '
	top=$(pgrep -x gmemtop)
	kill -STOP "$top"
	wait_screen 'Stopped'
	press 'clear' Enter
	press fg Enter
	wait_screen '^ +ID +PID NAME'
	wait_screen '^F1 Help'
	press z
	wait_screen FROZEN
	# Where no shell has jobs, nothing could send it on.
	tmux -L "$session" kill-server
	session=$session-alone
	start_live ""
	wait_screen ' abuser '
	press C-z
	sleep 1
	press '>'
	wait_screen 'by denied'
	leave
}

@test "live: a terminal that changed while it was stopped" {
	start_job ""
	wait_screen ' abuser '
	press C-z
	wait_screen 'Stopped'
	tmux -L "$session" resize-window -x 120 -y 30
	press fg Enter
	wait_screen '>SHAR CONV/S DENY/S'
	press q
	wait_screen '^shell>'
}
