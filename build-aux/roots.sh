#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# For scripts that read this file: roots of other releases of Debian, made from the distribution's
# own archive and kept in .cache/roots/, and commands that run in a throw-away copy of one. Wants
# $top, the source tree. DEBIAN_MIRROR names another archive than the one this machine uses.

# What pgherald is built from, and its unit tests; ip turns the loopback on.
# shellcheck disable=SC2034 # of whoever reads this file
root_build_packages=(gcc make libc6-dev autoconf automake pkgconf libmicrohttpd-dev libpq-dev
	libjson-c-dev uthash-dev libssl-dev zlib1g-dev libcurl4-openssl-dev libhiredis-dev
	librdkafka-dev libcmocka-dev iproute2)

# Why no root can be used here: one line, and status 0; status 1 when it can.
# shellcheck disable=SC2016 # the inner shell expands it
root_obstacle() {
	if ((EUID)); then
		echo "a root of another release needs the rights of root"
	elif ! command -v mmdebstrap >/dev/null; then
		echo "there is no mmdebstrap"
	elif ! unshare --mount --pid --fork --net true 2>/dev/null; then
		echo "no namespaces can be made here"
	elif ! unshare --mount bash -c 'd=$(mktemp -d) && mount -t tmpfs none "$d" && mkdir "$d"/{l,u,w,m} &&
		mount -t overlay -o "lowerdir=$d/l,upperdir=$d/u,workdir=$d/w" overlay "$d/m"' 2>/dev/null; then
		echo "overlayfs cannot be mounted here"
	else
		return 1
	fi
}

# The archive this machine has its packages from; nothing where that is not Debian's, and then
# mmdebstrap knows one.
# shellcheck disable=SC2016 # apt expands it
root_mirror() {
	if [[ -n ${DEBIAN_MIRROR-} ]]; then
		echo "$DEBIAN_MIRROR"
	else
		apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
			sed -n 's/^Debian //p' | sort -u | head -n 1
	fi
}

# root_of SUITE ARCH PACKAGE...: prints the directory of a root that has these packages. On
# failure prints why.
root_of() {
	local suite=$1 arch=$2 name dir list mirror
	shift 2
	list=$(printf '%s\n' "$@" | LC_ALL=C sort -u | paste -sd,)
	name=$suite-$arch-$(printf '%s' "$list" | sha256sum | cut -c1-12)
	dir=${PGHERALD_ROOTS:-$top/.cache/roots}
	mkdir -p "$dir" || return 1
	(
		flock 7 # two lanes may want it
		if [[ ! -d $dir/$name ]]; then
			rm -rf --one-file-system "$dir/$name.new"
			mirror=$(root_mirror)
			# Release files of an archive's snapshot have expired; the release itself does
			# without the suites that change daily. What it mounts there goes with it, however it
			# ends: nobody who clears this directory clears /dev as well.
			if ! timeout 1200 unshare --mount mmdebstrap --variant=apt --architectures="$arch" --format=directory \
				--skip=check/qemu --dpkgopt=force-unsafe-io \
				--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
				--aptopt='APT::Install-Recommends "false"' --include="$list" "$suite" \
				"$dir/$name.new" ${mirror:+"deb $mirror $suite main"} \
				>"$dir/$name.log" 2>&1 </dev/null 7>&-; then
				rm -rf --one-file-system "$dir/$name.new"
				echo "no root of $suite ($arch) could be made: $(grep '^E: ' "$dir/$name.log" | head -n 1)"
				exit 1
			fi
			mv "$dir/$name.new" "$dir/$name"
			# Those with other packages are of yesterday.
			find "$dir" -mindepth 1 -maxdepth 1 -name "$suite-$arch-*" -mtime +14 -exec rm -rf {} +
		fi
		touch "$dir/$name"
		echo "$dir/$name"
	) 7>"$dir/$name.lock"
}

# Mounts a copy of the root $1 that lives in memory at $2/root, with the source tree, read only, at
# /src, and the directory $3, if any, at /out. For a mount namespace of its own.
root_mount() {
	mount --make-rprivate / && mount -t tmpfs -o mode=755,size=75% none "$2" &&
		mkdir "$2"/{upper,work,root} &&
		mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" &&
		mkdir -p "$2/root/src" "$2/root/out" && mount --bind "$top" "$2/root/src" &&
		mount -o remount,bind,ro "$2/root/src" && { [[ -z $3 ]] || mount --bind "$3" "$2/root/out"; }
}

# in_root ROOT OUT COMMAND...: in a copy of ROOT that goes with the command; with processes, mounts
# and a network of its own, which is the loopback. OUT, a directory or nothing, is its /out.
# shellcheck disable=SC2016 # the inner shell expands it
in_root() {
	local place status
	place=$(mktemp -d) || return 1
	export top
	export -f root_mount
	unshare --mount --pid --fork --kill-child --net --ipc --uts bash -c '
		set -e
		root_mount "$1" "$2" "$3"
		cd "$2/root"
		shift 3
		mount -t proc proc proc
		mount -t sysfs sys sys
		mount --rbind /dev dev
		mount -t tmpfs -o mode=1777 none dev/shm
		exec chroot . /usr/bin/env -u TMPDIR -u LD_PRELOAD PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
			LC_ALL=C.UTF-8 sh -c "! command -v ip >/dev/null || ip link set lo up; exec \"\$@\"" - "$@"
	' - "$1" "$place" "$2" "${@:3}"
	status=$?
	rmdir "$place"
	return "$status"
}
