/* SPDX-License-Identifier: PostgreSQL
 * See num.h. */
#include "config.h"
#include "base/num.h"

#include <string.h>

bool num_u64(const char *s, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*ret = n;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static bool with_unit(const char *s, const struct unit *units, uint64_t *ret)
{
	size_t digits = strspn(s, "0123456789");
	uint64_t n;

	if (!num_u64(s, digits, &n))
		return false;
	for (; units->name; units++) {
		if (strcmp(s + digits, units->name))
			continue;
		if (n > UINT64_MAX / units->factor)
			return false;
		*ret = n * units->factor;
		return true;
	}
	return false;
}

bool num_duration_ms(const char *s, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1000},	{"ms", 1},	 {"s", 1000}, {"m", 60000},
		{"h", 3600000}, {"d", 86400000}, {NULL, 0},
	};

	return with_unit(s, units, ret);
}

bool num_size(const char *s, uint64_t *ret)
{
	static const struct unit units[] = {
		{"", 1},	  {"K", 1 << 10}, {"KiB", 1 << 10}, {"M", 1 << 20},
		{"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}, {NULL, 0},
	};

	return with_unit(s, units, ret);
}
