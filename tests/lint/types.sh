#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# The events' types in the example's application are those of its configuration: the names here,
# what they hold in tests/system/test_types.py, which has a database.
pgherald=${PGHERALD:-$PWD/pgherald}
cd "${srcdir:-$(dirname "$0")/../..}" || exit 99
[ -x "$pgherald" ] || pgherald=build/pgherald
example=examples/estimates
file=$example/frontend/src/events.d.ts

names() { sed 's/^\(  [^:]*\):.*/\1/'; }
want=$("$pgherald" types --ts -c $example/pgherald.conf | names) || exit 99
[ "$want" = "$(names <$file)" ] && exit 0
echo "$file:1: not what \`pgherald types --ts\` makes of $example/pgherald.conf:"
names <$file | diff - /dev/fd/3 3<<END
$want
END
exit 1
