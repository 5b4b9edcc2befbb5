#include "server/handlers/description.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_TEXT_SIZE = 4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1 };

/* The hash by which a Content-Security-Policy allows exactly this text (CSP Level 3, 2.3.1). */
static void hash_text(const char *text, char hash[static HASH_TEXT_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    (void)SHA256((const unsigned char *)text, strlen(text), digest);
    (void)EVP_EncodeBlock((unsigned char *)hash, digest, sizeof(digest));
}

/* The page runs its own script, reads the description, and nothing else. */
static int make_policy(char **ret_policy)
{
    char style[HASH_TEXT_SIZE];
    char script[HASH_TEXT_SIZE];

    hash_text(docs_style, style);
    hash_text(docs_script, script);
    return asprintf(ret_policy,
                    "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; "
                    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'",
                    style, script);
}

static int make_page(char **ret_page)
{
    return asprintf(ret_page,
                    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<title>Atoll API</title>\n<style>%s</style>\n</head>\n<body>\n%s"
                    "<script>%s</script>\n</body>\n</html>\n",
                    docs_style, docs_body, docs_script);
}

int description_init(struct description *description, char *openapi, struct error *err)
{
    description->openapi = openapi;
    description->openapi_size = strlen(openapi);
    if (make_policy(&description->page_policy) < 0 || make_page(&description->page) < 0)
        return error_no_memory(err);
    description->page_size = strlen(description->page);
    return 0;
}

void description_done(struct description *description)
{
    free(description->openapi);
    free(description->page);
    free(description->page_policy);
    *description = (struct description){.openapi = NULL};
}

int handle_openapi(struct call *call, __attribute__((unused)) struct error *err)
{
    http_respond_bytes(call->request, 200, "application/json", call->description->openapi,
                       call->description->openapi_size);
    return 0;
}

int handle_docs(struct call *call, __attribute__((unused)) struct error *err)
{
    http_response_header(call->request, "Content-Security-Policy", call->description->page_policy);
    http_response_header(call->request, "Referrer-Policy", "no-referrer");
    http_respond_bytes(call->request, 200, DOCS_MEDIA_TYPE, call->description->page,
                       call->description->page_size);
    return 0;
}
