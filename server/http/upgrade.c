#include "server/http/upgrade.h"

#include "lib/base/base64.h"
#include "server/http/cors.h"

#include <atoll/cleanup.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 16, KEY_TEXT = 24 };

/* RFC 6455 section 4.1: 16 bytes as base64. */
static bool is_key(const char *text)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    return text && strlen(text) == KEY_TEXT && base64_decode(text, KEY_TEXT, &bytes, &size) &&
           size == KEY_BYTES;
}

int upgrade_check(struct http_request *request, const char *origins, struct error *err)
{
    const char *version = http_request_header(request, "Sec-WebSocket-Version");
    const char *origin = http_request_header(request, "Origin");

    if (!http_request_asks_websocket(request))
        return error_set(err, ERR_UPGRADE_REQUIRED, "this is a WebSocket: ask for an upgrade");
    if (!version || strcmp(version, "13") != 0) {
        http_response_header(request, "Sec-WebSocket-Version", "13");
        return error_set(err, ERR_UPGRADE_REQUIRED, "the version of WebSocket is 13");
    }
    if (!is_key(http_request_header(request, "Sec-WebSocket-Key")))
        return error_set(err, ERR_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes as base64");
    if (origin && !cors_has_origin(origins, origin))
        return error_set(err, ERR_FORBIDDEN,
                         "pages of this origin may open no WebSocket: see server.cors_origins");
    return 0;
}

/* RFC 6455 section 4.2.2: proves that the handshake was understood; it keeps no secret. */
static char *accept_of(const char *key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[KEY_TEXT + sizeof(magic)];
    int size = snprintf(text, sizeof(text), "%s%s", key, magic);

    (void)SHA1((const unsigned char *)text, (size_t)size, digest);
    return base64_encode(digest, sizeof(digest));
}

static bool offers(const struct http_request *request, const char *protocol)
{
    const char *list = http_request_header(request, "Sec-WebSocket-Protocol");
    size_t wanted = strlen(protocol);

    while (list && *list != '\0') {
        size_t length = strcspn(list, ", ");

        if (length == wanted && memcmp(list, protocol, wanted) == 0)
            return true;
        list += length;
        list += strspn(list, ", ");
    }
    return false;
}

int upgrade_respond(struct http_request *request, struct stream *stream, struct error *err)
{
    _cleanup_free_ char *accept = accept_of(http_request_header(request, "Sec-WebSocket-Key"));

    if (!accept)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the answer");
    http_response_header(request, "Sec-WebSocket-Accept", accept);
    if (offers(request, UPGRADE_PROTOCOL))
        http_response_header(request, "Sec-WebSocket-Protocol", UPGRADE_PROTOCOL);
    http_respond_upgrade(request, stream);
    return 0;
}
