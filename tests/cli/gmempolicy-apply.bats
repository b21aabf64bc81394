#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# gmempolicy apply and diff: the host matches the files, a file with a mistake
# changes nothing, VMs that start later are found, and whenever the tool is
# killed each policy is as it was or as it is to be. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/gmempolicy-apply.bats

load gmempolicy

setup_file()
{
	use_build
	prepare_objects
	start_vm web1 web-1
	start_vm db db-1
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web1 db
}

setup()
{
	dir=$BATS_TEST_TMPDIR/policy.d
	mkdir "$dir"
}

teardown()
{
	[ -z "${daemon-}" ] || kill -KILL "$daemon" 2>/dev/null || true
	gmempolicy detach --all
	[ -z "${vms-}" ] || kill "$vms" 2>/dev/null || true
	stop_vm late
}

# file NAME: standard input becomes a file of policy.d.
file()
{
	cat >"$dir/$1"
}

# The changes that apply or diff names: "action pin", sorted.
changes()
{
	jq -r '.changes[] | "\(.action) \(.pin)"' | sort | paste -sd,
}

# wrong PLACE PATTERN: apply refuses what is on standard input.
wrong()
{
	cat >"$dir/wrong.toml"
	refuses 1 "$dir/wrong.toml:$1: $2" apply "$dir"
	refuses 1 "$dir/wrong.toml:$1: $2" diff "$dir"
	rm "$dir/wrong.toml"
}

two_policies()
{
	file 10.toml <<-END
	# What all guests have.
	[policy.everyone]
	use = "ratelimit"
	all = true
	mode = "audit"
	priority = 10
	set = { rate = ${1:-500} }

	[policy.web]
	use = "ratelimit"
	name = "web-*"
	[policy.web.set]
	rate = ${2:-20}
	action = "delay"
	END
}

@test "apply makes the host match, and does nothing the second time" {
	two_policies
	id=$(vm_of web-1)
	[ "$(gmempolicy diff "$dir" --json | changes)" = \
		"attach everyone@all,attach web@vm$id" ]
	nothing_left
	run gmempolicy apply "$dir"
	[ "$status" -eq 0 ]
	[[ $output == *attach*everyone@all*ratelimit* ]]
	[ "$(policy everyone@all mode) $(policy everyone@all priority)" = "audit 10" ]
	[ "$(param everyone@all rate)" = 500 ]
	[ "$(param "web@vm$id" rate) $(param "web@vm$id" action)" = "20 delay" ]
	[ "$(attached | wc -l)" -eq 2 ]
	run gmempolicy apply "$dir"
	[ "$status" -eq 0 ]
	[ "$output" = "Nothing to change." ]
	[ "$(gmempolicy diff "$dir" --json | jq -c .)" = '{"changes":[]}' ]
}

@test "apply changes what differs, by the least that does it, and keeps the link" {
	two_policies
	gmempolicy apply "$dir"
	id=$(vm_of web-1)
	links="$(policy everyone@all link_id) $(policy "web@vm$id" link_id)"
	two_policies 600 20
	[ "$(gmempolicy apply "$dir" --json | changes)" = "set everyone@all" ]
	[ "$(param everyone@all rate)" = 600 ]
	sed -i 's/audit/enforce/; s/priority = 10/priority = -3/' "$dir/10.toml"
	[ "$(gmempolicy apply "$dir" --json | changes)" = "mode everyone@all" ]
	[ "$(policy everyone@all mode) $(policy everyone@all priority)" = \
		"enforce -3" ]
	sed -i 's/enforce/audit/; s/rate = 600/rate = 700/' "$dir/10.toml"
	[ "$(gmempolicy apply "$dir" --json | changes)" = "replace everyone@all" ]
	[ "$(policy everyone@all mode) $(param everyone@all rate)" = "audit 700" ]
	[ "$links" = "$(policy everyone@all link_id) $(policy "web@vm$id" link_id)" ]
}

@test "apply undoes what was changed by hand" {
	two_policies
	gmempolicy apply "$dir"
	gmempolicy set everyone@all rate=1
	gmempolicy enforce everyone@all
	[[ $(gmempolicy diff "$dir") == *"rate 1 -> 500"*"enforce -> audit"* ]]
	gmempolicy apply "$dir"
	[ "$(policy everyone@all mode) $(param everyone@all rate)" = "audit 500" ]
}

@test "apply detaches what is not asked for any more, and only its own" {
	two_policies
	gmempolicy apply "$dir"
	gmempolicy attach ratelimit --vm "$(vm_of db-1)"
	rm "$dir/10.toml"
	[ "$(gmempolicy apply "$dir" --json | changes)" = \
		"detach everyone@all,detach web@vm$(vm_of web-1)" ]
	[ "$(attached | wc -l)" -eq 1 ]
	[ "$(policy "ratelimit-vm$(vm_of db-1)" state)" = active ]
}

