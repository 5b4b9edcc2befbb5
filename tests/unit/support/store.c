#include "tests/unit/support/store.h"

#include "tests/unit/support/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct id default_tenant = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};
const struct db_scope default_scope = {
    .tenant = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}}};
const struct store_lifetime long_lifetime = {.idle_timeout_s = 3600, .max_lifetime_s = 86400};
const struct store_origin test_origin = {.actor = "tester", .request_id = "request-1"};

struct id make_tenant(const char *name)
{
    char sql[256];
    struct id tenant;

    (void)snprintf(sql, sizeof(sql), "INSERT INTO tenants (name) VALUES ('%s') RETURNING id", name);
    _cleanup_free_ char *text = postgres_value(sql);
    assert_true(id_parse(text, &tenant));
    return tenant;
}

struct sandbox_definition simple_definition(void)
{
    return (struct sandbox_definition){.runtime = (char *)"shell",
                                       .code = (char *)"echo 1",
                                       .code_size = 6,
                                       .env_json = (char *)"{\"NAME\": \"value\"}",
                                       .timeout_ms = 30000,
                                       .memory_limit_mb = 64};
}

struct id make_sandbox(struct db_pool *pool, const struct id *tenant)
{
    const struct sandbox_definition definition = simple_definition();
    const struct db_scope scope = {.tenant = *tenant};
    struct sandbox_record record;
    struct error err;
    struct id id;

    assert_int_equal(id_new(&id, NULL), 0);
    if (store_sandbox_insert(pool, &scope, &id, &definition, &long_lifetime, &test_origin, &record,
                             &err) < 0)
        fail_msg("%s", err.message);
    sandbox_record_free(&record);
    return id;
}

struct container_spec simple_container(void)
{
    return (struct container_spec){.image = (char *)"base",
                                   .env_json = (char *)"{\"NAME\": \"value\"}",
                                   .ports_json = (char *)"[]",
                                   .labels_json = (char *)"{\"team\": \"a\"}",
                                   .cap_add_json = (char *)"[]",
                                   .cap_drop_json = (char *)"[]",
                                   .cpu_milli = 500,
                                   .memory_mb = 64,
                                   .disk_mb = 128,
                                   .pids_max = 32,
                                   .idle_timeout_s = 3600,
                                   .max_lifetime_s = 86400};
}

struct store_run make_run(const struct id *sandbox)
{
    struct store_run run = {.sandbox = *sandbox, .node_id = "node-1", .deadline_ms = 30000};

    assert_int_equal(id_new(&run.id, NULL), 0);
    return run;
}

void *run_delete_race(void *context)
{
    struct delete_race *race = context;

    return store_sandbox_delete_begin(race->pool, &default_scope, &race->id, &test_origin,
                                      &race->deletion, NULL) == 0
               ? context
               : NULL;
}

uint32_t begin_run(struct db_pool *pool, const struct id *tenant, const struct store_run *run)
{
    const struct db_scope scope = {.tenant = *tenant};
    struct sandbox_definition definition;
    struct error err;
    uint32_t generation;

    if (store_run_begin(pool, &scope, run, &test_origin, &generation, &definition, &err) < 0)
        fail_msg("%s", err.message);
    sandbox_definition_free(&definition);
    return generation;
}

struct store_run_end completed(const struct store_run *run, uint32_t generation)
{
    return (struct store_run_end){.id = run->id,
                                  .sandbox = run->sandbox,
                                  .generation = generation,
                                  .node_id = run->node_id,
                                  .boot_id = run->boot_id,
                                  .state = PROCESS_COMPLETED,
                                  .cpu_usec = 1200,
                                  .memory_peak_bytes = 4096,
                                  .wall_usec = 5000};
}

char *value_of(const char *sql, const struct id *id)
{
    char whole[1024];
    char text[ID_TEXT_SIZE];
    const char *place = strstr(sql, "%s");

    assert_non_null(place);
    id_format(id, text);
    (void)snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(place - sql), sql, text, place + 2);
    return postgres_value(whole);
}

long number_of(const char *sql, const struct id *id)
{
    _cleanup_free_ char *value = value_of(sql, id);

    return strtol(value, NULL, 10);
}

struct id make_container(struct db_pool *pool, const struct id *tenant)
{
    const struct container_spec spec = simple_container();
    const struct db_scope scope = {.tenant = *tenant};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct error err;
    struct id id;

    assert_int_equal(id_new(&id, NULL), 0);
    if (store_container_insert(pool, &scope, &id, &spec, "node-1", &test_origin, &record, &err) < 0)
        fail_msg("%s", err.message);
    return id;
}

struct id make_running_container(struct db_pool *pool, const struct id *tenant)
{
    struct id id = make_container(pool, tenant);

    step_container(pool, tenant, &id, 1, SANDBOX_CREATING, SANDBOX_RUNNING);
    return id;
}

struct store_process_new simple_process(const struct id *container, enum store_process_kind kind)
{
    struct store_process_new process = {
        .sandbox = *container,
        .kind = kind,
        .command_json = "[\"true\"]",
        .node_id = "node-1",
    };

    assert_int_equal(id_new(&process.id, NULL), 0);
    return process;
}

struct id begin_process(struct db_pool *pool, const struct store_process_new *process)
{
    struct store_process_place place;
    struct error err;

    if (store_process_begin(pool, &default_scope, process, &test_origin, &place, &err) < 0)
        fail_msg("%s", err.message);
    store_process_place_free(&place);
    return process->id;
}

void step_container(struct db_pool *pool, const struct id *tenant, const struct id *id,
                    uint32_t generation, enum sandbox_state from, enum sandbox_state to)
{
    const struct store_container_step step = {
        .id = *id, .generation = generation, .from = from, .to = to};
    const struct db_scope scope = {.tenant = *tenant};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct error err;

    if (store_container_step(pool, &scope, &step, &test_origin, &record, &err) < 0)
        fail_msg("%s", err.message);
}
