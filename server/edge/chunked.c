#include "server/edge/chunked.h"

enum { SIZE_DIGITS_MAX = 8 };

static int take_digit(struct edge_chunked *decoder, char c, struct error *err)
{
    unsigned value;

    if (c >= '0' && c <= '9')
        value = (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f')
        value = (unsigned)(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
        value = (unsigned)(c - 'A') + 10;
    else
        return error_set(err, ERR_BAD_REQUEST, "a chunk's size is malformed");
    if (++decoder->digits > SIZE_DIGITS_MAX)
        return error_set(err, ERR_BAD_REQUEST, "a chunk's size has over %d digits",
                         SIZE_DIGITS_MAX);
    decoder->remaining = decoder->remaining * 16 + value;
    return 0;
}

static int take_size(struct edge_chunked *decoder, char c, struct error *err)
{
    if (c != '\r')
        return take_digit(decoder, c, err);
    if (decoder->digits == 0)
        return error_set(err, ERR_BAD_REQUEST, "a chunk's size is missing");
    decoder->digits = 0;
    decoder->state = EDGE_CHUNKED_SIZE_LF;
    return 0;
}

/* One byte of framing. */
static int take_framing(struct edge_chunked *decoder, char c, struct error *err)
{
    static const struct {
        char expected;
        enum edge_chunked_state next;
    } steps[] = {
        [EDGE_CHUNKED_DATA_CR] = {'\r', EDGE_CHUNKED_DATA_LF},
        [EDGE_CHUNKED_DATA_LF] = {'\n', EDGE_CHUNKED_SIZE},
        [EDGE_CHUNKED_END_CR] = {'\r', EDGE_CHUNKED_END_LF},
        [EDGE_CHUNKED_END_LF] = {'\n', EDGE_CHUNKED_DONE},
        [EDGE_CHUNKED_SIZE_LF] = {'\n', EDGE_CHUNKED_DATA},
    };

    if (decoder->state == EDGE_CHUNKED_SIZE)
        return take_size(decoder, c, err);
    if (c != steps[decoder->state].expected)
        return error_set(err, ERR_BAD_REQUEST, "the chunked body is malformed");
    decoder->state = steps[decoder->state].next;
    if (decoder->state == EDGE_CHUNKED_DATA && decoder->remaining == 0)
        decoder->state = EDGE_CHUNKED_END_CR;
    return 0;
}

ssize_t edge_chunked_feed(struct edge_chunked *decoder, const char *data, size_t size,
                          struct edge_span *ret_payload, struct error *err)
{
    size_t at = 0;
    size_t run = 0;

    while (at < size && decoder->state != EDGE_CHUNKED_DATA && decoder->state != EDGE_CHUNKED_DONE)
        if (take_framing(decoder, data[at++], err) < 0)
            return -1;
    if (decoder->state == EDGE_CHUNKED_DATA) {
        run = size - at < decoder->remaining ? size - at : (size_t)decoder->remaining;
        decoder->remaining -= run;
        if (decoder->remaining == 0)
            decoder->state = EDGE_CHUNKED_DATA_CR;
    }
    *ret_payload = (struct edge_span){data + at, run};
    return (ssize_t)(at + run);
}
