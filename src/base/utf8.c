/* SPDX-License-Identifier: PostgreSQL
 * See utf8.h. */
#include "config.h"
#include "base/utf8.h"

size_t utf8_len(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	if (!left)
		return 0;
	n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (!n || s[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for what they say, surrogates, beyond U+10FFFF (section 4). */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

uint32_t utf8_code(const char *text, size_t len)
{
	static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	const unsigned char *s = (const unsigned char *)text;
	uint32_t code = s[0] & first[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (s[i] & 0x3f);
	return code;
}

bool utf8_unseen(uint32_t code)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {
		{0x00, 0x1f},	    {0x7f, 0x9f}, /* controls, C0 and C1 */
		{0xad, 0xad},			  /* soft hyphen */
		{0x61c, 0x61c},			  /* Arabic letter mark */
		{0x180e, 0x180e},		  /* Mongolian vowel separator */
		{0x200b, 0x200f},		  /* no width, left-to-right and right-to-left */
		{0x2028, 0x202e},		  /* line ends, embeddings and overrides */
		{0x2060, 0x206f},		  /* invisible operators, isolates */
		{0xfeff, 0xfeff},   {0xfff9, 0xfffb}, /* byte order mark, annotations */
		{0xe0000, 0xe007f},		      /* tags */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (code >= ranges[i].from && code <= ranges[i].to)
			return true;
	return false;
}
