#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
# Tests the clients: clients/js with Node 20.19 or newer and npm, in browsers where they are there.
# Exit status 77 without Node. JUNIT=directory takes the reports, PGHERALD=... is the daemon.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$top/clients/js" || exit 1
reports=${JUNIT:-$(mktemp -d)}

old_node() {
	node -e '
		const [major, minor] = process.versions.node.split(".").map(Number);
		process.exit(major > 20 || (major == 20 && minor >= 19) ? 1 : 0)' 2>/dev/null
}
if ! command -v node >/dev/null || ! command -v npm >/dev/null || old_node; then
	echo "SKIP: node (20.19 or newer) and npm are not installed"
	exit 77
fi

# Nothing is fetched but what the lock files name, and that only when they have changed.
for directory in . test/react18 test/rsc "$top/examples/estimates/frontend"; do
	cmp -s "$directory/package-lock.json" "$directory/node_modules/.lock" && continue
	(cd "$directory" && npm ci --no-audit --no-fund --ignore-scripts) || exit 1
	cp "$directory/package-lock.json" "$directory/node_modules/.lock"
done
npm run --silent build && npm run --silent check || exit 1

status=0
for project in unit react18 package browser; do
	npx vitest run --project "$project" --passWithNoTests --reporter=default --reporter=junit \
		--outputFile.junit="$reports/$project.xml" || status=1
done
exit $status
