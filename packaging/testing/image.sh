# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# packaging/Containerfile on a base made from the archive, since there is no registry here; and what
# it makes, started without rights on a file system that cannot be written.
# shellcheck disable=SC2154,SC2016 # of packaging/test; the inner shell expands it
package_root image
packages
command -v buildah >/dev/null || {
	skip "image: there is no buildah"
	exit 0
}
small=$(root_of "$suite" "$(dpkg --print-architecture)" apt) || {
	skip "image: $small"
	exit 0
}
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
base=localhost/debian:test image=localhost/pgherald:test

import() {
	local c
	c=$(buildah "${store[@]}" from scratch) && tar -C "$small" -cf "$work/base.tar" . &&
		buildah "${store[@]}" add -q "$c" "$work/base.tar" / && buildah "${store[@]}" commit -q "$c" "$base" &&
		rm "$work/base.tar"
}
build() {
	local context=$work/context
	mkdir -p "$context/deb"
	cp "$debs"/pgherald_*.deb "$context/deb"
	buildah "${store[@]}" bud --isolation chroot --build-arg BASE="$base" -t "$image" \
		-f "$top/packaging/Containerfile" "$context"
}
settings() { # a user, the port, the command
	local said
	said=$(buildah "${store[@]}" inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.ExposedPorts}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "$image")
	is "$said" 'pgherald map[8080/tcp:{}] [/usr/sbin/pgherald] [serve]'
}
runs() { # with its own root, read only, as its user, without a capability
	local c mounted
	c=$(buildah "${store[@]}" from --pull-never "$image") && mounted=$(buildah "${store[@]}" mount "$c") || return
	in_root "$mounted" "" sh -euc '
		cp /src/packaging/testing/pgherald.conf /etc/pgherald/pgherald.conf
		chgrp pgherald /etc/pgherald/pgherald.conf
		mount -t tmpfs none /tmp
		mount -o remount,ro /
		exec setpriv --reuid=pgherald --regid=pgherald --clear-groups --bounding-set=-all --no-new-privs sh -euc "
			pgherald -V
			pgherald serve 2>/tmp/log & i=0
			until grep -q \"listening on 127.0.0.1:8080\" /tmp/log; do i=\$((i+1)); [ \$i -lt 200 ]; sleep 0.05; done
			kill \$!; wait \$!"
	'
}
check "image: a base from the archive" import || exit
check "image: packaging/Containerfile" build || exit
check "image: runs as a user, on one port" settings
check "image: serves without a right and without writing" runs
