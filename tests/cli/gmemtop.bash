# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of gmemtop share: guests, samples of them, and a terminal that
# tmux provides.
# shellcheck shell=bash disable=SC2034

bats_require_minimum_version 1.5.0

# Also read by bats in the child shells of "run".
build=$BATS_TEST_DIRNAME/../../build
gmemtop=$build/gmemtop
gmempolicy=$build/gmempolicy
gmemload=$build/gmemload

setup()
{
	cd "$BATS_TEST_TMPDIR" || return
	mine=
	session=gmemtop-$$-$BATS_TEST_NUMBER
	# Settings of nobody, in a place that the terminal's shell knows, too.
	config=/tmp/$session
	mkdir "$config"
	export XDG_CONFIG_HOME=$config
}

teardown()
{
	local pid

	for pid in $mine; do
		end "$pid"
	done
	tmux -L "$session" kill-server 2>/dev/null || :
	rm -rf "$config"
}

# start_guests ARG...: gmemload, until teardown_file; pid_of knows its guests.
start_guests()
{
	cd "$BATS_FILE_TMPDIR" || return
	"$gmemload" "$@" --pidfile pids --json load.json 3>&- &
	echo $! >load.pid
	wait_for 60 test -s pids
}

end_guests()
{
	end "$(cat "$BATS_FILE_TMPDIR/load.pid")"
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	while :; do
		! "$@" || return 0
		[ $SECONDS -lt $end ] || break
		sleep 0.1
	done
	echo "still not true: $*" >&2
	return 1
}

end()
{
	kill -CONT "$1" 2>/dev/null || :
	kill "$1" 2>/dev/null || :
	wait_for 20 gone "$1" || kill -KILL "$1"
}

gone()
{
	! grep -qs '^State:	[^Z]' "/proc/$1/status"
}

pid_of()
{
	sed -n "s/^$1 //p" "$BATS_FILE_TMPDIR/pids"
}

# A process with $1 VMs and no guest in them, named $2, in control group $3 and
# with the command line $4... (each may be missing). Sets pid.
start_vms()
{
	local nr=$1 name=$2 group=${3-} program=perl

	shift $(($# < 3 ? $# : 3))
	[ $# -eq 0 ] || { program=$1; shift; }
	(
		[ -z "$group" ] || echo "$BASHPID" >"/sys/fs/cgroup$group/cgroup.procs"
		nr=$nr name=$name ready=$BATS_TEST_TMPDIR/ready \
			exec -a "$program" perl -e '
			$0 = $ENV{name} if $ENV{name} ne "";
			open(my $kvm, "+<", "/dev/kvm") or die "/dev/kvm: $!";
			for (1 .. $ENV{nr}) {
				my $fd = ioctl($kvm, 0xae01, 0) or die "KVM_CREATE_VM: $!";
				push @vms, $fd;
			}
			open(my $f, ">", $ENV{ready}); close($f);
			sleep 1000;
		' -- "$@"
	) 3>&- &
	pid=$!
	mine="$mine $pid"
	wait_for 30 test -e "$BATS_TEST_TMPDIR/ready"
	rm "$BATS_TEST_TMPDIR/ready"
}

# What cachestat(2) counts in the guest_memfds of process $1.
cached_pages()
{
	perl -e '
		my $pid = shift;
		my $pidfd = syscall(434, $pid + 0, 0);
		my $sum = 0;
		opendir(my $dir, "/proc/$pid/fd") or die;
		for my $n (grep { /^\d+$/ } readdir($dir)) {
			next unless (readlink("/proc/$pid/fd/$n") // "") =~
				/kvm-gmem|guest_memfd/;
			my $fd = syscall(438, $pidfd, $n + 0, 0);
			die "pidfd_getfd: $!" if $fd < 0;
			my $range = pack("QQ", 0, 0);
			my $stat = "\0" x 40;
			die "cachestat: $!"
				if syscall(451, $fd, $range, $stat, 0) < 0;
			$sum += unpack("Q", $stat);
		}
		print $sum;
	' "$1"
}

# The value of jq expression $2 in the VM of process $1, from frame.json.
of_pid()
{
	jq -r ".vms[] | select(.pid == $1) | $2" frame.json
}

sample()
{
	"$gmemtop" --json -n 1 -d "${1:-0.5}" >frame.json
}

# One line on stderr that has the text $1, and nothing on stdout.
one_line_error()
{
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ ${stderr_lines[0]} == gmemtop:\ *"$1"* ]]
}

# Starts gmemtop in a terminal of 80x24, with more of its environment in $1.
start_live()
{
	tmux -L "$session" -f /dev/null new-session -d -x "${2:-80}" -y "${3:-24}" \
		"env $1 '$gmemtop' ${4:-}; echo \"status \$?\"; stty -a | grep -ow -- '-*icanon'; sleep 1000" \
		3>&-
}

screen()
{
	tmux -L "$session" capture-pane -p
}

screen_has()
{
	screen | grep -qE -- "$1"
}

press()
{
	tmux -L "$session" send-keys "$@"
}

wait_screen()
{
	wait_for 30 screen_has "$1" || {
		screen >&2
		return 1
	}
}

# Opens page $2 of the guest named $1, in a terminal without UTF-8.
open_page()
{
	start_live "LC_ALL=C ${3-}" 80 "${4-24}" "--vm $1"
	wait_screen " $1 "
	press Enter
	wait_screen "^VM [0-9]+  $1 "
	[ "$2" = 1 ] || press "$2"
}
