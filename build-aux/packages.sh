#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# For check.sh and demo.sh, which read this file: what the machine must have, and the installation
# of what it has not. They have say(), die(), $python and needed(), the list of what they need:
# lines KIND NAME DEBIAN FEDORA, where has_KIND NAME tells whether it is there.

has_command() { command -v "$1" >/dev/null; }
has_module() { pkg-config --exists "$1" 2>/dev/null; }
has_header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }
# shellcheck disable=SC2154 # of whoever reads this file
has_python() { "$python" -c "import $1" 2>/dev/null; }
has_server() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' || compgen -G '/usr/pgsql-*/bin/initdb' ||
		command -v initdb
} >/dev/null

# What both need: to build, and to run a cluster with a Django application.
needed_by_all() {
	cat <<-'END'
		command gcc gcc gcc
		command make make make
		command autoreconf autoconf autoconf
		command automake automake automake
		command pkg-config pkg-config pkgconf-pkg-config
		command curl curl curl
		command flock util-linux util-linux
		command setpriv util-linux util-linux
		command setsid util-linux util-linux-core
		command python3 python3 python3
		header stdio.h libc6-dev glibc-devel
		header uthash.h uthash-dev uthash-devel
		module libmicrohttpd libmicrohttpd-dev libmicrohttpd-devel
		module libpq libpq-dev libpq-devel
		module json-c libjson-c-dev json-c-devel
		module libcrypto libssl-dev openssl-devel
		module zlib zlib1g-dev zlib-devel
		module libcurl libcurl4-openssl-dev libcurl-devel
		server initdb postgresql postgresql-server
		python django python3-django python3-django
		python rest_framework python3-djangorestframework python3-django-rest-framework
	END
}

# missing COLUMN LIST: what of LIST is not there, as the package names of Debian (3) or Fedora (4). A
# dash: not by its package manager.
missing() {
	local kind what deb rpm name
	"$2" | while read -r kind what deb rpm; do
		name=$deb
		[[ $1 == 3 ]] || name=$rpm
		[[ $name == - ]] || "has_$kind" "$what" || echo "$name"
	done | sort -u
}

install_missing() {
	local packages=() root=()
	mapfile -t packages < <(missing 3 needed)
	((${#packages[@]})) || return 0
	if ((EUID)); then
		has_command sudo || die "not root and no sudo; please install: ${packages[*]}"
		root=(sudo)
	fi
	if has_command apt-get; then
		say "installing ${packages[*]}"
		root+=(env DEBIAN_FRONTEND=noninteractive)
		"${root[@]}" apt-get update -qq || say "apt-get update failed; trying with the old lists"
		"${root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
			die "apt-get could not install: ${packages[*]}"
	elif has_command dnf; then
		mapfile -t packages < <(missing 4 needed)
		say "installing ${packages[*]}"
		# shellcheck source=/dev/null
		if (. /etc/os-release && [[ $ID != fedora ]]); then
			# Enterprise Linux keeps the -devel packages in CRB and Django in EPEL.
			"${root[@]}" dnf -y -q install epel-release dnf-plugins-core || true
			"${root[@]}" dnf config-manager --set-enabled crb || true
		fi
		"${root[@]}" dnf -y -q install "${packages[@]}" ||
			die "dnf could not install: ${packages[*]}"
	else
		die "neither apt-get nor dnf here; Debian's names of what is missing: ${packages[*]}"
	fi
	hash -r
	mapfile -t packages < <(missing 3 needed)
	((${#packages[@]} == 0)) || die "still missing after the installation: ${packages[*]}"
}

# install_useful: what of the list useful() can be had without asking; nothing fails without it, but
# tests are skipped.
install_useful() {
	local packages=() package root=() column=3 install=(env DEBIAN_FRONTEND=noninteractive apt-get
		install -y -qq --no-install-recommends)
	if ! has_command apt-get; then column=4 install=(dnf -y -q install); fi
	mapfile -t packages < <(missing "$column" useful)
	((${#packages[@]})) || return 0
	((!EUID)) || root=(sudo -n)
	say "installing ${packages[*]}"
	for package in "${packages[@]}"; do
		"${root[@]}" "${install[@]}" "$package" >/dev/null 2>&1 ||
			say "$package cannot be installed here: some tests will be skipped"
	done
	hash -r
}
