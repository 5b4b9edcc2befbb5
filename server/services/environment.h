/*
 * The environment variables that a sandbox's code starts with.
 */
#ifndef SERVER_SERVICES_ENVIRONMENT_H
#define SERVER_SERVICES_ENVIRONMENT_H

#include <atoll/error.h>

/*
 * The defaults (PATH, HOME, USER, LANG, …) with those of `env_json`, an object of strings, over
 * them: "NAME=value" strings, NULL-terminated. Freed with environment_free.
 */
int environment_make(const char *env_json, char ***ret_environment, struct error *err);

/* NULL is allowed. */
void environment_free(char **environment);

#endif
