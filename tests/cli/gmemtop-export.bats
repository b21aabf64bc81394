#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmemtop export against real guests, as root in the test VM. What it says is
# read by curl, by promtool and by a real Prometheus server, and compared with
# KVM's own statistics in debugfs, /proc and gmemload's record.

load gmemtop.bash

docs=$BATS_TEST_DIRNAME/../../docs
promtool=$build/prometheus/promtool
debugfs=/sys/kernel/debug/kvm
open_type="application/openmetrics-text; version=1.0.0; charset=utf-8"
text_type="text/plain; version=0.0.4; charset=utf-8"

# Guests that all tests look at, and an exporter that most of them ask.
setup_file()
{
	cd "$BATS_FILE_TMPDIR" || return
	ip link set lo up
	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
	start_guests --guest pingpong,name=abuser,mem=8M,rate=200 \
		--guest steady,name=steady,mem=16M,rate=5 \
		--guest idle,name=idle,mem=32M
	"$gmemtop" export --listen 127.0.0.1:0 >export.out 2>export.err 3>&- &
	echo $! >export.pid
	wait_for 60 grep -q '^Serving http' export.out
	export url=$(sed -n 's/^Serving \(http[^ ]*\) .*/\1/p' export.out)
}

teardown_file()
{
	end "$(cat "$BATS_FILE_TMPDIR/export.pid")"
	end_guests
}

# An exporter of this test's own. Sets exporter and own_url.
start_export()
{
	"$gmemtop" export "$@" >own.out 2>own.err 3>&- &
	exporter=$!
	mine="$mine $exporter"
	wait_for 30 grep -q '^Serving http' own.out || {
		cat own.err >&2
		return 1
	}
	own_url=$(sed -n 's/^Serving \(http[^ ]*\) .*/\1/p' own.out)
}

scrape()
{
	curl -sS -m 60 -H "Accept: ${1:-text/plain}" "$url" >metrics
}

# The value of metric $1 of the process $2's VM, from the file metrics.
metric_of()
{
	local vm

	vm=$(sed -n "s/^gmem_vm_info{vm=\"\([0-9]*\)\",pid=\"$2\".*/\1/p" metrics)
	sed -n "s/^$1{vm=\"$vm\"} //p" metrics
}

# KVM's own statistic $1 of process $2's VM.
stat_of()
{
	cat $debugfs/"$2"-*/gmem_"$1"
}

# What gmemtop itself says: the counter $1 of process $2's VM.
counter_of()
{
	"$gmemtop" --json --once | jq ".vms[] | select(.pid == $2).$1"
}

### What is said

