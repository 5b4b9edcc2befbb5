/*
 * What several stores refuse, in one wording. Internal to lib/db. Each function returns -1 and
 * fills `err`, so that a caller returns what it returns.
 */
#ifndef LIB_DB_REFUSAL_H
#define LIB_DB_REFUSAL_H

#include <atoll/error.h>

/* ERR_NOT_FOUND. `what` is the kind of thing that was asked for: "sandbox". */
int refuse_missing(const char *what, struct error *err);

/* ERR_NOT_FOUND with the field at fault: the project that a body names is not there. */
int refuse_project(struct error *err);

/* ERR_FORBIDDEN: the token is good, but the tenant that it names is not there. */
int refuse_tenant(struct error *err);

/* ERR_PRECONDITION: `what` has changed since the caller saw it. */
int refuse_version(const char *what, struct error *err);

#endif
