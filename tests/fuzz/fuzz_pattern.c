/* SPDX-License-Identifier: PostgreSQL
 * wire/pattern: whatever stands in a configuration and in a request, a value is one that can be in
 * a channel's name, a path is no two patterns' that do not overlap, and a channel is one. The lines
 * are two paths of routes, a path of a request and a channel. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hub/subscription.h"
#include "target.h"
#include "wire/pattern.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

struct values {
	const char *path;
	const struct pattern_piece *of;
	char text[PATTERN_VALUE_MAX + 1];
};

static const char *value_of(void *arg, const char *name, size_t len)
{
	struct values *v = arg;
	int i = pattern_variable(v->path, name, len);

	if (i < 0)
		return NULL;
	assert(i < PATTERN_VARIABLES_MAX && v->of[i].len <= PATTERN_VALUE_MAX);
	memcpy(v->text, v->of[i].at, v->of[i].len);
	v->text[v->of[i].len] = '\0';
	return v->text;
}

static bool match(const char *path, const char *given, const char *channel)
{
	struct pattern_piece of[PATTERN_VARIABLES_MAX] = {{0}};
	struct values v = {path, of, ""};
	autobuf name = {.max = 100000};

	if (!pattern_matches(path, given, of))
		return false;
	for (int i = 0; i < PATTERN_VARIABLES_MAX && of[i].at; i++)
		assert(channel_is_name(of[i].at, of[i].len) && !memchr(of[i].at, '/', of[i].len));
	if (!pattern_channel_complaint(channel) && pattern_expand(channel, value_of, &v, &name) &&
	    name.len)
		assert(name.len > CHANNEL_MAX || channel_is_name(name.data, name.len));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *rest = text, *a = strsep(&rest, "\n"),
	     *b = strsep(&rest, "\n"), *given = strsep(&rest, "\n"), *channel = strsep(&rest, "\n");

	if (channel && !pattern_path_complaint(a) && !pattern_path_complaint(b)) {
		bool by_a = match(a, given, channel), by_b = match(b, given, channel);

		assert(pattern_overlap(a, a) && pattern_overlap(a, b) == pattern_overlap(b, a));
		assert(!by_a || !by_b || pattern_overlap(a, b));
	}
	free(text);
	return 0;
}