@test "apply takes one file, and objects from beside it" {
	cp "$TOP/build/bpf/ratelimit.bpf.o" "$dir/own.bpf.o"
	file x.toml <<-END
	policy.own.use = "./own.bpf.o"
	policy.own.all = true
	END
	gmempolicy apply "$dir/x.toml"
	[ "$(policy own@all policy)" = ratelimit ]
}

@test "apply --cgroup scope" {
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/data
	cat "$BATS_FILE_TMPDIR/db.vm.pid" >/sys/fs/cgroup/data/cgroup.procs
	file x.toml <<-END
	[policy.data]
	use = "ratelimit"
	cgroup = "/sys/fs/cgroup/data"
	END
	[ "$(gmempolicy apply "$dir" --json | changes)" = \
		"attach data@vm$(vm_of db-1)" ]
	# The root of the hierarchy, however it is written.
	for root in / /sys/fs/cgroup /sys/fs/cgroup/; do
		sed -i "s,^cgroup = .*,cgroup = \"$root\"," "$dir/x.toml"
		[ "$(gmempolicy diff "$dir" --json | changes)" = \
			"attach data@vm$(vm_of web-1)" ]
	done
}

@test "a file with one mistake changes nothing" {
	two_policies
	gmempolicy apply "$dir"
	before=$(attached)
	two_policies 600 30
	wrong 2:6 "a value is missing" <<<$'[policy.x]\nuse =\n'
	wrong 1:9 "a policy 'web' is asked for already, at $dir/10.toml:9:9" \
		<<<$'[policy.web]\nuse = "ratelimit"\nall = true'
	wrong 4:9 "rate takes a whole number of conversions/s from 1" \
		<<<$'[policy.x]\nuse = "ratelimit"\nall = true\nset = { rate = 0 }'
	[ "$(attached)" = "$before" ]
}

@test "an object that the kernel refuses changes nothing" {
	two_policies
	gmempolicy apply "$dir"
	before=$(attached)
	cp "$TOP/build/bpf/usage.bpf.o" "$dir/bad.bpf.o"
	wrong 1:9 "$dir/./bad.bpf.o has no struct kvm_gmem_ops" \
		<<<$'[policy.a]\nuse = "./bad.bpf.o"\nall = true'
	[ "$(attached)" = "$before" ]
}

