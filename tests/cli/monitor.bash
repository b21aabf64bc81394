# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests share that have VMs by monitor.pl: telling it what to do, and what
# gmemtop says of its process.
# shellcheck shell=bash disable=SC2034

# Where guest memory begins.
G=0x100000000

# A monitor of that name; tell talks to the last one. Sets pid.
start_monitor()
{
	mkfifo "$1.in" "$1.out"
	"$BATS_TEST_DIRNAME/monitor.pl" "$1" <>"$1.in" >"$1.out" 3>&- &
	pid=$!
	mine="$mine $pid"
	exec {to_monitor}>"$1.in" {from_monitor}<>"$1.out"
	heard
}

heard()
{
	read -r -t 120 reply <&"$from_monitor"
	[ "$reply" = ok ] || { echo "$reply" >&2; return 1; }
}

# tell COMMAND...: waits until it is done
tell()
{
	echo "$*" >&"$to_monitor"
	heard
}

# Resident memory of process $1 in pages of 4 KiB, hugetlb pages included.
resident()
{
	awk '/^VmRSS|^HugetlbPages/ { kib += $2 } END { print kib / 4 }' "/proc/$1/status"
}

# The sum of jq expression $2 over the VMs of process $1.
sum_of()
{
	jq "[.vms[] | select(.pid == $1) | $2] | add" frame.json
}

# The sum of metric $1 over the VMs of process $2, in pages.
metric_sum()
{
	"$gmemtop" export --textfile "$PWD" >/dev/null
	perl -e '
		my ($metric, $pid, %vms, $sum) = @ARGV;
		open(my $f, "<", "gmem.prom") or die $!;
		while (<$f>) {
			$vms{$1} = 1 if /^gmem_vm_info\{vm="(\d+)",pid="$pid"/;
			$sum += $2 if /^$metric\{vm="(\d+)".*\} (\S+)$/ && $vms{$1};
		}
		print $sum / 4096;
	' "$1" "$2"
}

# From now on pages of the last monitor are allocated on NUMA node $1.
tell_node()
{
	tell cpu "$(sed 's/[,-].*//' "/sys/devices/system/node/node$1/cpulist")"
}

# mapped_is PAGES TOTAL: of the last monitor, in every output; RSS is what /proc
# says.
mapped_is()
{
	local nr=$1 total=$2

	sample 0.1
	[ "$(sum_of "$pid" .mapped_pages)" -eq "$nr" ] || { sum_of "$pid" .mapped_pages; return 1; }
	[ "$(sum_of "$pid" .rss_pages)" -eq "$(resident "$pid")" ]
	[ "$(sum_of "$pid" .total_pages)" -eq "$total" ] || { sum_of "$pid" .total_pages; return 1; }
	[ "$(metric_sum gmem_vm_mapped_bytes "$pid")" -eq "$nr" ]
	[ "$(metric_sum gmem_vm_host_memory_bytes "$pid")" -eq "$total" ]
	[ "$("$gmemtop" --csv --once --no-header --vm "$(cat "/proc/$pid/comm")" --fields mapped,total |
		tr -d '\r' | awk -F, '{ m += $2; t += $3 } END { print m, t }')" = "$nr $total" ]
	rm -f rec
	"$gmemtop" record rec -n 1
	"$gmemtop" replay rec --json >frame.json
	[ "$(sum_of "$pid" .mapped_pages)" -eq "$nr" ]
	[ "$(sum_of "$pid" .total_pages)" -eq "$total" ]
}
