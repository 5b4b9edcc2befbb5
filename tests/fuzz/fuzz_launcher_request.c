/*
 * The launcher's view of a packet, and of the files that a start-up scan reads. What is accepted
 * must be within the contract's bounds, whatever the bytes.
 */
#include "launcher/request.h"
#include "launcher/state_file.h"

#include "lib/base/sandbox_name.h"
#include "lib/base/util.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_packet(const uint8_t *data, size_t size)
{
    struct launcher_request request;
    const char *field = NULL;

    if (launcher_request_check(data, size, &request, &field) != 0)
        return;
    check(size == sizeof(request) && request.op >= LAUNCHER_OP_CREATE &&
          request.op <= LAUNCHER_OP_REMOVE_LOGS);
    if (request.op != LAUNCHER_OP_CREATE)
        return;
    check(request.memory_bytes >= LAUNCHER_MEMORY_MIN &&
          request.memory_bytes <= LAUNCHER_MEMORY_MAX);
    check(memchr(request.image, '\0', sizeof(request.image)) != NULL);
    check(name_valid(request.image, LAUNCHER_IMAGE_SIZE - 1));
    check(strchr(request.image, '/') == NULL);
}

static void try_text(const uint8_t *data, size_t size)
{
    char text[512];
    char again[STATE_FILE_SIZE];
    struct sandbox_state_file state;
    uint32_t generation;
    uint64_t ticks;
    struct id id;

    if (size >= sizeof(text))
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)state_file_start_ticks(text, &ticks);
    if (sandbox_name_parse(text, &id, &generation)) {
        char name[SANDBOX_NAME_SIZE];

        sandbox_name_format(&id, generation, name);
        check(strcmp(name, text) == 0);
    }
    if (state_file_parse(text, &state)) {
        state_file_format(&state, again);
        check(state_file_parse(again, &state));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_packet(data, size);
    try_text(data, size);
    return 0;
}
