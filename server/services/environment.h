/*
 * The environment variables that a sandbox's code starts with.
 */
#ifndef SERVER_SERVICES_ENVIRONMENT_H
#define SERVER_SERVICES_ENVIRONMENT_H

#include "lib/json/json.h"

#include <atoll/cleanup.h>
#include <atoll/error.h>

enum { ENVIRONMENT_VALUE_MAX = 32 << 10, ENVIRONMENT_NAME_MAX = 255 };

/*
 * Refuses names that no shell could use and values over ENVIRONMENT_VALUE_MAX bytes, naming the
 * variable below `field`. A value may be null when `nullable`, else every one is a string.
 */
int environment_check(const cJSON *object, const char *field, bool nullable, struct error *err);

/*
 * The defaults (PATH, HOME, USER, LANG, …) with those of `env_json`, an object of strings, over
 * them: "NAME=value" strings, NULL-terminated. Freed with environment_free.
 */
int environment_make(const char *env_json, char ***ret_environment, struct error *err);

/* NULL is allowed. */
void environment_free(char **environment);

DEFINE_CLEANUP(char **, environment, environment_free)
#define _cleanup_environment_ _cleanup_(cleanup_environment)

#endif
