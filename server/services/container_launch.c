#include "server/services/container_launch.h"

#include "lib/base/util.h"
#include "lib/db/store_usage.h"
#include "lib/json/json.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/container_command.h"

#include <atoll/log.h>
#include <stdio.h>
#include <string.h>

uint32_t container_capability(const char *name)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } capabilities[] = {
#define CAPABILITY(symbol, number) {#symbol, 1u << (number)},
        LAUNCHER_CAPABILITIES(CAPABILITY)
#undef CAPABILITY
    };

    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
        if (strcmp(capabilities[i].name, name) == 0)
            return capabilities[i].bit;
    return 0;
}

/* The bits of a stored array of names. */
static uint32_t capabilities_of(const char *json)
{
    _cleanup_cjson_ cJSON *names = cJSON_Parse(json);
    uint32_t bits = 0;
    const cJSON *name;

    cJSON_ArrayForEach(name, names) bits |= container_capability(name->valuestring);
    return bits;
}

static void fill_request(const struct container_record *record, struct launcher_request *request)
{
    uint32_t capabilities = capabilities_of(record->cap_add_json);

    *request = (struct launcher_request){
        .id = record->id,
        .generation = record->generation,
        /* A sandbox has no capabilities but those that were asked for. */
        .profile = capabilities ? LAUNCHER_PROFILE_DEV : LAUNCHER_PROFILE_STRICT,
        .cap_drop = capabilities ? LAUNCHER_CAPABILITIES_ALL : 0,
        .cap_add = capabilities,
        .keep_logs = 1,
        .upper = LAUNCHER_UPPER_DISK,
        .keep_disk = 1,
        .read_only_root = record->read_only_root,
        .pids_max = record->pids_max,
        .cpu_milli = record->cpu_milli,
        .memory_bytes = (uint64_t)record->memory_mb << 20,
        .upper_bytes = (uint64_t)record->disk_mb << 20,
    };
    (void)snprintf(request->image, sizeof(request->image), "%s", record->image);
}

/* What cannot be noted is not charged for. */
static void note_usage(struct services *services, const struct id *tenant, const struct id *id,
                       uint32_t generation, const struct launcher_usage *usage)
{
    static const struct store_origin origin = {.actor = "server"};
    const struct db_scope scope = {.tenant = *tenant};
    const struct store_usage_end end = {
        .id = *id,
        .generation = generation,
        .cpu_usec = usage->cpu_usec,
        .memory_peak_bytes = usage->memory_peak_bytes,
    };
    struct error failure;

    if (store_usage_note(services->db, &scope, &end, &origin, &failure) < 0)
        log_warn("what a sandbox used is not recorded: %s", failure.message);
}

static int destroy(struct services *services, const struct id *tenant, const struct id *id,
                   uint32_t generation, struct error *err)
{
    struct launcher_usage usage;
    struct error failure;

    if (launcher_client_destroy(services->launcher, id, generation, &usage, &failure) == 0) {
        note_usage(services, tenant, id, generation, &usage);
        return 0;
    }
    if (failure.code == ERR_NOT_FOUND)
        return 0;
    return error_set(err, failure.code, "%s", failure.message);
}

int container_image_missing(const char *image, struct error *err)
{
    return error_set_field(err, ERR_NOT_SUPPORTED, "image",
                           "the image '%s' is not installed here: GET /v1/images lists those that "
                           "are",
                           image);
}

int container_launch(struct services *services, const struct container_record *record,
                     struct error *err)
{
    struct launcher_request request;

    fill_request(record, &request);
    if (record->generation > 1 && destroy(services, &record->tenant, &record->id, 0, err) < 0)
        return -1;
    if (launcher_client_create(services->launcher, &request, NULL, err) == 0)
        return container_command_start(services, record, err);
    if (err->code == ERR_RUNTIME_MISSING)
        return container_image_missing(record->image, err);
    return -1;
}

int container_end(struct services *services, const struct container_record *record,
                  struct error *err)
{
    return destroy(services, &record->tenant, &record->id, record->generation, err);
}

int container_remove(struct services *services, const struct id *tenant, const struct id *id,
                     struct error *err)
{
    struct error failure;

    /* In two steps: only the first one tells what the sandbox used. */
    if (destroy(services, tenant, id, 0, err) < 0)
        return -1;
    if ((launcher_client_destroy_with_disk(services->launcher, id, &failure) == 0 ||
         failure.code == ERR_NOT_FOUND) &&
        (launcher_client_remove_logs(services->launcher, id, 0, &failure) == 0 ||
         failure.code == ERR_NOT_FOUND))
        return 0;
    return error_set(err, failure.code, "%s", failure.message);
}
