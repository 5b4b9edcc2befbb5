/*
 * JSON Web Key sets (RFC 7517): public keys that an issuer publishes, turned into PEM, which is
 * what libjwt takes. The text comes from another machine, so everything in it is checked: the
 * bounds of the text, the sizes of the numbers, and that a point lies on its curve.
 */
#ifndef LIB_AUTH_JWK_H
#define LIB_AUTH_JWK_H

#include "lib/auth/keys.h"

/*
 * Adds the keys of a set that tokens can be checked with: RSA of 2048 to 8192 bits (RS256) and EC
 * on P-256 (ES256), with a `kid`, not meant for encryption. What is of another kind, lacks
 * something or is out of range is passed over, as RFC 7517 section 5 says; so are symmetric and
 * private keys, which have no place in a published set. Fails when the text is no key set of at
 * most AUTH_JWKS_MAX bytes and AUTH_KEYS_MAX entries, when two keys have the same id, and when no
 * key is left.
 */
int auth_jwks_add(struct auth_keys *keys, const char *text, size_t size, struct error *err);

#endif
