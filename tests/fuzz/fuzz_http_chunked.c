/* A chunked body decodes to the same bytes however it is cut. */
#include "server/edge/chunked.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    int refused;
    size_t taken;
    size_t payload;
    uint64_t sum;
};

static struct result decode(const char *text, size_t size, size_t step)
{
    struct edge_chunked decoder = {0};
    struct result result = {0};

    while (result.taken < size && decoder.state != EDGE_CHUNKED_DONE) {
        size_t left = size - result.taken;
        struct edge_span run;
        ssize_t taken =
            edge_chunked_feed(&decoder, text + result.taken, left < step ? left : step, &run, NULL);

        if (taken < 0) {
            result.refused = 1;
            return result;
        }
        if (taken == 0 || (size_t)taken > left || run.size > (size_t)taken)
            abort();
        result.taken += (size_t)taken;
        result.payload += run.size;
        for (size_t i = 0; i < run.size; i++)
            result.sum = result.sum * 31 + (uint8_t)run.data[i];
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole = decode((const char *)data, size, size + 1);
    struct result bytes = decode((const char *)data, size, 1);

    if (whole.refused != bytes.refused)
        abort();
    if (!whole.refused &&
        (whole.taken != bytes.taken || whole.payload != bytes.payload || whole.sum != bytes.sum))
        abort();
    return 0;
}
