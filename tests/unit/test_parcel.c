/* SPDX-License-Identifier: PostgreSQL
 * source/parcel: of which type and for whom a message is, by what its section says; and what none
 * is. */
#include "config.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/parcel.h"

static char to[200], event_key[] = "type", data_key[20], name[] = "jobs", user[] = "user";

/* "type audience document", or why it is none. */
static void expect(struct parcel m, const char *want)
{
	static char estimate[] = "estimate";
	static char *owners[] = {user};
	struct conf_watch watch = {.name = estimate};
	struct conf c = {.watches = &watch, .n_watches = 1};
	struct conf_listen l = {
		.name = name, .to = to, .event_key = event_key, .data_key = data_key};
	const char *why = NULL;
	struct told t;
	char *is;

	if (!*to)
		l.owner_keys = (struct conf_list){owners, 1};
	m.channel_len = m.channel ? strlen(m.channel) : 0;
	m.key_len = m.key ? strlen(m.key) : 0;
	m.type_len = m.type ? strlen(m.type) : 0;
	if (!m.payload_len)
		m.payload_len = m.payload ? strlen(m.payload) : 0;
	if (parcel_read(&c, &l, &m, &t, &why))
		is = xasprintf("%s %s %s", buf_cstr(&t.type), buf_cstr(&t.audience),
			       buf_cstr(&t.document));
	else
		is = xstrdup(why);
	if (!strstr(is, want))
		fail_msg("%s is not %s", is, want);
	free(is);
	told_free(&t);
}

#define P(...) ((struct parcel){__VA_ARGS__})

TEST(where_it_goes)
{
	snprintf(to, sizeof(to), "{channel}");
	expect(P(.channel = "project.7", .payload = "{\"type\":\"task\"}"),
	       "task {\"project.7\"} {\"type\":\"task\"}");
	expect(P(.channel = "a/b", .payload = "1"), "no name of a channel");
	expect(P(.payload = "1"), "no name of a channel");
	snprintf(to, sizeof(to), "p:{id}:{key}");
	expect(P(.key = "k", .payload = "{\"id\":12}"), "jobs {\"p:12:k\"} {\"id\":12}");
	expect(P(.key = "k", .payload = "{\"id\":\"x\"}"), "jobs {\"p:x:k\"}");
	expect(P(.key = "k", .payload = "{\"id\":1.5}"), "no name of a channel");
	expect(P(.key = "k", .payload = "{\"id\":null}"), "no name of a channel");
	expect(P(.key = "k", .payload = "{\"id\":\"\"}"), "no name of a channel");
	expect(P(.key = "", .payload = "{\"id\":1}"), "no name of a channel");
	expect(P(.payload = "{\"id\":1}"), "no name of a channel");
	snprintf(to, sizeof(to), "*");
	expect(P(.payload = " [1] "), "jobs {\"*\"}  [1] ");
	*to = '\0';
	expect(P(.payload = "{\"user\":[1,\"a,b\"]}"), "jobs {\"1\",\"a,b\"}");
	expect(P(.payload = "{\"user\":{}}"), "for nobody");
	expect(P(.payload = "{}"), "for nobody");
}

TEST(of_which_type)
{
	snprintf(to, sizeof(to), "*");
	expect(P(.type = "a.b", .payload = "{\"type\":\"c\"}"), "a.b ");
	expect(P(.payload = "{\"type\":5}"), "jobs ");
	expect(P(.payload = "{\"type\":\"\"}"), "bytes it must not have");
	expect(P(.payload = "{\"type\":\"a b\"}"), "bytes it must not have");
	expect(P(.payload = "{\"type\":\"\\u0000\"}"), "bytes it must not have");
	expect(P(.type = "", .payload = "1"), "bytes it must not have");
	expect(P(.type = "system.resync", .payload = "1"), "daemon's own");
	expect(P(.type = "keepalive", .payload = "1"), "daemon's own");
	expect(P(.type = "estimate.updated", .payload = "1"), "a watched table");
	expect(P(.type = "estimates.updated", .payload = "1"), "estimates.updated ");
}

TEST(what_is_no_message)
{
	char *large = xcalloc(PARCEL_MAX + 2, 1);

	snprintf(to, sizeof(to), "*");
	memset(large, ' ', PARCEL_MAX + 1);
	*large = '1';
	expect(P(.payload = large), "longer than 1 MiB");
	large[PARCEL_MAX] = '\0';
	expect(P(.payload = large), "jobs ");
	free(large);
	expect(P(.payload = NULL), "no payload");
	expect(P(.payload = ""), "not JSON");
	expect(P(.payload = "\xff"), "not JSON");
	expect(P(.payload = "1\0", .payload_len = 2), "not JSON");
	snprintf(data_key, sizeof(data_key), "data");
	expect(P(.payload = "{\"data\": [1] }"), "jobs {\"*\"} [1]");
	expect(P(.payload = "{\"data\":null}"), "no document");
	expect(P(.payload = "[]"), "no document");
	*data_key = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_it_goes),
		cmocka_unit_test(of_which_type),
		cmocka_unit_test(what_is_no_message),
	};

	return cmocka_run_group_tests_name("parcel", tests, NULL, NULL);
}
