/* SPDX-License-Identifier: PostgreSQL
 * Memory that cannot fail: small allocations abort when there is none, systemd restarts the
 * daemon and the clients resume. Sizes that come from outside are limited before they get here. */
#ifndef PGHERALD_BASE_MEM_H
#define PGHERALD_BASE_MEM_H

#include <stddef.h>

#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Zeroed memory of `size` bytes; the caller frees. */
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc; aborts on overflow of n * size or when memory is out. */
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
/* A copy of the string; the caller frees. */
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
/* A NUL-terminated copy of `len` bytes; the caller frees. */
char *xstrndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
/* A formatted string; the caller frees. */
char *xasprintf(const char *fmt, ...) __attribute__((malloc, returns_nonnull)) PRINTF(1, 2);

/* Cleanup attributes for the edges: `autofree char *p = NULL;` */
void mem_autofree(void *pp);
void mem_autoclose(const int *fd);
#define autofree  __attribute__((cleanup(mem_autofree)))
#define autoclose __attribute__((cleanup(mem_autoclose)))

/* qsort(), also of an array that is NULL since it has nothing in it, which C11 7.22.5.2 forbids. */
void xsort(void *items, size_t n, size_t size, int (*compare)(const void *a, const void *b));

#endif
