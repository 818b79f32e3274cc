/* SPDX-License-Identifier: PostgreSQL
 * auth/ticket: whatever it is, nothing that was not sealed with a ticket opens with it, be it the
 * ticket that comes from outside or what was kept; and what was sealed comes back as it was. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "target.h"

static char ticket[TICKET_SIZE + 1];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	assert(ticket_make(ticket));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	char name[TICKET_NAME + 1], *door = NULL, *token = NULL;
	autobuf sealed = {.max = 65536};

	assert(ticket_name(text, name) && strlen(name) == TICKET_NAME);
	if (ticket_plausible(text))
		assert(strlen(text) == TICKET_SIZE);
	assert(!ticket_open(ticket, text, &door, &token));
	if (!ticket_seal(ticket, "door", text, &sealed))
		return 0;
	assert(!ticket_open(text, buf_cstr(&sealed), &door, &token));
	assert(ticket_open(ticket, buf_cstr(&sealed), &door, &token));
	assert(!strcmp(door, "door") && !strcmp(token, text));
	free(door);
	free(token);
	return 0;
}
