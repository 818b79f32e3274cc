/* SPDX-License-Identifier: PostgreSQL
 * pg/inline: which payloads are events, what they say, and why the others are none. */
#include "config.h"
#include "unit.h"

#include "base/buf.h"
#include "pg/inline.h"

static char user[] = "user", users[] = "users", *owner_keys[] = {user, users};
static const char *const watched[] = {"project", "estimate"};
static const struct inline_rule whole = {.topic = "news",
					 .event_key = "event",
					 .data_key = "",
					 .owner_keys = owner_keys,
					 .n_owner_keys = 2,
					 .watched = watched,
					 .n_watched = 2};
static const struct inline_rule part = {.topic = "news",
					.event_key = "event",
					.data_key = "data",
					.owner_keys = owner_keys,
					.watched = watched,
					.n_watched = 2};
static const struct inline_rule nameless = {.topic = "estimate",
					    .event_key = "event",
					    .data_key = "",
					    .watched = watched,
					    .n_watched = 2};

static void refused(const struct inline_rule *rule, const char *payload, const char *want)
{
	const char *why = NULL;
	struct event *e = inline_from_application(rule, payload, 0, &why);

	if (e || !why || !strstr(why, want))
		fail_msg("%s: %s", payload, why ? why : "taken");
}

/* The type, document and owners of an event, parted by spaces. */
static void expect(const struct inline_rule *rule, const char *payload, const char *want)
{
	const char *why = NULL;
	struct event *e = inline_from_application(rule, payload, 7, &why);
	struct buf b;

	if (!e)
		fail_msg("%s: %s", payload, why);
	buf_init(&b, 10000);
	buf_printf(&b, "%s %s", e->type, e->doc);
	for (size_t i = 0; i < e->after.n; i++)
		buf_printf(&b, " <%s>", e->after.list[i]);
	assert_string_equal(buf_cstr(&b), want);
	assert_int_equal(e->at, 7);
	assert_int_equal(e->txid, 0);
	assert_int_equal(e->before.n, e->after.n);
	buf_free(&b);
	event_unref(e);
}

