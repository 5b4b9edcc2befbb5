#include "lib/agentproto/wire.h"

#include <string.h>

static void put_bytes(struct wire_writer *writer, const void *data, size_t size)
{
    if (writer->failed || size > writer->capacity - writer->size) {
        writer->failed = true;
        return;
    }
    memcpy(writer->data + writer->size, data, size);
    writer->size += size;
}

void wire_put_u32(struct wire_writer *writer, uint32_t value)
{
    uint8_t bytes[4];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put_bytes(writer, bytes, sizeof(bytes));
}

void wire_put_u64(struct wire_writer *writer, uint64_t value)
{
    wire_put_u32(writer, (uint32_t)value);
    wire_put_u32(writer, (uint32_t)(value >> 32));
}

void wire_put_string(struct wire_writer *writer, const char *text)
{
    size_t length = strlen(text);

    if (length >= UINT32_MAX) {
        writer->failed = true;
        return;
    }
    wire_put_u32(writer, (uint32_t)length);
    put_bytes(writer, text, length + 1);
}

void wire_put_id(struct wire_writer *writer, const struct id *id)
{
    put_bytes(writer, id->bytes, sizeof(id->bytes));
}

size_t wire_writer_size(const struct wire_writer *writer)
{
    return writer->failed ? 0 : writer->size;
}

/* The next `size` bytes, or NULL when there are fewer. */
static const uint8_t *get_bytes(struct wire_reader *reader, size_t size)
{
    const uint8_t *bytes = reader->data + reader->offset;

    if (reader->failed || size > reader->size - reader->offset) {
        reader->failed = true;
        return NULL;
    }
    reader->offset += size;
    return bytes;
}

uint32_t wire_get_u32(struct wire_reader *reader)
{
    const uint8_t *bytes = get_bytes(reader, 4);

    if (!bytes)
        return 0;
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

uint64_t wire_get_u64(struct wire_reader *reader)
{
    uint64_t low = wire_get_u32(reader);

    return low | (uint64_t)wire_get_u32(reader) << 32;
}

struct id wire_get_id(struct wire_reader *reader)
{
    const uint8_t *bytes = get_bytes(reader, ID_BYTES);
    struct id id = {0};

    if (bytes)
        memcpy(id.bytes, bytes, sizeof(id.bytes));
    return id;
}

const char *wire_get_string(struct wire_reader *reader, size_t max)
{
    uint32_t length = wire_get_u32(reader);
    const uint8_t *bytes;

    if (length >= max) {
        reader->failed = true;
        return "";
    }
    bytes = get_bytes(reader, (size_t)length + 1);
    if (!bytes)
        return "";
    if (memchr(bytes, '\0', (size_t)length + 1) != bytes + length) {
        reader->failed = true;
        return "";
    }
    return (const char *)bytes;
}

bool wire_is_absolute(const char *path)
{
    return path[0] == '/';
}

bool wire_reader_complete(const struct wire_reader *reader)
{
    return !reader->failed && reader->offset == reader->size;
}
