/* SPDX-License-Identifier: PostgreSQL
 * types/: what the events of a configuration hold, as text. The types of real columns are in
 * tests/system/test_types.py. */
#include "config.h"
#include "unit.h"

#include <json.h>
#include <string.h>

#include "types/schema.h"
#include "types/shape.h"
#include "types/typescript.h"

static const char text[] =
	"[database]\nconninfo = dbname=x\n"
	"[role boss]\nreceives = all\n"
	"[auth drf]\n"
	"[watch order]\ntable = public.orders\nowners = owner_id\n"
	"fields = id, \"the name\"=name, at::utc, owner=owner_id->public.users.name\n"
	"leave = id\n"
	"[watch events]\ntable = public.events\n"
	"fields = id\n";

static void write(void (*writer)(struct buf *, const struct topics *), struct buf *out)
{
	autobuf error = {0};
	struct conf *conf;
	struct topics t;

	buf_init(&error, 4096);
	conf = conf_parse("test", text, strlen(text), &error);
	assert_string_equal(buf_cstr(&error), "");
	assert_non_null(conf);
	topics_of(&t, conf);
	t.items[0].shapes[0] = shape_of("int8", true, false, false, false);
	t.items[0].shapes[1] = shape_of("text", true, false, true, true);
	buf_init(out, 1 << 20);
	writer(out, &t);
	assert_true(buf_ok(out));
	topics_free(&t);
	conf_unref(conf);
}

TEST(typescript)
{
	autobuf out = {0};

	write(typescript_write, &out);
	assert_string_equal(
		buf_cstr(&out),
		"// Made by `pgherald types --ts`; another configuration makes another one.\n\n"
		"export interface Order {\n"
		"  id: number;\n"
		"  \"the name\": (string | null)[] | null;\n"
		"  at: string | null;\n"
		"  owner: unknown;\n"
		"}\n\n"
		"/** What is told to one whose row it was: `scope` is \"leave\". */\n"
		"export type OrderLeave = Pick<Order, \"id\">;\n\n"
		"export interface Events2 {\n"
		"  id: unknown;\n"
		"}\n\n"
		"/** For createHerald<Events>(): what an event of this name has as its data. */\n"
		"export interface Events {\n"
		"  \"order.created\": Order;\n"
		"  \"order.updated\": Order;\n"
		"  \"order.deleted\": Order;\n"
		"  \"events.created\": Events2;\n"
		"  \"events.updated\": Events2;\n"
		"  \"events.deleted\": Events2;\n"
		"}\n");
}

static const char *at(struct json_object *o, const char *path)
{
	struct json_object *found = NULL;

	assert_int_equal(json_pointer_get(o, path, &found), 0);
	return json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN);
}

TEST(schema)
{
	struct json_object *o;
	autobuf out = {0};

	write(schema_write, &out);
	o = json_tokener_parse(buf_cstr(&out));
	assert_non_null(o);
	assert_string_equal(at(o, "/$defs/Order/properties/id"), "{\"type\":\"integer\"}");
	assert_string_equal(
		at(o, "/$defs/Order/properties/the name"),
		"{\"type\":[\"array\",\"null\"],\"items\":{\"type\":[\"string\",\"null\"]}}");
	assert_string_equal(at(o, "/$defs/Order/properties/owner"), "{}");
	assert_string_equal(at(o, "/$defs/Order/required"),
			    "[\"id\",\"the name\",\"at\",\"owner\"]");
	assert_string_equal(at(o, "/$defs/OrderLeave/required"), "[\"id\"]");
	/* connected, keepalive, expiring, resync, order, order that leaves, events (which has no
	 * owner) */
	assert_string_equal(at(o, "/oneOf/5/properties/event/enum"), "[\"order.updated\"]");
	assert_string_equal(at(o, "/oneOf/6/properties/data/$ref"), "\"#\\/$defs\\/Events2\"");
	json_object_put(o);
}

TEST(shapes)
{
	static const struct {
		const char *type;
		bool plain, own_json;
		enum shape_kind kind;
	} cases[] = {
		{"int2", true, false, SHAPE_INTEGER}, {"numeric", true, false, SHAPE_NUMBER},
		{"bool", true, false, SHAPE_BOOLEAN}, {"jsonb", true, false, SHAPE_ANY},
		{"money", true, false, SHAPE_STRING}, {"oid", true, false, SHAPE_STRING},
		{"hstore", false, true, SHAPE_ANY},   {"citext", false, false, SHAPE_STRING},
		{"int4", false, false, SHAPE_STRING}, /* somebody's own of that name */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(
			shape_of(cases[i].type, cases[i].plain, cases[i].own_json, false, false)
				.kind,
			cases[i].kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typescript),
		cmocka_unit_test(schema),
		cmocka_unit_test(shapes),
	};

	return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
