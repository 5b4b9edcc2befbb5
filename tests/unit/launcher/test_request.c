#include "launcher/request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct launcher_request valid_create(void)
{
    struct launcher_request request;

    memset(&request, 0, sizeof(request));
    request.magic = LAUNCHER_MAGIC;
    request.version = LAUNCHER_VERSION;
    request.op = LAUNCHER_OP_CREATE;
    request.id.bytes[3] = 7;
    request.generation = 1;
    request.profile = LAUNCHER_PROFILE_STRICT;
    request.upper = LAUNCHER_UPPER_TMPFS;
    request.pids_max = 64;
    request.cpu_milli = 1000;
    request.memory_bytes = 64 << 20;
    request.upper_bytes = 64 << 20;
    (void)snprintf(request.image, sizeof(request.image), "base");
    return request;
}

static struct launcher_request bare(uint16_t op)
{
    struct launcher_request request;

    memset(&request, 0, sizeof(request));
    request.magic = LAUNCHER_MAGIC;
    request.version = LAUNCHER_VERSION;
    request.op = op;
    return request;
}

static void assert_field(const struct launcher_request *request, const char *field)
{
    struct launcher_request got;
    const char *named = NULL;

    assert_int_equal(launcher_request_check(request, sizeof(*request), &got, &named), EINVAL);
    assert_string_equal(named, field);
}

static void assert_valid(const struct launcher_request *request)
{
    struct launcher_request got;
    const char *named = NULL;

    assert_int_equal(launcher_request_check(request, sizeof(*request), &got, &named), 0);
    assert_memory_equal(&got, request, sizeof(got));
}

static void takes_each_op_with_what_it_needs(void **state)
{
    struct launcher_request request = valid_create();

    (void)state;
    assert_valid(&request);
    for (uint16_t op = LAUNCHER_OP_DESTROY; op <= LAUNCHER_OP_THAW; op++) {
        request = bare(op);
        request.id.bytes[0] = 1;
        request.generation = 3;
        assert_valid(&request);
    }
    request = bare(LAUNCHER_OP_LIST);
    request.cursor = 64;
    assert_valid(&request);
    request = bare(LAUNCHER_OP_FEATURES);
    assert_valid(&request);
    request = bare(LAUNCHER_OP_DISKS);
    request.cursor = 64;
    assert_valid(&request);
    request = bare(LAUNCHER_OP_REMOVE);
    request.id.bytes[0] = 1;
    assert_valid(&request);
    request.generation = 1;
    assert_field(&request, "generation");
    request.op = LAUNCHER_OP_REMOVE_LOGS;
    assert_valid(&request);
    request.generation = 0;
    assert_valid(&request);
    request.remove_disk = 1;
    assert_field(&request, "remove_disk");
}

static void takes_a_kept_disk_only_on_disk(void **state)
{
    struct launcher_request request = valid_create();

    (void)state;
    request.keep_disk = 1;
    assert_field(&request, "keep_disk");
    request.upper = LAUNCHER_UPPER_DISK;
    assert_valid(&request);
    request.keep_disk = 2;
    assert_field(&request, "keep_disk");
    request = valid_create();
    request.remove_disk = 1;
    assert_field(&request, "remove_disk");
    request = bare(LAUNCHER_OP_DESTROY);
    request.id.bytes[0] = 1;
    request.remove_disk = 1;
    assert_valid(&request);
    request.keep_disk = 1;
    assert_field(&request, "limits");
}

static void takes_capabilities_of_the_list(void **state)
{
    struct launcher_request request = valid_create();

    (void)state;
    request.cap_drop = LAUNCHER_CAPABILITIES_ALL;
    assert_valid(&request);
    request.cap_drop |= 1u << 21; /* SYS_ADMIN */
    assert_field(&request, "cap_drop");
    request = valid_create();
    request.cap_add = 1;
    assert_field(&request, "cap_add");
    request.profile = LAUNCHER_PROFILE_DEV;
    assert_valid(&request);
    request.cap_add |= 1u << 21;
    assert_field(&request, "cap_add");
}

static void takes_destroy_of_every_generation(void **state)
{
    struct launcher_request request = bare(LAUNCHER_OP_DESTROY);

    (void)state;
    request.id.bytes[0] = 1;
    assert_valid(&request);
    request.op = LAUNCHER_OP_FREEZE;
    assert_field(&request, "generation");
}

static void takes_an_early_destroy_of_one_generation(void **state)
{
    struct launcher_request request = bare(LAUNCHER_OP_DESTROY);

    (void)state;
    request.id.bytes[0] = 1;
    request.generation = 2;
    request.early = 1;
    assert_valid(&request);
    request.early = 2;
    assert_field(&request, "early");
    request.early = 1;
    request.generation = 0;
    assert_field(&request, "early");
    request.generation = 2;
    request.op = LAUNCHER_OP_FREEZE;
    assert_field(&request, "early");
    request = valid_create();
    request.early = 1;
    assert_field(&request, "early");
}

