/* SPDX-License-Identifier: PostgreSQL
 * base/shown: nothing that a terminal obeys, whatever the text is. */
#include "config.h"
#include "unit.h"

#include "base/shown.h"

TEST(what_is_not_seen_is_a_question_mark)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"", ""},
		{"public.item", "public.item"},
		{"Ünï 語 🙂", "Ünï 語 🙂"},
		{"a\x1b[2J\x7f", "a?[2J?"},
		{"a\nb\tc\r", "a?b c?"},
		{"a\xc2\x9b"
		 "2J",
		 "a?2J"},			/* CSI in one character */
		{"a\xe2\x80\xaetxt", "a?txt"},	/* U+202E turns the direction around */
		{"a\x9b\xff\xe2\x80", "a????"}, /* no UTF-8 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf b = {0};

		buf_init(&b, 100);
		shown_add(&b, cases[i].text);
		assert_string_equal(buf_cstr(&b), cases[i].shown);
	}
}

TEST(lines_stay_lines_where_they_may)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	shown_print_lines(f, "WARNING:  a\x1b\nHINT:  b\n");
	shown_print(f, "c\nd", 3);
	fclose(f);
	assert_string_equal(text, "WARNING:  a?\nHINT:  b\nc?d");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_seen_is_a_question_mark),
		cmocka_unit_test(lines_stay_lines_where_they_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