TEST(documents_are_passed_on_as_they_came)
{
	expect(&whole, " {\"event\":\"x:y\", \"n\":18446744073709551616} ",
	       "x:y  {\"event\":\"x:y\", \"n\":18446744073709551616} ");
	expect(&part, "{\"data\":{\"n\":-0,\"m\":1e400,\"s\":\"\\/\\u00e9\"}}",
	       "news {\"n\":-0,\"m\":1e400,\"s\":\"\\/\\u00e9\"}");
	expect(&part, "{\"event\":\"a\",\"data\":123456789012345678901234567890.10}",
	       "a 123456789012345678901234567890.10");
	expect(&part, "{\"data\":\"\xd0\x9f\xd1\x80\"}", "news \"\xd0\x9f\xd1\x80\"");
	expect(&part,
	       "{\"data\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
	       "news [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

TEST(owners)
{
	expect(&whole, "{\"user\":2}", "news {\"user\":2} <2>");
	expect(&whole, "{\"user\":\"a b\",\"users\":[3,\"\\u0034\"]}",
	       "news {\"user\":\"a b\",\"users\":[3,\"\\u0034\"]} <3> <4> <a b>");
	/* A number beyond 64 bits is that number, and not the largest one. */
	expect(&whole, "{\"user\":18446744073709551616}",
	       "news {\"user\":18446744073709551616} <18446744073709551616>");
	/* What cannot be an id is nobody's, and no part of it becomes somebody else's. */
	expect(&whole,
	       "{\"user\":[\"\",null,true,1.5,1e2,{\"user\":9},[8],\"2\\u0000\","
	       "\"\\ud800\"]}",
	       "news {\"user\":[\"\",null,true,1.5,1e2,{\"user\":9},[8],\"2\\u0000\","
	       "\"\\ud800\"]}");
	expect(&whole, "{\"user\":\"a\\u001f2\"}",
	       "news {\"user\":\"a\\u001f2\"} <a\x1f"
	       "2>");
	expect(&whole, "{\"user\":1,\"user\":2}", "news {\"user\":1,\"user\":2} <2>");
}

TEST(types)
{
	static const char *const words[] = {"system",	 "pgherald",	"herald", "connected",
					    "keepalive", "heartbeat",	"ping",	  "pong",
					    "error",	 "stream-error"};
	struct event *event;
	char payload[64];
	const char *why;

	expect(&whole, "{\"event\":\"\\u0061\"}", "a {\"event\":\"\\u0061\"}");
	expect(&whole, "{\"event\":5}", "news {\"event\":5}");
	expect(&whole, "{\"event\":\"systems.on\"}", "systems.on {\"event\":\"systems.on\"}");
	refused(&whole, "{\"event\":\"\"}", "bytes");
	refused(&whole, "{\"event\":\"a b\"}", "bytes");
	refused(&whole, "{\"event\":\"a\\n\"}", "bytes");
	refused(&whole, "{\"event\":\"\xc3\xa9\"}", "bytes");
	refused(&whole, "{\"event\":\"\\ud800\"}", "bytes");
	refused(&whole, "{\"event\":\"system.resync\"}", "daemon's own");
	refused(&whole, "{\"event\":\"s\\u0079stem.resync\"}", "daemon's own");
	refused(&whole, "{\"event\":\"a\",\"event\":\"system.x\"}", "daemon's own");
	refused(&whole, "{\"event\":\"system\"}", "daemon's own");
	refused(&whole, "{\"event\":\"connected\"}", "daemon's own");
	refused(&whole, "{\"event\":\"keepalive\"}", "daemon's own");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		snprintf(payload, sizeof(payload), "{\"event\":\"%s\"}", words[i]);
		refused(&whole, payload, "daemon's own");
		snprintf(payload, sizeof(payload), "{\"event\":\"%s.x\"}", words[i]);
		refused(&whole, payload, "daemon's own");
		snprintf(payload, sizeof(payload), "{\"event\":\"%ss\"}", words[i]);
		event = inline_from_application(&whole, payload, 0, &why);
		assert_non_null(event);
		event_unref(event);
	}
	refused(&whole, "{\"event\":\"estimate.deleted\",\"id\":1}", "of a watched table");
	refused(&part, "{\"event\":\"estimate\",\"data\":1}", "of a watched table");
	refused(&nameless, "{}", "of a watched table");
	expect(&whole, "{\"event\":\"estimates.x\"}", "estimates.x {\"event\":\"estimates.x\"}");
}

TEST(what_is_no_event)
{
	refused(&whole, "", "RFC 8259");
	refused(&whole, "hello", "RFC 8259");
	refused(&whole, "{\"a\":Infinity}", "RFC 8259");
	refused(&whole, "{\"a\":\"\t\"}", "RFC 8259");
	refused(&whole, "{} {}", "RFC 8259");
	refused(&whole, "[1]", "object");
	refused(&whole, "null", "object");
	refused(&part, "{\"event\":\"a\"}", "no document");
	refused(&part, "{\"data\":null}", "no document");
}

static struct event *from_trigger(const char *payload, const char **why)
{
	static const char *names[] = {"estimate", "project"};
	static const struct inline_topics topics = {.names = names, .n = 1, .n_refetch = 1};

	return inline_from_trigger(&topics, payload, 7, why);
}

TEST(of_triggers)
{
	static const char *const bad[] = {
		"{\"topic\":\"estimate\"}",
		"{\"topic\":\"estimate\",\"op\":\"a\"}",
		"{\"topic\":\"estimate\",\"op\":\"\"}",
		"{\"topic\":\"estimate\",\"op\":\"ii\"}",
		"{\"topic\":\"project\",\"op\":\"i\"}", /* watched by way of the journal, or not at
							 * all
							 */
		"{\"topic\":\"system\",\"op\":\"i\"}",
		"{\"op\":\"i\"}",
		"[]",
	};
	const char *why = NULL;
	struct event *e =
		from_trigger("{\"v\":1,\"topic\":\"estimate\",\"op\":\"u\",\"before\":[\"2\"],"
			     "\"after\":[\"3\",\"4\"],\"doc\":{\"n\":18446744073709551616},"
			     "\"leave\":{\"id\":1}}",
			     &why);

	assert_non_null(e);
	assert_string_equal(e->type, "estimate.updated");
	assert_string_equal(e->doc, "{\"n\":18446744073709551616}");
	assert_string_equal(e->leave, "{\"id\":1}");
	assert_int_equal(e->before.n, 1);
	assert_int_equal(e->after.n, 2);
	assert_string_equal(e->after.list[1], "4");
	event_unref(e);
	e = from_trigger("{\"topic\":\"project\",\"op\":\"r\",\"reason\":\"size\"}", &why);
	assert_non_null(e);
	assert_string_equal(e->type, "system.resync");
	assert_string_equal(e->doc, "size");
	event_unref(e);
	e = from_trigger("{\"topic\":\"estimate\",\"op\":\"d\",\"doc\":{},\"leave\":null}", &why);
	assert_non_null(e);
	assert_null(e->leave);
	event_unref(e);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why = NULL;
		if (from_trigger(bad[i], &why) || !why)
			fail_msg("%s: %s", bad[i], why ? why : "taken");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_passed_on_as_they_came),
		cmocka_unit_test(owners),
		cmocka_unit_test(types),
		cmocka_unit_test(what_is_no_event),
		cmocka_unit_test(of_triggers),
	};

	return cmocka_run_group_tests_name("inline", tests, NULL, NULL);
}
