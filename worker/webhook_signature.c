#include "worker/webhook_signature.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

int webhook_sign(const char *secret, int64_t unix_s, const char *body,
                 char signature[static WEBHOOK_SIGNATURE_SIZE], struct error *err)
{
    _cleanup_free_ char *text = NULL;
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int used;

    if (asprintf(&text, "%" PRId64 ".%s", unix_s, body) < 0) {
        text = NULL;
        return error_set_errno(err, ENOMEM, "cannot sign a delivery");
    }
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text),
              mac, &size))
        return error_set(err, ERR_INTERNAL, "cannot sign a delivery");
    used = snprintf(signature, WEBHOOK_SIGNATURE_SIZE, "t=%" PRId64 ",v1=", unix_s);
    for (unsigned i = 0; i < size; i++, used += 2)
        (void)snprintf(signature + used, (size_t)(WEBHOOK_SIGNATURE_SIZE - used), "%02x", mac[i]);
    return 0;
}
