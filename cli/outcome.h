/* How a command ended, for `atoll run` and `atoll exec`: its output, and what to exit with. */
#ifndef CLI_OUTCOME_H
#define CLI_OUTCOME_H

#include "lib/json/json.h"

#include <atoll/error.h>
#include <stdint.h>
#include <stdio.h>

/* Writes a stream's exact bytes: from the member `base64`, where `text` is not exact. */
void outcome_write(FILE *out, const cJSON *object, const char *text, const char *base64);

/* As the command exited; 128 and the number of the signal that ended it, as a shell says it; for a
 * time limit CLI_RUN_TIMED_OUT, and CLI_RUN_FAILED where the service tells no end. */
int outcome_exit(const cJSON *result);

/* Adds to an error that the command goes on without us, and what prints the rest of its output,
 * which begins at `offset`. -1. */
int outcome_left(const char *sandbox, const char *process, uint64_t offset, struct error *err);

#endif
