#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# The man pages are mdoc that mandoc finds nothing to say about.
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99

if ! command -v mandoc >/dev/null; then
	echo "mandoc is not installed"
	exit 77
fi
mandoc -T lint -W warning doc/*.[1-8] | sed 's/^mandoc: //' | grep . && exit 1
exit 0
