/* SPDX-License-Identifier: PostgreSQL
 * Without libFuzzer: runs the target over the seed corpus of its name, or over the files given. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

#define MAX_BYTES (1 << 20) /* of one input */

static int replay(const char *path)
{
	static uint8_t data[MAX_BYTES];
	FILE *f = fopen(path, "rb");
	uint8_t *exact;
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	exact = malloc(n ? n : 1); /* so that a sanitizer sees one byte too far */
	if (!exact)
		return 1;
	memcpy(exact, data, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

/* Every file of $srcdir/tests/fuzz/corpus/NAME, NAME being what follows "fuzz_" in ours. */
static int replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *name = strstr(program, "fuzz_");
	const struct dirent *e;
	char dir[4096], path[8192];
	int n = 0, failed = 0;
	DIR *d;

	for (const char *next = name; next; next = strstr(next + 1, "fuzz_"))
		name = next;
	if (!name)
		return 1;
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name + 5);
	d = opendir(dir);
	if (!d) {
		perror(dir);
		return 1;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		failed |= replay(path);
		n++;
	}
	closedir(d);
	printf("%s: %d inputs\n", dir, n);
	return failed || !n;
}

int main(int argc, char **argv)
{
	int failed = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	if (argc == 1)
		return replay_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	return failed;
}
