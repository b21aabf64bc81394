# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What kernel/build and kernel/build-tools share: where the kernel source comes
# from, its identity, and the unpacked copy of it in the cache. It builds
# nothing itself.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=$(basename "$0")
cache=${GMEM_CACHE:-${HOME-}/.cache/gmem}
source_path=${KERNEL_SRC:-/usr/src/linux-source-6.12.tar.xz}
series_version=6.12

die()
{
	echo "$self: $*" >&2
	exit 1
}

usage_error()
{
	echo "$self: $*" >&2
	exit 2
}

say()
{
	echo "$self: $*" >&2
}

need_programs()
{
	local p

	for p in "$@"; do
		command -v "$p" >/dev/null || die "$p is not installed: run make setup"
	done
}

# The newest clang from 19 on; an unversioned one counts when it is new enough.
find_clang()
{
	local v

	for v in 19 20 21 22 23 24; do
		if command -v "clang-$v" >/dev/null; then
			echo "clang-$v"
			return
		fi
	done
	if command -v clang >/dev/null; then
		v=$(clang -dumpversion)
		if [ "${v%%.*}" -ge 19 ]; then
			echo clang
			return
		fi
	fi
	die "no clang 19 or newer is installed: run make setup"
}

# What compiles here, in lines for a cache key: programs of one Debian release do
# not run on, or link with, another one.
toolchain()
{
	gcc --version | head -n 1
	ld --version | head -n 1
	getconf GNU_LIBC_VERSION
}

# output_dir DIR: makes a build directory, or empties one that another toolchain
# has used: kbuild would run the programs that it built for itself there.
output_dir()
{
	local mark

	mark=$(toolchain)
	[ "$(cat "$1/toolchain" 2>/dev/null)" = "$mark" ] || rm -rf "$1"
	mkdir -p "$1"
	echo "$mark" >"$1/toolchain"
}

# need_space GIB: one line up front beats an I/O error in the 6th minute.
need_space()
{
	local free

	free=$(df --output=avail -B1M "$cache" | tail -n 1)
	[ "$free" -ge $(($1 * 1024)) ] ||
		die "$cache has $((free / 1024)) GiB free and this build needs about $1: free some, or set GMEM_CACHE to a larger disk"
}

# Sets source_id. Hashing the tarball takes half a second, so its hash is
# remembered under the file's device, inode, size and times.
identify_source()
{
	local stat memo

	[ -e "$source_path" ] ||
		die "no kernel source at $source_path: run make setup, or set KERNEL_SRC to a tree or tarball"
	source_path=$(realpath "$source_path")
	mkdir -p "$cache/src" 2>/dev/null ||
		die "cannot write to $cache: set GMEM_CACHE to a directory of yours"

	if [ -d "$source_path" ]; then
		[ -f "$source_path/virt/kvm/kvm_main.c" ] ||
			die "$source_path is not a Linux source tree: set KERNEL_SRC to one"
		[ ! -e "$source_path/.config" ] && [ ! -e "$source_path/include/config" ] ||
			die "$source_path has been built in place: run make mrproper there"
		source_id=$( (cd "$source_path" &&
			find . -name .git -prune -o -printf '%P %y %s %T@ %l\n' |
			LC_ALL=C sort | sha256sum) | cut -c1-20)
	else
		stat=$(stat -c '%n %d %i %s %Y %Z' "$source_path")
		memo=$cache/src/.id-$(sha256sum <<<"$stat" | cut -c1-20)
		if [ ! -s "$memo" ]; then
			sha256sum <"$source_path" | cut -c1-20 >"$memo.$$"
			mv "$memo.$$" "$memo"
		fi
		source_id=$(<"$memo")
	fi
	source_dir=$cache/src/$source_id
	pristine=$source_dir/pristine
}

# One builder at a time for a source: the patched tree and the build
# directories are shared by every checkout that uses this cache.
lock_source()
{
	mkdir -p "$source_dir"
	exec {lock_fd}>"$source_dir/lock"
	if ! flock -n "$lock_fd"; then
		say "waiting for another build in $source_dir"
		flock "$lock_fd"
	fi
}

