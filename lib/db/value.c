/* Parameters and fields in PostgreSQL's binary format: big-endian, sized by their type. */
#include "lib/db/transaction.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* From 1970-01-01 to 2000-01-01, where PostgreSQL counts from (timestamp.h). */
#define EPOCH_DIFFERENCE_USEC INT64_C(946684800000000)

struct db_param db_null(void)
{
    return (struct db_param){.data = NULL};
}

struct db_param db_uuid(const struct id *id)
{
    return id ? db_bytes(id->bytes, ID_BYTES) : db_null();
}

struct db_param db_text(const char *text)
{
    return text ? db_bytes(text, strlen(text)) : db_null();
}

struct db_param db_bytes(const void *data, size_t size)
{
    /* No bytes are not NULL. */
    return (struct db_param){.data = data ? data : "", .size = size};
}

struct db_param db_int8(int64_t value)
{
    struct db_param param = {.size = sizeof(value), .inside = true};
    uint64_t wire = htobe64((uint64_t)value);

    memcpy(param.value, &wire, sizeof(wire));
    return param;
}

struct db_param db_known(int64_t value)
{
    return value < 0 ? db_null() : db_int8(value);
}

struct db_param db_bool(bool value)
{
    return (struct db_param){.size = 1, .inside = true, .value = {value}};
}

/* The bytes before the elements: dimensions, has-nulls, element type, length, lower bound. */
enum { ARRAY_HEADER = 20, ARRAY_TYPE_AT = 8, ARRAY_LENGTH_AT = 12, ARRAY_LOWER_BOUND_AT = 16 };

static void put_u32(uint8_t *at, uint32_t value)
{
    uint32_t wire = htobe32(value);

    memcpy(at, &wire, sizeof(wire));
}

static bool array_reserve(struct db_array *array, size_t more)
{
    size_t need;
    size_t capacity;
    uint8_t *larger;

    if (array->failed || __builtin_add_overflow(array->size, more, &need) || need > INT_MAX)
        return false;
    if (need <= array->capacity)
        return true;
    capacity = need < 512 ? 1024 : need * 2;
    larger = realloc(array->data, capacity);
    if (!larger)
        return false;
    array->data = larger;
    array->capacity = capacity;
    return true;
}

void db_array_begin(struct db_array *array, enum db_type type)
{
    memset(array, 0, sizeof(*array));
    if (!array_reserve(array, ARRAY_HEADER)) {
        array->failed = true;
        return;
    }
    memset(array->data, 0, ARRAY_HEADER);
    put_u32(array->data, 1);
    put_u32(array->data + ARRAY_TYPE_AT, (uint32_t)type);
    put_u32(array->data + ARRAY_LOWER_BOUND_AT, 1);
    array->size = ARRAY_HEADER;
}

void db_array_add(struct db_array *array, const void *data, size_t size)
{
    size_t need;

    if (__builtin_add_overflow(size, 4u, &need) || !array_reserve(array, need)) {
        array->failed = true;
        return;
    }
    put_u32(array->data + array->size, (uint32_t)size);
    if (size > 0)
        memcpy(array->data + array->size + 4, data, size);
    array->size += need;
    array->count++;
}

void db_array_add_int8(struct db_array *array, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    db_array_add(array, &wire, sizeof(wire));
}

int db_array_param(struct db_array *array, struct db_param *ret_param, struct error *err)
{
    if (array->failed)
        return error_set_errno(err, ENOMEM, "cannot prepare a list for the database");
    put_u32(array->data + ARRAY_LENGTH_AT, array->count);
    *ret_param = db_bytes(array->data, array->size);
    return 0;
}

void db_array_done(struct db_array *array)
{
    free(array->data);
    array->data = NULL;
}

int64_t db_get_int(const PGresult *result, int row, int column)
{
    const char *data = PQgetvalue(result, row, column);
    uint16_t small;
    uint32_t medium;
    uint64_t large;

    switch (PQgetlength(result, row, column)) {
    case sizeof(small):
        memcpy(&small, data, sizeof(small));
        return (int16_t)be16toh(small);
    case sizeof(medium):
        memcpy(&medium, data, sizeof(medium));
        return (int32_t)be32toh(medium);
    case sizeof(large):
        memcpy(&large, data, sizeof(large));
        return (int64_t)be64toh(large);
    default:
        return 0;
    }
}

struct id db_get_uuid(const PGresult *result, int row, int column)
{
    struct id id = {{0}};

    if (PQgetlength(result, row, column) == ID_BYTES)
        memcpy(id.bytes, PQgetvalue(result, row, column), ID_BYTES);
    return id;
}

bool db_get_bool(const PGresult *result, int row, int column)
{
    return PQgetlength(result, row, column) == 1 && PQgetvalue(result, row, column)[0] != 0;
}

int64_t db_get_time(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    return db_get_int(result, row, column) + EPOCH_DIFFERENCE_USEC;
}

const char *db_get_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int db_copy(const PGresult *result, int row, int column, char **ret_data, size_t *ret_size,
            struct error *err)
{
    size_t size = (size_t)PQgetlength(result, row, column);
    char *copy = NULL;

    if (!PQgetisnull(result, row, column)) {
        copy = malloc(size + 1);
        if (!copy)
            return error_set_errno(err, ENOMEM, "cannot read from the database");
        memcpy(copy, PQgetvalue(result, row, column), size);
        copy[size] = '\0';
    }
    *ret_data = copy;
    if (ret_size)
        *ret_size = size;
    return 0;
}
