/*
 * Fetches a published key set. The URL comes from the operator's file, never from a token. What
 * answers is bounded: no redirect is followed, at most AUTH_JWKS_MAX bytes, at most five seconds,
 * status 200 only.
 */
#ifndef SERVER_AUTH_JWKS_FETCH_H
#define SERVER_AUTH_JWKS_FETCH_H

#include <atoll/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { JWKS_FETCH_TIMEOUT_MS = 5000, JWKS_CONNECT_TIMEOUT_MS = 3000 };

/* Prepares libcurl for threads: once, before the first fetch. */
int jwks_fetch_setup(struct error *err);

/*
 * The certificate of an https URL must come from one in `ca_file` (PEM), or where that is NULL from
 * one that the system trusts. Blocks; ends within a second of `*stop` becoming true. The text is
 * the caller's to free, with a NUL beyond its size. ERR_UNAVAILABLE tells why it failed.
 */
int jwks_fetch(const char *url, const char *ca_file, const atomic_bool *stop, char **ret_text,
               size_t *ret_size, struct error *err);

#endif