@test "OpenMetrics: each family has type, unit and help, once and in order" {
	curl -sS -D head -H 'Accept: application/openmetrics-text' "$url" >metrics
	grep -qi "^content-type: $open_type" head
	[ "$(tail -n 1 metrics)" = "# EOF" ]
	[ "$(grep -c '^# EOF' metrics)" -eq 1 ]
	run perl -e '
		my ($family, %type, %seen, %unit, %help);
		while (<>) {
			chomp;
			if (/^# TYPE (\S+) (gauge|counter|info)$/) {
				die "twice: $1\n" if $type{$1};
				$family = $1; $type{$1} = $2;
			} elsif (/^# UNIT (\S+) (\S+)$/) {
				my ($name, $unit) = ($1, $2);
				die "unit: $_\n" unless $name eq $family;
				die "no suffix: $_\n" unless $name =~ /_$unit$/;
				$unit{$name} = 1;
			} elsif (/^# HELP (\S+) \S.*\.$/ && $1 eq $family) {
				$help{$1} = 1;
			} elsif (/^# EOF$/) {
			} elsif (/^([a-z_]+)(\{[^ ]*\})? ([0-9.]+|-[0-9]+)$/) {
				my $want = $family . ($type{$family} eq "counter" ? "_total" :
					$type{$family} eq "info" ? "_info" : "");
				die "not of $family: $_\n" unless $1 eq $want;
				die "series twice: $_\n" if $seen{$1 . ($2 // "")}++;
			} else {
				die "not understood: $_\n";
			}
		}
		for (keys %type) {
			die "no help: $_\n" unless $help{$_};
			die "no unit: $_\n" if /_(bytes|seconds)$/ && !$unit{$_};
		}
		print scalar(keys %type), "\n";
	' metrics
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	[ "$output" -ge 40 ]
}

@test "the text format passes promtool without a complaint" {
	curl -sS -D head "$url" >metrics
	grep -qi "^content-type: $text_type" head
	run ! grep -e '# EOF' -e '# UNIT' metrics
	run "$promtool" check metrics <metrics
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "content negotiation" {
	while IFS='|' read -r accept type; do
		curl -sS -o /dev/null -D head -H "Accept: $accept" "$url"
		grep -qi "^content-type: $type" head || { echo "$accept:"; cat head; return 1; }
	done <<-END
		|$text_type
		*/*|$text_type
		text/html|$text_type
		text/plain;version=0.0.4|$text_type
		Application/OpenMetrics-Text ; version=1.0.0|$open_type
		application/openmetrics-text;q=0,text/plain|$text_type
		application/openmetrics-text;q=0.3,text/plain;q=0.7|$text_type
		application/openmetrics-text;q=0.3,*/*;q=0.1|$open_type
		application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1|$open_type
	END
}

@test "the figures are those of KVM's statistics" {
	pid=$(pid_of abuser)
	kill -STOP "$pid"
	scrape
	for name in stat:populated_pages:gmem_vm_populated_bytes:4096 \
			stat:conversions:gmem_vm_conversions_total:1 \
			counter:denied:gmem_vm_denied_total:1 \
			counter:private_pages:gmem_vm_private_bytes:4096 \
			counter:stale_pages:gmem_vm_stale_bytes:4096 \
			counter:closed_pages:gmem_vm_closed_bytes:4096 \
			counter:pages_to_private:gmem_vm_to_private_bytes_total:4096 \
			counter:pages_to_shared:gmem_vm_to_shared_bytes_total:4096 \
			counter:conversions_noop:gmem_vm_conversions_noop_total:1 \
			counter:faults_arch:gmem_vm_faults_arch_total:1 \
			counter:delays_expired:gmem_vm_delays_expired_total:1 \
			counter:invalidations_conversion:gmem_vm_invalidations_conversion_total:1 \
			counter:conversions_denied:gmem_vm_conversions_denied_total:1; do
		IFS=: read -r from stat metric scale <<<"$name"
		value=$("${from}_of" "$stat" "$pid")
		[ "$(metric_of "$metric" "$pid")" -eq $((value * scale)) ] ||
			{ echo "$metric: $(metric_of "$metric" "$pid"), $stat: $value"; kill -CONT "$pid"; return 1; }
	done
	faults=$(stat_of faults "$pid")
	rss=$(awk '{ print $2 * 4096 }' "/proc/$pid/statm")
	kill -CONT "$pid"
	[ "$faults" -gt 0 ]
	[ "$(metric_of gmem_vm_faults_vcpu_total "$pid")" -eq "$faults" ]
	[ "$(metric_of gmem_vm_monitor_resident_bytes "$pid")" -eq "$rss" ]
	[ "$(metric_of gmem_vm_conversions_total "$pid")" -gt 50 ]
	[ "$(metric_of gmem_vm_guest_memfd_bytes "$(pid_of idle)")" -eq $((32 << 20)) ]
	[ "$(sed -n 's/^gmem_host_memory_bytes //p' metrics)" -eq \
		$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024)) ]
}

@test "one series a VM, and the id is its only label, but for nodes" {
	start_vms 3 three
	scrape
	vms=$(sed -n 's/^gmem_vms //p' metrics)
	[ "$vms" -eq "$(find /proc/[0-9]*/fd -lname anon_inode:kvm-vm 2>/dev/null | wc -l)" ]
	# Every family of VMs but the info has the same set of series.
	[ "$(grep -o '^gmem_vm_[a-z_]*{[^}]*}' metrics | grep -v '^gmem_vm_info\|^gmem_vm_node_' |
		sed 's/.*{vm="[0-9]*"}$/ok/' | sort -u)" = ok ]
	[ "$(grep '^gmem_vm_' metrics | grep -v '^gmem_vm_node_' | sed 's/{.*//' | sort | uniq -c |
		awk '{ print $1 }' | sort -u)" = "$vms" ]
	# One for each node that has memory, whether a VM has some of it or not.
	nodes=$(find /sys/devices/system/node -maxdepth 1 -name 'node[0-9]*' | wc -l)
	[ "$(grep -c '^gmem_vm_node_populated_bytes{vm="[0-9]*",node="[0-9]*"} ' metrics)" -eq $((vms * nodes)) ]
	# As docs/metrics.md counts them.
	[ "$(grep -c "^gmem_vm_[a-z_]*{vm=\"$(sed -n 's/^gmem_vm_vcpus{vm="\([0-9]*\)"} .*/\1/p' metrics | head -n 1)\"" metrics)" -eq \
		"$(sed -n 's/^The number of series is \([0-9]*\) and one for each NUMA node.*/\1/p' "$docs/metrics.md" |
			awk -v n="$nodes" '{ print $1 + n }')" ]
	[ "$(grep -c "^gmem_vm_info{vm=\"[0-9]*\",pid=\"$pid\",name=\"three\",cgroup=\"/[^\"]*\"} 1$" metrics)" -eq 3 ]
	kill "$pid"
	wait_for 20 gone "$pid"
	scrape
	[ "$(sed -n 's/^gmem_vms //p' metrics)" -eq $((vms - 3)) ]
	run ! grep '"three"' metrics
}

@test "a hostile name cannot break the format" {
	start_vms 1 $'a"} 1\nb{c="d\\\e[31m\x7f\xff\xc3\xa9'
	scrape application/openmetrics-text
	[ "$(grep -c "pid=\"$pid\"" metrics)" -eq 1 ]
	line=$(grep "pid=\"$pid\"" metrics)
	[[ $line == *'name="a\"} 1?b{c=\"d\\?['* ]]
	[ "$(LC_ALL=C tr -d '\n -~' <metrics | wc -c)" -eq 0 ]
	scrape
	run "$promtool" check metrics <metrics
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "policies: info, scope, mode and verdicts" {
	pid=$(pid_of abuser)
	before=$(counter_of conversions_denied "$pid")
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=20 --set action=deny
	sleep 2
	kill -STOP "$pid"
	scrape
	denied=$(counter_of conversions_denied "$pid")
	"$gmempolicy" detach --all
	kill -CONT "$pid"
	vm=$(sed -n "s/^gmem_vm_info{vm=\"\([0-9]*\)\",pid=\"$pid\".*/\1/p" metrics)
	link=$(sed -n 's/^gmem_policy_info{link="\([0-9]*\)",name="ratelimit",vm="'"$vm"'",mode="enforce"} 1$/\1/p' metrics)
	[ -n "$link" ]
	[ "$denied" -gt "$before" ]
	[ "$(sed -n "s/^gmem_policy_denied_total{link=\"$link\",errno=\"EBUSY\"} //p" metrics)" -eq $((denied - before)) ]
	[ "$(grep -c "^gmem_policy_denied_total{link=\"$link\"" metrics)" -eq 6 ]
	[ "$(sed -n "s/^gmem_policy_vms{link=\"$link\"} //p" metrics)" -eq 1 ]
	value() { sed -n "s/^gmem_policy_$1_total{link=\"$link\"} //p" metrics; }
	[ "$(value calls)" -eq $(($(value allowed) + denied - before)) ]
	[ "$(sed -n 's/^gmem_policies //p' metrics)" -eq 1 ]
	scrape
	[ "$(sed -n 's/^gmem_policies //p' metrics)" -eq 0 ]
	run ! grep '^gmem_policy_[a-z_]*{' metrics
}

@test "delays are in seconds" {
	pid=$(pid_of abuser)
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=20 --set action=delay
	sleep 2
	"$gmempolicy" detach --all
	kill -STOP "$pid"
	scrape
	ns=$(counter_of delayed_ns "$pid")
	kill -CONT "$pid"
	[ "$ns" -gt 100000000 ]
	[ "$(metric_of gmem_vm_delay_seconds_total "$pid")" = \
		"$(printf '%d.%09d' $((ns / 1000000000)) $((ns % 1000000000)))" ]
}

@test "the switch that bypasses policies" {
	switch=/sys/module/kvm/parameters/gmem_policies
	before=$(cat $switch)
	echo N >$switch
	scrape
	echo "$before" >$switch
	grep -qx 'gmem_policies_enabled 0' metrics
	scrape
	grep -qx 'gmem_policies_enabled 1' metrics
}

@test "one BPF call a scrape" {
	sysctl -q kernel.bpf_stats_enabled=1
	runs() { "$build/bpftool" -j prog show | jq "[.[] | select(.name == \"sample_$1\") | .run_cnt // 0] | add"; }
	before=$(runs all)
	scrape
	scrape application/openmetrics-text
	after=$(runs all)
	others=$(($(runs vms) + $(runs policies)))
	sysctl -q kernel.bpf_stats_enabled=0
	[ $((after - before)) -eq 2 ]
	[ "$others" -eq 0 ]
}

@test "docs/metrics.md lists what is exported, and nothing else" {
	"$gmempolicy" attach ratelimit --all --set rate=1000
	scrape
	"$gmempolicy" detach --all
	grep -o '^[a-z_]*' metrics | sort -u >exported
	grep -oE '^\| `gmem_[a-z_]+`' "$docs/metrics.md" | tr -d '|` ' | sort -u >listed
	[ "$(wc -l <listed)" -ge 40 ]
	run diff listed exported
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
}

@test "the Grafana dashboard is valid and names only what is exported" {
	run jq -e '.title and .schemaVersion >= 36 and (.panels | length >= 8) and
		([.panels[] | select(.type != "row") | .targets[].expr] | length >= 8) and
		([.panels[].id] | unique | length) == (.panels | length)' \
		"$docs/grafana-gmem.json"
	[ "$status" -eq 0 ]
	"$gmempolicy" attach ratelimit --all --set rate=1000
	scrape
	"$gmempolicy" detach --all
	grep -o '^gmem_[a-z_]*' metrics | sort -u >exported
	# From panels, variables and annotations alike.
	jq -r '.. | strings' "$docs/grafana-gmem.json" | grep -oE '\bgmem_[a-z_]+' | sort -u >named
	[ "$(wc -l <named)" -ge 10 ]
	run comm -23 named exported
	[ -z "$output" ] || { echo "not exported: $output"; return 1; }
}

### Privileges

@test "it runs as nobody, with no capability and no way to get one" {
	start_export --listen 127.0.0.1:0
	grep -q 'as user nobody, without capabilities\.$' own.out
	status=/proc/$exporter/task/*/status
	# All threads of it.
	[ "$(cat $status | grep -c '^Uid:	65534	65534	65534	65534$')" -ge 2 ]
	[ "$(cat $status | grep '^Uid:' | sort -u | wc -l)" -eq 1 ]
	[ "$(cat $status | grep '^Gid:' | sort -u)" = $'Gid:\t65534\t65534\t65534\t65534' ]
	[ "$(cat $status | grep -E '^Cap(Inh|Prm|Eff|Amb):' | sed 's/.*	//' | sort -u)" = 0000000000000000 ]
	[ "$(cat $status | grep '^NoNewPrivs:' | sort -u)" = $'NoNewPrivs:\t1' ]
	url=$own_url
	scrape
	# Names are found all the same.
	grep -q "pid=\"$(pid_of steady)\",name=\"steady\"" metrics
}

@test "--user takes a name or a number" {
	start_export --listen 127.0.0.1:0 --user daemon
	grep -q "^Uid:	$(id -u daemon)	" "/proc/$exporter/status"
	grep -q "^Gid:	$(id -g daemon)	" "/proc/$exporter/status"
	end "$exporter"
	start_export --listen 127.0.0.1:0 --user "$(id -u daemon)"
	grep -q "^Uid:	$(id -u daemon)	" "/proc/$exporter/status"
	grep -q 'as user daemon' own.out
}

@test "started with CAP_SYS_ADMIN alone it stays who it is, and drops it" {
	setpriv --reuid=1234 --regid=1234 --clear-groups \
		--inh-caps=+sys_admin --ambient-caps=+sys_admin \
		"$gmemtop" export --listen 127.0.0.1:0 >own.out 2>own.err 3>&- &
	exporter=$!
	mine=$exporter
	wait_for 30 grep -q '^Serving http' own.out
	grep -q 'as user 1234' own.out
	grep -q '^CapEff:	0000000000000000$' "/proc/$exporter/status"
	url=$(sed -n 's/^Serving \(http[^ ]*\) .*/\1/p' own.out)
	scrape
	grep -q '"steady"' metrics

	run --separate-stderr setpriv --reuid=1234 --regid=1234 --clear-groups \
		--inh-caps=+sys_admin --ambient-caps=+sys_admin \
		"$gmemtop" export --listen 127.0.0.1:0 --user daemon
	[ "$status" -eq 1 ]
	one_line_error "cannot become user daemon without CAP_SETUID"
}

@test "no privilege: names the missing capability" {
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps=-all "$gmemtop" export --listen 127.0.0.1:0
	[ "$status" -eq 1 ]
	one_line_error "no privilege: CAP_SYS_ADMIN missing"
}

### The server

@test "/ points at /metrics; other paths and methods are refused" {
	base=${url%/metrics}
	run curl -sS -D head "$base/"
	[[ $output == *'href="/metrics"'* ]]
	grep -qi '^content-type: text/html' head
	while read -r method path want; do
		run curl -sS -o body -w '%{http_code}' -X "$method" "$base$path"
		[ "$output" = "$want" ] || { echo "$method $path: $output"; return 1; }
	done <<-END
		GET /metrics 200
		GET /metrics?x=1 200
		GET /metrics/ 404
		GET /metricsx 404
		POST /metrics 405
		PUT / 405
		DELETE /metrics 405
		NONSENSE /metrics 405
	END
	run curl -sS -D - -o body -X DELETE "$url"
	[[ ${output,,} == *"allow: get, head"* ]]
	# Sends a body with its GET, which nobody waits for.
	run curl -sS -o body -w '%{http_code}' -X GET --data-binary @"$gmemtop" "$url"
	scrape
	grep -q '^gmem_vms ' metrics
}

@test "HEAD has the length and no body" {
	run curl -sS --head "$url"
	[ "$status" -eq 0 ]
	[[ $output == "HTTP/1.1 200 OK"* ]]
	[[ $output == *"Content-Length: "[1-9]* ]]
	[[ $output != *gmem_vms* ]]
}

# Perl, as everything started here takes the VM half a second.
@test "visitors who dawdle or hoard are ended, and others are served" {
	start_export --listen 127.0.0.1:0
	port=${own_url#*127.0.0.1:}
	port=${port%/metrics}
	cat >visit.pl <<-'END'
		use IO::Socket::INET;
		use Time::HiRes qw(time sleep);
		my $port = shift;
		sub visit { IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 30) or die "connect: $!" }
		my @idle = map { visit() } 1 .. 40;
		my $slow = shift @idle;
		my $began = time;
		print $slow "GET /metrics HTTP/1.1\r\nX: "; $slow->flush;
		my $ended;
		$SIG{PIPE} = "IGNORE";
		while (time - $began < 60) {
			syswrite($slow, "x") or last;
			my $in = ""; vec($in, fileno($slow), 1) = 1;
			if (select($in, undef, undef, 0.5)) {
				sysread($slow, my $b, 4096) or last;
			}
		}
		printf "slow %d\n", time - $began;
		my $new = visit();
		print $new "GET /metrics HTTP/1.0\r\n\r\n"; $new->flush;
		local $/;
		my $got = <$new>;
		printf "served %s %d\n", $got =~ /^gmem_vms /m ? "yes" : "no", time - $began;
	END
	run perl visit.pl "$port"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "slow "* ]] && [ "${lines[0]#slow }" -le 15 ] || { echo "$output"; return 1; }
	[[ ${lines[1]} == "served yes "* ]] && [ "${lines[1]#served yes }" -le 25 ] || { echo "$output"; return 1; }
	[ "$(find "/proc/$exporter/fd" | wc -l)" -lt 60 ]
}

@test "a request that is too large is refused" {
	run curl -sS -o body -w '%{http_code}' -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" "$url"
	[ "$output" -ge 400 ]
	scrape
	grep -q '^gmem_vms ' metrics
}

@test "many scrapes leave nothing behind" {
	start_export --listen 127.0.0.1:0
	url=$own_url
	scrape
	before=$(find "/proc/$exporter/fd" | wc -l)
	memory=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$exporter/status")
	curl -sS -o /dev/null $(printf "$url %.0s" {1..300})
	[ "$(find "/proc/$exporter/fd" | wc -l)" -le $((before + 1)) ]
	[ "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$exporter/status")" -lt $((memory + 1024)) ]
}

@test "IPv6, and all addresses at once" {
	[ -e /proc/net/if_inet6 ] || skip "this kernel has no IPv6"
	start_export --listen '[::1]:0'
	[[ $own_url == "http://[::1]:"*"/metrics" ]]
	curl -sS -g "$own_url" | grep -q '^gmem_vms '
	end "$exporter"
	start_export --listen ':0'
	port=$(sed -n 's/.*:\([0-9]*\)\/metrics .*/\1/p' own.out)
	curl -sS "http://127.0.0.1:$port/metrics" | grep -q '^gmem_vms '
	curl -sS -g "http://[::1]:$port/metrics" | grep -q '^gmem_vms '
}

@test "SIGINT and SIGTERM end it, and the port is free again" {
	port=9753
	for signal in INT TERM; do
		# A job in the background of a script ignores SIGINT.
		perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$gmemtop" export >own.out 2>own.err 3>&- &
		exporter=$!
		mine=$exporter
		wait_for 30 grep -q "^Serving http://127.0.0.1:$port/metrics " own.out
		curl -sS "http://127.0.0.1:$port/metrics" | grep -q '^gmem_vms '
		kill -"$signal" "$exporter"
		status=0
		wait "$exporter" || status=$?
		[ "$status" -eq 0 ]
		[ ! -s own.err ]
	done
	run "$build/bpftool" prog show
	[ "$(grep -c sample_all <<<"$output")" -eq 1 ]
}

@test "bad options are one line and status 2" {
	while IFS='|' read -r args text; do
		# shellcheck disable=SC2086
		run --separate-stderr "$gmemtop" export $args
		[ "$status" -eq 2 ] || { echo "status $status: $args"; return 1; }
		one_line_error "$text" || { echo "$args: $stderr"; return 1; }
	done <<-END
		--listen|needs an argument
		--listen nonsense|takes ADDRESS:PORT
		--listen 127.0.0.1|takes ADDRESS:PORT
		--listen 127.0.0.1:|takes ADDRESS:PORT
		--listen 127.0.0.1:65536|takes ADDRESS:PORT
		--listen 127.0.0.1:-1|takes ADDRESS:PORT
		--listen ::1:9753|takes ADDRESS:PORT
		--listen [::1]|takes ADDRESS:PORT
		--textfile /tmp --listen :0|exclude each other
		--delay 5|is for --textfile
		--textfile /tmp -d 0|from 0.01 to 3600, not '0'
		--max-vms 0|from 1 to 65536, not '0'
		--max-vms 65537|from 1 to 65536, not '65537'
		--nonsense|unknown option '--nonsense'; see gmemtop export --help
		extra|unexpected argument 'extra'
	END
}

@test "what the host refuses is one line and status 1" {
	port=${url#*127.0.0.1:}
	port=${port%/metrics}
	while IFS='|' read -r args text; do
		# shellcheck disable=SC2086
		run --separate-stderr "$gmemtop" export $args
		[ "$status" -eq 1 ] || { echo "status $status: $args"; return 1; }
		one_line_error "$text" || { echo "$args: $stderr"; return 1; }
	done <<-END
		--listen 127.0.0.1:$port|Address already in use; stop what listens there
		--listen 192.0.2.1:9753|choose an address of this host
		--listen host.invalid:9753|host.invalid
		--user no-such-user|there is no user 'no-such-user'
		--textfile /no/such/directory|cannot open the directory '/no/such/directory'
		--textfile /etc/passwd|Not a directory
	END
	run --separate-stderr bash -c "'$gmemtop' export --help >/dev/full"
	[ "$status" -eq 1 ]
	one_line_error "cannot write the output: No space left on device"
}

@test "more VMs than there is room for: refused, said, and over once they are gone" {
	start_export --listen 127.0.0.1:0 --max-vms 1
	start_vms 70 many
	run curl -sS -o body -w '%{http_code}' "$own_url"
	[ "$output" = 503 ]
	grep -q "standard error says why" body
	grep -q 'VMs are more than the 64 that room was made for' own.err
	kill "$pid"
	wait_for 20 gone "$pid"
	run curl -sS -o body -w '%{http_code}' "$own_url"
	[ "$output" = 200 ]
}

### The file

@test "--textfile writes a file that passes promtool, once" {
	mkdir dir
	chown daemon dir
	umask 077
	run --separate-stderr "$gmemtop" export --textfile dir
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	[ "$(ls -A dir)" = gmem.prom ]
	[ "$(stat -c '%a %U' dir/gmem.prom)" = "644 daemon" ]
	run "$promtool" check metrics <dir/gmem.prom
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	grep -q "^gmem_vm_info{.*\"steady\"" dir/gmem.prom
}

@test "--textfile in root's directory: root, without a capability" {
	mkdir dir
	"$gmemtop" export --textfile dir -d 0.2 >own.out 2>own.err 3>&- &
	exporter=$!
	mine=$exporter
	wait_for 30 test -s dir/gmem.prom
	grep -q '^Uid:	0	0	0	0$' "/proc/$exporter/status"
	grep -q '^CapEff:	0000000000000000$' "/proc/$exporter/status"
	grep -q '^NoNewPrivs:	1$' "/proc/$exporter/status"
	before=$(of_dir gmem_vm_conversions_total)
	wait_for 30 eval '[ "$(of_dir gmem_vm_conversions_total)" -gt "$before" ]'

	# One at a time.
	run --separate-stderr "$gmemtop" export --textfile dir
	[ "$status" -eq 1 ]
	one_line_error "another gmemtop writes to 'dir'"

	kill -INT "$exporter" || :
	kill -TERM "$exporter"
	status=0
	wait "$exporter" || status=$?
	[ "$status" -eq 0 ]
	[ "$(ls -A dir)" = gmem.prom ]
	[ ! -s own.err ]
}

of_dir()
{
	cp dir/gmem.prom metrics
	metric_of "$1" "$(pid_of abuser)"
}

@test "--textfile: a reader never sees half a file" {
	mkdir dir
	"$gmemtop" export --textfile dir -d 0.01 3>&- &
	exporter=$!
	mine=$exporter
	wait_for 30 test -s dir/gmem.prom
	run perl -e '
		my ($end, $n, %files) = (time + 5, 0);
		while (time < $end) {
			open(my $f, "<", "dir/gmem.prom") or die "$!";
			my $inode = (stat $f)[1];
			local $/;
			my $text = <$f>;
			$text =~ /\A# TYPE gmem_build_info.*^gmem_policy_clamped_total|# HELP gmem_policy_clamped_total [^\n]*\n\z/ms or die "half a file";
			$files{$inode}++;
		}
		print scalar(keys %files);
	'
	[ "$status" -eq 0 ]
	[ "$output" -gt 1 ]
}

@test "--textfile on a full disk: one line, and the old file stays" {
	mkdir dir
	mount -t tmpfs -o size=64k none dir
	"$gmemtop" export --textfile dir
	cp dir/gmem.prom old
	dd if=/dev/zero of=dir/filler bs=4k 2>/dev/null || :
	run --separate-stderr "$gmemtop" export --textfile dir
	left=$(ls -A dir | tr '\n' ' ')
	same=$(cmp dir/gmem.prom old && echo same)
	umount dir
	[ "$status" -eq 1 ]
	one_line_error "cannot write 'dir/gmem.prom' as user root: No space left on device; the file that was there stays"
	[ "$left" = "filler gmem.prom " ]
	[ "$same" = same ]
}

@test "--textfile where the user may not write: names user and remedy" {
	mkdir dir
	run --separate-stderr "$gmemtop" export --textfile dir --user daemon
	[ "$status" -eq 1 ]
	one_line_error "cannot write 'dir/gmem.prom' as user daemon: Permission denied; give the directory to that user"
	[ -z "$(ls -A dir)" ]
}

### Prometheus itself

query()
{
	curl -sS -G --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query
}

value()
{
	query "$1" | jq -r '.data.result | if length == 1 then .[0].value[1] else "\(length) results" end'
}

is_up()
{
	[ "$(value 'up{job="gmem"}')" = 1 ]
}

# Does the newest scrape show the value $2 for $1?
shows()
{
	[ "$(value "$1")" = "$2" ]
}

@test "a Prometheus server scrapes it and answers with the right numbers" {
	target=${url#http://}
	cat >prometheus.yml <<-END
		global:
		  scrape_interval: 1s
		scrape_configs:
		  - job_name: gmem
		    static_configs:
		      - targets: ['${target%/metrics}']
	END
	"$build/prometheus/prometheus" --config.file=prometheus.yml --storage.tsdb.path=data \
		--web.listen-address=127.0.0.1:9090 --log.level=error >prometheus.log 2>&1 3>&- &
	mine=$!
	wait_for 120 is_up || { cat prometheus.log; return 1; }
	pid=$(pid_of abuser)
	name='* on(vm) group_left(name) gmem_vm_info{name="abuser"}'

	# A rate, while the guest runs: over the same time as debugfs.
	first=$(stat_of conversions "$pid")
	began=$(date +%s.%N)
	sleep 20
	rate=$(value "rate(gmem_vm_conversions_total[15s]) $name")
	last=$(stat_of conversions "$pid")
	run jq -n -e "(($last - $first) / ($(date +%s.%N) - $began)) as \$true |
		(\$true > 10) and ($rate / \$true | . > 0.7 and . < 1.4)"
	[ "$status" -eq 0 ] || { echo "rate $rate, debugfs $first to $last"; return 1; }

	# Denials, against what gmemload met.
	"$gmempolicy" attach ratelimit --pid "$pid" --set rate=20 --set action=deny
	sleep 3
	kill -STOP "$pid"
	denied=$(counter_of conversions_denied "$pid")
	wait_for 60 shows "gmem_vm_conversions_denied_total $name" "$denied"
	# All of it was denied by this policy, or by those of the tests before.
	[ "$(value 'sum(gmem_policy_denied_total{errno="EBUSY"})')" -gt 0 ]
	[ "$(value 'sum(gmem_policy_denied_total{errno="EBUSY"}) == sum(gmem_policy_denied_total)')" -gt 0 ]
	shows 'count(gmem_policy_info{name="ratelimit",mode="enforce"})' 1

	# What the dashboard asks, with Grafana's variables filled in.
	jq -r '[.panels[].targets[].expr, .annotations.list[].expr] | .[] |
		gsub("[$]__rate_interval"; "30s") | gsub("[$]instance"; ".*")' \
		"$docs/grafana-gmem.json" >queries
	[ "$(wc -l <queries)" -ge 15 ]
	: >unanswered
	while read -r q; do
		query "$q" >answer.json
		jq -e '.status == "success"' answer.json >/dev/null || { echo "$q"; cat answer.json; return 1; }
		jq -e '.data.result | length > 0' answer.json >/dev/null || echo "$q" >>unanswered
	done <queries
	# All have an answer, but the one for changes of policies.
	run grep -vc '^changes(' unanswered
	[ "$output" = 0 ] || { cat unanswered; return 1; }
	"$gmempolicy" detach --all

	# Nothing moves: equal to the last digit.
	conversions=$(stat_of conversions "$pid")
	wait_for 60 shows "gmem_vm_conversions_total $name" "$conversions"
	shows "gmem_vm_to_private_bytes_total $name" $(($(counter_of pages_to_private "$pid") * 4096))
	shows "gmem_vm_stale_bytes $name" $(($(counter_of stale_pages "$pid") * 4096))
	private=$("$gmemtop" --json --once | jq '[.vms[].private_pages] | add * 4096')
	shows 'sum(gmem_vm_private_bytes)' "$private"
	shows 'sum(gmem_vm_guest_memfd_bytes)' $((56 << 20))
	shows 'gmem_vms' 3
	shows 'count(gmem_vm_info)' 3
	shows 'count(count by (__name__) ({__name__=~"gmem_.*"})) > bool 30' 1
	kill -CONT "$pid"

	# gmemload's record: what its guests did, since they started.
	end "$(cat "$BATS_FILE_TMPDIR/load.pid")"
	refused=$(jq "select(.summary and .guest == \"abuser\") | .refused" "$BATS_FILE_TMPDIR/load.json")
	[ "$refused" -eq "$denied" ]

	# The last guest is gone, and so are the series.
	wait_for 60 shows 'gmem_vms' 0
	wait_for 60 shows 'count(gmem_vm_info) or vector(0)' 0
	# It understood every line of what it scraped.
	shows 'up{job="gmem"}' 1
	[ ! -s prometheus.log ] || { cat prometheus.log; return 1; }
}