static void ends_the_connection_of_another_protocol(void **state)
{
    struct launcher_request request = valid_create();
    struct launcher_request got;
    const char *field = NULL;
    unsigned char longer[sizeof(request) + 1] = {0};

    (void)state;
    memcpy(longer, &request, sizeof(request));
    assert_int_equal(launcher_request_check(longer, sizeof(longer), &got, &field), EPROTO);
    assert_int_equal(launcher_request_check(longer, sizeof(request) - 1, &got, &field), EPROTO);
    assert_int_equal(launcher_request_check(longer, 0, &got, &field), EPROTO);
    request.magic++;
    assert_int_equal(launcher_request_check(&request, sizeof(request), &got, &field), EPROTO);
    request = valid_create();
    request.version++;
    assert_int_equal(launcher_request_check(&request, sizeof(request), &got, &field), EPROTO);
    request = valid_create();
    request.op = 0;
    assert_int_equal(launcher_request_check(&request, sizeof(request), &got, &field), EPROTO);
    request.op = LAUNCHER_OP_REMOVE_LOGS + 1;
    assert_int_equal(launcher_request_check(&request, sizeof(request), &got, &field), EPROTO);
}

static void refuses_numbers_out_of_bounds(void **state)
{
    struct launcher_request request;

    (void)state;
#define REFUSES(member, value)                                                                     \
    request = valid_create();                                                                      \
    request.member = (value);                                                                      \
    assert_field(&request, #member)
    REFUSES(generation, 0);
    REFUSES(profile, 0);
    REFUSES(profile, 3);
    REFUSES(upper, 0);
    REFUSES(upper, 3);
    REFUSES(pids_max, LAUNCHER_PIDS_MIN - 1);
    REFUSES(pids_max, LAUNCHER_PIDS_MAX + 1);
    REFUSES(cpu_milli, LAUNCHER_CPU_MILLI_MIN - 1);
    REFUSES(cpu_milli, LAUNCHER_CPU_MILLI_MAX + 1);
    REFUSES(keep_logs, 2);
    REFUSES(memory_bytes, LAUNCHER_MEMORY_MIN - 1);
    REFUSES(memory_bytes, LAUNCHER_MEMORY_MAX + 1);
    REFUSES(upper_bytes, LAUNCHER_UPPER_MIN - 1);
    REFUSES(upper_bytes, UINT64_MAX);
    REFUSES(cursor, 1);
    REFUSES(read_only_root, 2);
#undef REFUSES
    request = valid_create();
    memset(&request.id, 0, sizeof(request.id));
    assert_field(&request, "id");
}

static void refuses_images_that_are_not_names(void **state)
{
    static const char *const names[] = {"", ".", "..", "../base", "a/b", "-x", "Base", "a b"};
    struct launcher_request request;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        request = valid_create();
        memset(request.image, 0, sizeof(request.image));
        (void)snprintf(request.image, sizeof(request.image), "%s", names[i]);
        assert_field(&request, "image");
    }
    request = valid_create();
    memset(request.image, 'a', sizeof(request.image)); /* no NUL */
    assert_field(&request, "image");
    request = valid_create();
    request.image[20] = 'x'; /* behind the NUL */
    assert_field(&request, "image");
}

static void refuses_what_an_op_does_not_read(void **state)
{
    struct launcher_request request = valid_create();

    (void)state;
    request.reserved[0] = 1;
    assert_field(&request, "reserved");
    request = valid_create();
    request.op = LAUNCHER_OP_DESTROY;
    assert_field(&request, "limits");
    request = bare(LAUNCHER_OP_LIST);
    request.id.bytes[0] = 1;
    assert_field(&request, "id");
    request = bare(LAUNCHER_OP_LIST);
    request.generation = 1;
    assert_field(&request, "generation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_op_with_what_it_needs),
        cmocka_unit_test(takes_destroy_of_every_generation),
        cmocka_unit_test(takes_a_kept_disk_only_on_disk),
        cmocka_unit_test(takes_capabilities_of_the_list),
        cmocka_unit_test(takes_an_early_destroy_of_one_generation),
        cmocka_unit_test(ends_the_connection_of_another_protocol),
        cmocka_unit_test(refuses_numbers_out_of_bounds),
        cmocka_unit_test(refuses_images_that_are_not_names),
        cmocka_unit_test(refuses_what_an_op_does_not_read),
    };

    return cmocka_run_group_tests_name("launcher/request", tests, NULL, NULL);
}
