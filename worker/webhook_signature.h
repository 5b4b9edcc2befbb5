/* How a receiver knows that a delivery is ours, and new: docs/api/webhooks.md. */
#ifndef WORKER_WEBHOOK_SIGNATURE_H
#define WORKER_WEBHOOK_SIGNATURE_H

#include <atoll/error.h>
#include <stdint.h>

/* "t=<20 digits>,v1=<64 hex digits>" and a NUL. */
enum { WEBHOOK_SIGNATURE_SIZE = 2 + 20 + 4 + 64 + 1 };

/*
 * Writes "t=<unix seconds>,v1=<hex>": the HMAC-SHA256 (RFC 2104) of "<unix seconds>.<body>" with
 * the webhook's secret as the key.
 */
int webhook_sign(const char *secret, int64_t unix_s, const char *body,
                 char signature[static WEBHOOK_SIGNATURE_SIZE], struct error *err);

#endif
