#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The files of docs/fleet, each put to use. What Kubernetes would give the
# containers of the DaemonSet they get here, and nothing else: capabilities, mounts
# and namespaces. Run as root in the VM:
#	tests/vm/run -- bats tests/cli/fleet.bats

load gmempolicy

setup_file()
{
	use_build
	start_vm web web-1
}

teardown_file()
{
	gmempolicy detach --all
	stop_vm web
}

setup()
{
	fleet=$BATS_TEST_DIRNAME/../../docs/fleet
	build=$BATS_TEST_DIRNAME/../../build
	cd "$BATS_TEST_TMPDIR" || return
}

teardown()
{
	[ -z "${pod-}" ] || kill -KILL "$pod" 2>/dev/null || true
	[ -z "${pod-}" ] || wait "$pod" 2>/dev/null || true
	gmempolicy detach --all
}

# of CONTAINER: its part of the DaemonSet
of()
{
	sed -n "/- name: $1\$/,/- name: \|^      volumes:/p" "$fleet/daemonset.yml" | sed '$d'
}

# contain CONTAINER [WITHOUT]: runs it with what it is given, but for a capability
# or a mount. Sets pod.
contain()
{
	local caps command mounts path

	caps=$(of "$1" | sed -n 's/.*add: \[\(.*\)\].*/\1/p' | tr -d ' ' | tr 'A-Z,' 'a-z\n' | grep -vx "${2-none}" |
		sed 's/^/+/' | paste -sd,)
	command=$(of "$1" | sed -n 's/.*command: \[\(.*\)\]/\1/p' | tr -d '",')
	mounts=$(of "$1" | sed -n 's/.*mountPath: \([^}]*\)}/\1/p' | grep -vx "${2-none}" || true)

	cat >inside <<-END
		set -e
		root=$PWD/root
		mkdir -p \$root
		mount -t tmpfs image \$root
		mkdir -p \$root/{usr,proc,sys,dev,etc,tmp,etc/gmem/policy.d}
		cp /etc/passwd /etc/group \$root/etc/
		for dir in usr dev; do mount --rbind /\$dir \$root/\$dir; done
		ln -s usr/bin usr/sbin usr/lib usr/lib64 \$root/
		cp $build/gmemtop $build/gmempolicy \$root/tmp/
		mount -t proc proc \$root/proc
		mount -t sysfs -o ro sysfs \$root/sys
		for path in $(echo $mounts); do
			case \$path in
			/sys/fs/bpf) mount --bind /sys/fs/bpf \$root/sys/fs/bpf ;;
			*) mount --bind $PWD/policy.d \$root\$path ;;
			esac
		done
		mount -o remount,ro \$root
		exec chroot \$root /usr/bin/setpriv --bounding-set -all,$caps --inh-caps -all --no-new-privs \
			/tmp/$command
	END
	unshare -m bash inside >log 2>&1 3>&- &
	pod=$!
}

config_map()
{
	mkdir -p policy.d
	sed -n '/10-fleet.toml: |/,/^---/s/^    //p' "$fleet/daemonset.yml" >policy.d/10-fleet.toml
}

@test "the fleet's policy is one that gmempolicy takes" {
	run gmempolicy diff "$fleet/policy.d"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *attach*guard* ]]
	run gmempolicy apply "$fleet/policy.d"
	[ "$status" -eq 0 ]
	[ "$(gmempolicy list --json | jq -r '.attached[].policy')" = guard ]
}

@test "the DaemonSet has the same policy" {
	config_map
	diff policy.d/10-fleet.toml <(grep -v '^#' "$fleet/policy.d/10-fleet.toml")
}

@test "the exporter serves with what the DaemonSet gives it" {
	contain export
	wait_for 60 curl -fs -o metrics http://127.0.0.1:9753/metrics || { cat log; false; }
	grep -q '^gmem_vm_info{.*name="web-1"' metrics
}

@test "the exporter does nothing without the capability" {
	contain export sys_admin
	# Not "run": that is another process, which has no pod to wait for.
	status=0
	wait "$pod" || status=$?
	pod=
	cat log
	[ "$status" -eq 1 ]
	grep -qi 'privilege\|CAP_SYS_ADMIN\|root' log
}

@test "policies are in force with what the DaemonSet gives them, and stay" {
	config_map
	contain policy
	wait_for 60 eval 'gmempolicy list --json | jq -e ".attached[] | select(.policy == \"guard\")" >/dev/null' ||
		{ cat log; false; }
	kill -KILL "$pod"
	wait "$pod" || true
	pod=
	gmempolicy list --json | jq -e '.attached[] | select(.policy == "guard")'
}

@test "without the mount of the BPF file system nothing is attached" {
	config_map
	contain policy /sys/fs/bpf
	# It ends by itself, and says why.
	wait_for 60 eval '! kill -0 "$pod" 2>/dev/null' || { cat log; false; }
	status=0
	wait "$pod" || status=$?
	pod=
	cat log
	[ "$status" -eq 1 ]
	grep -q /sys/fs/bpf log
	! gmempolicy list --json | jq -e '.attached[] | select(.policy == "guard")' || false
}
