/* SPDX-License-Identifier: PostgreSQL
 * What libFuzzer and replay.c call. A target aborts (assert) when a promise is broken. */
#ifndef PGHERALD_TESTS_FUZZ_TARGET_H
#define PGHERALD_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
