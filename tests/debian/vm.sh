# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts share that run in a VM with Debian's kernel. Its root is the clean
# install that tests/debian/packages has left, if the script does not say otherwise.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export DEBIAN_FRONTEND=noninteractive

check()
{
	echo "ok so far: $1"
	shift
	"$@" || { echo "${0##*/}: $* failed" >&2; exit 1; }
}

# unshare(1) takes no notice of SIGTERM.
trap 'kill -KILL $(jobs -p) 2>/dev/null || :' EXIT

# says TEXT COMMAND...: in the midst of whatever else
says()
{
	local text=$1 out
	shift

	if ! out=$("$@" 2>&1) || [[ $out != *"$text"* ]]; then
		printf '%s\n' "$out" >&2
		return 1
	fi
}

# refuses TEXT COMMAND...: it fails, with one line that has TEXT
refuses()
{
	local text=$1 out
	shift

	! out=$("$@" 2>&1) || { echo "$* did not fail" >&2; return 1; }
	if [[ $out != *"$text"* ]] || [ "$(wc -l <<<"$out")" -ne 1 ]; then
		printf '%s\n' "$out" >&2
		return 1
	fi
}

kvm_is_ours()
{
	[ -e /sys/module/kvm/parameters/gmem_without ]
}

# KVM is the kernel's own, and works as far as a device goes.
kvm_is_debians()
{
	[ -d /sys/module/kvm ] && ! kvm_is_ours && [ -c /dev/kvm ] &&
		[ "$(modinfo -n kvm | sed 's,^/usr,,')" = "$(echo /lib/modules/"$(uname -r)"/kernel/arch/x86/kvm/kvm.ko*)" ]
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local i

	for ((i = 0; i < $1 * 5; i++)); do
		! "${@:2}" || return 0
		sleep 0.2
	done
	return 1
}