@test "apply and diff: wrong usage" {
	refuses 1 "cannot read '/no/such'" apply /no/such
	refuses 1 "cannot read '/etc/gmem/policy.d'" diff
	refuses 2 "leave 'b' out" apply a b
	refuses 2 "leave 'b' out" diff a b
	# Where bats works only root may look.
	run --separate-stderr setpriv --reuid nobody --clear-groups \
		gmempolicy apply "$dir"
	check_refusal 1 "Permission denied; run it as root"
	two_policies
	open=$(mktemp -d /tmp/policy.d.XXXXXX)
	cp "$dir"/* "$open"
	chmod -R a+rX "$open"
	run --separate-stderr setpriv --reuid nobody --clear-groups \
		gmempolicy apply "$open"
	rm -r "$open"
	check_refusal 1 "no privilege"
	nothing_left
}

# limited NAME LIMIT: the source of a policy differs in a constant only.
limited()
{
	convert limited <<-END
		static const volatile u64 limit = $1;
		return convert->end - convert->start > limit ? gmem_deny(EPERM) : 0;
	END
	cp "$obj" "$dir/limited.bpf.o"
}

@test "an object with another constant is another policy" {
	limited 1
	file x.toml <<-END
	[policy.a]
	use = "./limited.bpf.o"
	all = true
	END
	gmempolicy apply "$dir"
	[ "$(gmempolicy diff "$dir" --json | jq -c .)" = '{"changes":[]}' ]
	[ "$("$TOP/tests/cli/vm.pl" x 1000 1 2 | tail -n 1 | jq .perm)" = 1 ]
	limited 2
	[ "$(gmempolicy apply "$dir" --json | changes)" = "replace a@all" ]
	[ "$("$TOP/tests/cli/vm.pl" x 1000 1 2 | tail -n 1 | jq .perm)" = 0 ]
}

@test "an object with a map of another size is another policy" {
	sized()
	{
		object sized <<-END
		struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, $1);
			 __type(key, u64); __type(value, u64); } m SEC(".maps");
		SEC("struct_ops.s/convert")
		s64 BPF_PROG(c, struct kvm *kvm, const struct kvm_gmem_convert *convert)
		{
			u64 key = 1;
			return bpf_map_lookup_elem(&m, &key) ? gmem_deny(EPERM) : 0;
		}
		SEC(".struct_ops.link")
		struct kvm_gmem_ops sized = { .convert = (void *)c, .name = "sized" };
		END
		cp "$obj" "$dir/sized.bpf.o"
	}
	sized 10
	file x.toml <<-END
	[policy.a]
	use = "./sized.bpf.o"
	all = true
	END
	gmempolicy apply "$dir"
	[ "$(gmempolicy diff "$dir" --json | jq -c .)" = '{"changes":[]}' ]
	sized 20
	[ "$(gmempolicy apply "$dir" --json | changes)" = "replace a@all" ]
}

@test "set from input goes on with what apply put in the policy's place, and ends with it" {
	two_policies
	gmempolicy apply "$dir"
	mkfifo "$dir/in"
	gmempolicy set everyone@all - <"$dir/in" >/dev/null 2>"$dir/err" 3>&- &
	pid=$!
	exec 7>"$dir/in"
	echo rate=11 >&7
	wait_for 60 eval '[ "$(param everyone@all rate)" = 11 ]'
	two_policies 600
	sed -i 's/audit/enforce/' "$dir/10.toml"
	[ "$(gmempolicy apply "$dir" --json 7>&- | changes)" = "replace everyone@all" ]
	echo rate=12 >&7
	wait_for 60 eval '[ "$(param everyone@all rate)" = 12 ]'
	gmempolicy detach everyone@all 7>&-
	echo rate=13 >&7
	exec 7>&-
	status=0
	wait $pid || status=$?
	cat "$dir/err"
	[ "$status" -eq 1 ]
	grep -q "the policy everyone@all has ended" "$dir/err"
	grep -q "stopped at line 3 of the input" "$dir/err"
}

@test "many VMs and few descriptors" {
	perl -e '
		$0 = "many"; $| = 1;
		open(my $kvm, "+<", "/dev/kvm") or die;
		for (1 .. 30) {
			my $fd = ioctl($kvm, 0xae01, 1) or die "create: $!";
			open($vms[$_], "+<&=", $fd + 0) or die;
		}
		print "ready\n";
		sleep 600' >"$BATS_TEST_TMPDIR/many" 3>&- &
	vms=$!
	wait_for 60 grep -q ready "$BATS_TEST_TMPDIR/many"
	file x.toml <<-END
	[policy.many]
	use = "deny"
	name = "many"
	END
	[ "$(bash -c "ulimit -Sn 64; gmempolicy apply '$dir' --json" |
		jq '.changes | length')" = 30 ]
	# Nor do those that stay as they are keep any open.
	bash -c "ulimit -n 64; gmempolicy apply '$dir'"
}

@test "too many policies: none of them is attached" {
	for i in $(seq 15); do
		printf '[policy.p%d]\nuse = "deny"\nall = true\nmode = "audit"\n' $i
	done | file 10.toml
	gmempolicy apply "$dir"
	printf '[policy.%s]\nuse = "deny"\nname = "web-*"\nmode = "audit"\n' q r |
		file 20.toml
	refuses 1 "too many policies on VM $(vm_of web-1): it would be 17, and at most 16 can be" \
		apply "$dir"
	refuses 1 "too many policies on VM" diff "$dir"
	[ "$(attached | wc -l)" -eq 15 ]
}

@test "what was done before a failure is told" {
	two_policies
	gmempolicy apply "$dir"
	two_policies 600
	printf '[policy.fresh]\nuse = "deny"\nall = true\nmode = "audit"\n' |
		file 20.toml
	run --separate-stderr unshare -m sh -c \
		"mount --bind /sys/fs/bpf /sys/fs/bpf &&
		 mount -o remount,ro,bind /sys/fs/bpf &&
		 exec gmempolicy apply '$dir' --json"
	[ "$status" -eq 1 ]
	[[ $stderr == *remount,rw* ]]
	[ "$(changes <<<"$output")" = "set everyone@all" ]
	[ "$(param everyone@all rate)" = 600 ]
}

@test "too many policies: what was there before stays" {
	for i in $(seq 16); do
		printf '[policy.p%d]\nuse = "ratelimit"\nall = true\nmode = "audit"\n' $i
	done | file 10.toml
	gmempolicy apply "$dir"
	printf '[policy.q]\nuse = "ratelimit"\nall = true\n' | file 20.toml
	refuses 1 "too many policies" apply "$dir"
	[ "$(attached | wc -l)" -eq 16 ]
}

@test "--watch: a VM that starts later gets its policy, and loses it when it ends" {
	two_policies
	gmempolicy apply "$dir" --watch --json >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	daemon=$!
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
	start_vm late web-late
	pin=web@vm$(vm_of web-late)
	wait_for 60 eval '[ "$(policy $pin state)" = active ]'
	stop_vm late
	wait_for 60 eval '[ ! -e "$PINS/$pin" ]'
	kill -TERM $daemon
	wait $daemon
	daemon=
	# The policies outlive it.
	[ "$(policy everyone@all state)" = active ]
}

@test "--watch: a VM that gets its name a moment later is found soon" {
	two_policies
	gmempolicy apply "$dir" --watch >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	daemon=$!
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
	sleep 1
	perl -e '
		$0 = "unnamed";
		open(my $kvm, "+<", "/dev/kvm") or die;
		my $vm = ioctl($kvm, 0xae01, 1) or die "create: $!";
		select(undef, undef, undef, 0.15);
		$0 = "web-late";
		sleep 600' 3>&- &
	vms=$!
	# Otherwise it looks after 5 seconds.
	sleep 2
	[ "$(ls $PINS | grep -c web@vm)" -eq 2 ]
}

@test "--watch: SIGHUP reads the files again, and one with a mistake is not used" {
	two_policies
	gmempolicy apply "$dir" --watch >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	daemon=$!
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
	two_policies 0
	kill -HUP $daemon
	wait_for 60 grep -q "10.toml:7:9: rate takes" "$BATS_TEST_TMPDIR/log"
	[ "$(param everyone@all rate)" = 500 ]
	two_policies 800
	kill -HUP $daemon
	wait_for 60 eval '[ "$(param everyone@all rate)" = 800 ]'
	# By hand is undone.
	gmempolicy detach everyone@all
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
}

@test "--watch: what is refused over and over is said once, and once more on SIGHUP" {
	two_policies
	gmempolicy apply "$dir" --watch >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	daemon=$!
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
	for i in $(seq 16); do
		printf '[policy.p%d]\nuse = "ratelimit"\nall = true\nmode = "audit"\n' $i
	done | file 20.toml
	kill -HUP $daemon
	wait_for 60 grep -q "too many policies" "$BATS_TEST_TMPDIR/log"
	sleep 12
	cat "$BATS_TEST_TMPDIR/log"
	[ "$(grep -c "too many policies" "$BATS_TEST_TMPDIR/log")" -eq 1 ]
	kill -HUP $daemon
	wait_for 60 eval '[ "$(grep -c "too many policies" "$BATS_TEST_TMPDIR/log")" -eq 2 ]'
}

@test "--watch: what libbpf said of one object is not said of the next" {
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
	two_policies
	gmempolicy apply "$dir" --watch >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	daemon=$!
	wait_for 60 eval '[ "$(policy everyone@all state)" = active ]'
	printf '[policy.x]\nuse = "%s"\nall = true\n' "$obj" | file x.toml
	kill -HUP $daemon
	wait_for 60 grep -q "of_tomorrow" "$BATS_TEST_TMPDIR/log"
	head -c 300 "$obj" >"$dir/cut.o"
	printf '[policy.x]\nuse = "./cut.o"\nall = true\n' | file x.toml
	kill -HUP $daemon
	wait_for 60 grep -q "is no BPF object" "$BATS_TEST_TMPDIR/log"
	grep "is no BPF object" "$BATS_TEST_TMPDIR/log"
	run ! grep "is no BPF object.*of_tomorrow" "$BATS_TEST_TMPDIR/log"
}

@test "the unit names what is there" {
	unit=$TOP/tools/gmempolicy/gmempolicyd.service
	grep -qx 'ExecStart=/usr/sbin/gmempolicy apply --watch' "$unit"
	grep -qx Type=notify "$unit"
	grep -q '^After=.*systemd-modules-load.service' "$unit"
	grep -qx 'LimitNOFILE=524288' "$unit"
	grep -q '^CapabilityBoundingSet=.*CAP_SYS_ADMIN' "$unit"
	grep -qx 'ExecReload=/bin/sh -c "kill -HUP $MAINPID"' "$unit"
	command -v systemd-analyze >/dev/null || skip "needs systemd-analyze"
	sed "s,/usr/sbin/gmempolicy,$TOP/build/gmempolicy,g" "$unit" \
		>"$BATS_TEST_TMPDIR/gmempolicyd.service"
	run systemd-analyze verify --man=no "$BATS_TEST_TMPDIR/gmempolicyd.service"
	echo "$output"
	[ "$status" -eq 0 ]
}
