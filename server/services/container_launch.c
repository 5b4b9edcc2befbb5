#include "server/services/container_launch.h"

#include "lib/runtime/launcher_client.h"
#include "server/services/container_command.h"

#include <stdio.h>

static void fill_request(const struct container_record *record, struct launcher_request *request)
{
    *request = (struct launcher_request){
        .id = record->id,
        .generation = record->generation,
        .profile = LAUNCHER_PROFILE_STRICT,
        .keep_logs = 1,
        .upper = LAUNCHER_UPPER_DISK,
        .pids_max = record->pids_max,
        .cpu_milli = record->cpu_milli,
        .memory_bytes = (uint64_t)record->memory_mb << 20,
        .upper_bytes = (uint64_t)record->disk_mb << 20,
    };
    (void)snprintf(request->image, sizeof(request->image), "%s", record->image);
}

static int destroy(struct services *services, const struct id *id, uint32_t generation,
                   struct error *err)
{
    struct error failure;

    if (launcher_client_destroy(services->launcher, id, generation, NULL, &failure) == 0 ||
        failure.code == ERR_NOT_FOUND)
        return 0;
    return error_set(err, failure.code, "%s", failure.message);
}

int container_launch(struct services *services, const struct container_record *record,
                     struct error *err)
{
    struct launcher_request request;

    fill_request(record, &request);
    if (record->generation > 1 && destroy(services, &record->id, 0, err) < 0)
        return -1;
    if (launcher_client_create(services->launcher, &request, NULL, err) == 0)
        return container_command_start(services, record, err);
    if (err->code == ERR_RUNTIME_MISSING)
        return error_set_field(err, ERR_NOT_SUPPORTED, "image",
                               "the image '%s' is not installed here", record->image);
    return -1;
}

int container_end(struct services *services, const struct container_record *record,
                  struct error *err)
{
    return destroy(services, &record->id, record->generation, err);
}

int container_remove(struct services *services, const struct id *id, struct error *err)
{
    return destroy(services, id, 0, err);
}