# Call with the lock held.
unpack_source()
{
	local tmp=$source_dir/unpack.tmp version

	if [ ! -d "$pristine" ]; then
		say "unpacking $source_path"
		rm -rf "$tmp"
		mkdir -p "$tmp/tree"
		if [ -d "$source_path" ]; then
			tar -C "$source_path" --exclude=./.git -cf - . | tar -C "$tmp/tree" -xf - ||
				die "cannot copy $source_path"
		else
			tar -C "$tmp/tree" --strip-components=1 -xf "$source_path" ||
				die "cannot unpack $source_path: is it a kernel source tarball?"
		fi
		[ -f "$tmp/tree/virt/kvm/kvm_main.c" ] ||
			die "$source_path holds no Linux source tree: set KERNEL_SRC to one"
		version=$(sed -n 's/^VERSION = //p;s/^PATCHLEVEL = //p' "$tmp/tree/Makefile" |
			head -n 2 | paste -sd.)
		[ "$version" = "$series_version" ] ||
			die "$source_path is Linux $version and gmem's patches are for $series_version: set KERNEL_SRC to a $series_version tree"
		mv "$tmp/tree" "$pristine"
		rm -rf "$tmp"
	fi
}

# apply_patch TREE PATCH: exactly, or not at all. Returns 1 if it does not apply, and
# says why; 2 if it is for other versions than the source's, which its name says. TREE
# may be a part of the source.
apply_patch()
{
	local sublevel name

	sublevel=$(sed -n 's/^SUBLEVEL = //p' "$pristine/Makefile")
	name=$(basename "$2" .patch)
	case $name in
	*-before-6.12.*) [ "${sublevel:-0}" -lt "${name##*.}" ] || return 2 ;;
	*-from-6.12.*) [ "${sublevel:-0}" -ge "${name##*.}" ] || return 2 ;;
	esac
	patch -d "$1" -p1 -F0 -f -s --no-backup-if-mismatch -r - <"$2" 2>&1 || return 1
}

# The build's output goes to a log; the user sees that it moves.
# run_logged LABEL LOGFILE COMMAND...
run_logged()
{
	local label=$1 log=$2 start=$SECONDS next pid rc=0 line
	shift 2

	mkdir -p "$(dirname "$log")"
	# A process group of its own: bash would start a plain background job
	# with SIGINT ignored, and Ctrl-C would leave the compilers running.
	set -m
	setpriv --pdeathsig KILL "$@" >>"$log" 2>&1 </dev/null {lock_fd}>&- &
	pid=$!
	set +m
	trap 'kill -TERM -- -'"$pid"' 2>/dev/null; exit 130' INT
	trap 'kill -TERM -- -'"$pid"' 2>/dev/null; exit 143' TERM HUP
	next=$((SECONDS + 30))
	while kill -0 "$pid" 2>/dev/null; do
		line="$label: $(grep -cE '^  ?(  )?(CC|AS|HOSTCC|LD|AR|CLANG|BTF)' "$log" || true) steps, $((SECONDS - start)) s"
		if [ -t 2 ]; then
			printf '\r%s' "$line" >&2
		elif [ "$SECONDS" -ge "$next" ]; then
			echo "$line" >&2
			next=$((SECONDS + 30))
		fi
		sleep 0.5
	done
	wait "$pid" || rc=$?
	trap - INT TERM HUP
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$rc" -ne 0 ]; then
		tail -n 30 "$log" >&2
		die "$label failed; the whole log is $log"
	fi
}

# Hash of a set of files by name and content, for cache keys.
hash_files()
{
	local f

	for f in "$@"; do
		[ -f "$f" ] && echo "${f#"$top"/} $(sha256sum <"$f")"
	done
	return 0
}

# Point build/NAME at a cache entry, and let NAME.key change only with it, so
# that make rebuilds what depends on the entry exactly when it is another one.
publish()
{
	local link=$top/build/$1 target=$2 key=$3

	mkdir -p "$(dirname "$link")"
	[ "$(readlink "$link" 2>/dev/null)" = "$target" ] ||
		{ rm -rf "$link"; ln -sfn "$target" "$link"; }
	[ "$(cat "$link.key" 2>/dev/null)" = "$key" ] || echo "$key" >"$link.key"
}
