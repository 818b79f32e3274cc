/* SPDX-License-Identifier: PostgreSQL
 * Intrusive doubly linked list: the node lives inside the thing, the head is a node too. */
#ifndef PGHERALD_BASE_LIST_H
#define PGHERALD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
/* Walks while allowing the current node to be removed. */
#define LIST_EACH(head, node, tmp)                                                                 \
	for (struct list *node = (head)->next, *tmp = node->next; node != (head);                  \
	     node = tmp, tmp = node->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_push(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Takes the node out of its list; harmless for a node that list_init() made. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all of `from` to the end of `to`; `from` is empty after. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
