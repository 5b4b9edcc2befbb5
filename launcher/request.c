#include "launcher/request.h"

#include "lib/base/util.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Which parts of the request an op reads; the parts it does not read must be zero. */
enum {
    PART_ID = 1,         /* a sandbox id that is not all zero */
    PART_GENERATION = 2, /* a generation of 1 or more */
    PART_ANY_GENERATION = 4,
    PART_LIMITS = 8,
    PART_CURSOR = 16,
    PART_EARLY = 32, /* of one generation only */
    PART_REMOVE_DISK = 64,
};

static const unsigned op_parts[] = {
    [LAUNCHER_OP_CREATE] = PART_ID | PART_GENERATION | PART_LIMITS,
    [LAUNCHER_OP_DESTROY] = PART_ID | PART_ANY_GENERATION | PART_EARLY | PART_REMOVE_DISK,
    [LAUNCHER_OP_FREEZE] = PART_ID | PART_GENERATION,
    [LAUNCHER_OP_THAW] = PART_ID | PART_GENERATION,
    [LAUNCHER_OP_LIST] = PART_CURSOR,
    [LAUNCHER_OP_FEATURES] = 0,
    [LAUNCHER_OP_REMOVE] = PART_ID,
    [LAUNCHER_OP_DISKS] = PART_CURSOR,
    [LAUNCHER_OP_REMOVE_LOGS] = PART_ID | PART_ANY_GENERATION,
};

static bool all_zero(const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* A valid image name, then zeros to the end of the field. */
static bool image_valid(const char image[static LAUNCHER_IMAGE_SIZE])
{
    size_t length = strnlen(image, LAUNCHER_IMAGE_SIZE);

    return length < LAUNCHER_IMAGE_SIZE && name_valid(image, LAUNCHER_IMAGE_SIZE - 1) &&
           all_zero(image + length, LAUNCHER_IMAGE_SIZE - length);
}

static const char *limits_fault(const struct launcher_request *request)
{
    const uint32_t may_drop = LAUNCHER_CAPABILITIES_ALL;
    const uint32_t may_add = request->profile == LAUNCHER_PROFILE_DEV ? may_drop : 0;
    const struct {
        const char *field;
        uint64_t value;
        uint64_t least;
        uint64_t most;
    } bounds[] = {
        {"profile", request->profile, LAUNCHER_PROFILE_STRICT, LAUNCHER_PROFILE_DEV},
        {"upper", request->upper, LAUNCHER_UPPER_TMPFS, LAUNCHER_UPPER_DISK},
        {"pids_max", request->pids_max, LAUNCHER_PIDS_MIN, LAUNCHER_PIDS_MAX},
        {"cpu_milli", request->cpu_milli, LAUNCHER_CPU_MILLI_MIN, LAUNCHER_CPU_MILLI_MAX},
        {"keep_logs", request->keep_logs, 0, 1},
        {"keep_disk", request->keep_disk, 0, request->upper == LAUNCHER_UPPER_DISK},
        {"read_only_root", request->read_only_root, 0, 1},
        {"cap_drop", request->cap_drop & ~may_drop, 0, 0},
        {"cap_add", request->cap_add & ~may_add, 0, 0},
        {"memory_bytes", request->memory_bytes, LAUNCHER_MEMORY_MIN, LAUNCHER_MEMORY_MAX},
        {"upper_bytes", request->upper_bytes, LAUNCHER_UPPER_MIN, LAUNCHER_UPPER_MAX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
        if (bounds[i].value < bounds[i].least || bounds[i].value > bounds[i].most)
            return bounds[i].field;
    return image_valid(request->image) ? NULL : "image";
}

static bool limits_zero(const struct launcher_request *request)
{
    return request->profile == 0 && request->upper == 0 && request->pids_max == 0 &&
           request->cpu_milli == 0 && request->keep_logs == 0 && request->memory_bytes == 0 &&
           request->upper_bytes == 0 && request->keep_disk == 0 && request->read_only_root == 0 &&
           request->cap_drop == 0 && request->cap_add == 0 &&
           all_zero(request->image, sizeof(request->image));
}

static bool early_valid(const struct launcher_request *request, unsigned parts)
{
    return request->early == 0 ||
           (request->early == 1 && (parts & PART_EARLY) && request->generation != 0);
}

static const char *request_fault(const struct launcher_request *request, unsigned parts)
{
    if (all_zero(&request->id, sizeof(request->id)) == ((parts & PART_ID) != 0))
        return "id";
    if ((parts & PART_GENERATION) && request->generation == 0)
        return "generation";
    if (!(parts & (PART_GENERATION | PART_ANY_GENERATION)) && request->generation != 0)
        return "generation";
    if (!(parts & PART_CURSOR) && request->cursor != 0)
        return "cursor";
    if (!early_valid(request, parts))
        return "early";
    if (request->remove_disk > ((parts & PART_REMOVE_DISK) ? 1u : 0u))
        return "remove_disk";
    if (!all_zero(request->reserved, sizeof(request->reserved)))
        return "reserved";
    if (parts & PART_LIMITS)
        return limits_fault(request);
    return limits_zero(request) ? NULL : "limits";
}

int launcher_request_check(const void *packet, size_t size, struct launcher_request *ret_request,
                           const char **ret_field)
{
    struct launcher_request request;
    const char *field;

    if (size != sizeof(request))
        return EPROTO;
    memcpy(&request, packet, sizeof(request));
    if (request.magic != LAUNCHER_MAGIC || request.version != LAUNCHER_VERSION || request.op == 0 ||
        request.op >= ARRAY_SIZE(op_parts))
        return EPROTO;
    *ret_request = request;
    field = request_fault(&request, op_parts[request.op]);
    if (!field)
        return 0;
    *ret_field = field;
    return EINVAL;
}
