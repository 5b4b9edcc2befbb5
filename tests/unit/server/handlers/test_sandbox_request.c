#include "lib/base/util.h"
#include "server/handlers/sandbox_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct sandbox_limits limits = {30000, 3600000, 512, 8192};

static int decode(const char *text, struct sandbox_definition *definition, struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;

    if (json_parse(text, strlen(text), &body, err) < 0)
        return -1;
    return sandbox_request_create(body, &limits, definition, err);
}

static void test_a_small_body_gets_the_defaults(void **state)
{
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {0};

    (void)state;
    assert_int_equal(decode("{\"runtime\":\"node\",\"code\":\"1\"}", &definition, NULL), 0);
    assert_int_equal(definition.timeout_ms, 30000);
    assert_int_equal(definition.memory_limit_mb, 512);
    assert_string_equal(definition.env_json, "{}");
    assert_null(definition.entry_point);
    assert_int_equal(definition.files.count, 0);
}

static void test_files_keep_their_bytes_and_land_where_they_say(void **state)
{
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {0};
    static const char body[] = "{\"runtime\":\"shell\",\"code\":\"x\",\"files\":["
                               "{\"path\":\"a/b.txt\",\"content\":\"it's $(x) `y` \\\"z\\\"\"},"
                               "{\"path\":\"/tmp/c\",\"content\":\"AAH/\",\"encoding\":\"base64\","
                               "\"is_executable\":true}]}";

    (void)state;
    assert_int_equal(decode(body, &definition, NULL), 0);
    assert_int_equal(definition.files.count, 2);
    assert_string_equal(definition.files.items[0].path, "/sandbox/a/b.txt");
    assert_string_equal(definition.files.items[0].content, "it's $(x) `y` \"z\"");
    assert_false(definition.files.items[0].executable);
    assert_string_equal(definition.files.items[1].path, "/tmp/c");
    assert_int_equal(definition.files.items[1].size, 3);
    assert_memory_equal(definition.files.items[1].content, "\0\1\377", 3);
    assert_true(definition.files.items[1].executable);
}

static void test_every_refusal_names_its_field(void **state)
{
    static const struct {
        const char *members; /* beside a valid runtime and code, which they may repeat */
        enum error_code code;
        const char *field;
    } cases[] = {
        {"\"runtime\":\"cobol\",\"code\":\"x\"", ERR_INVALID_FIELD, "runtime"},
        {"\"runtime\":\"node\"", ERR_MISSING_FIELD, "code"},
        {"\"runtime\":\"node\",\"code\":\"\"", ERR_INVALID_FIELD, "code"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"timeout_ms\":0", ERR_INVALID_FIELD, "timeout_ms"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"timeout_ms\":-1", ERR_INVALID_FIELD, "timeout_ms"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"timeout_ms\":9e18", ERR_INVALID_FIELD,
         "timeout_ms"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"memory_limit_mb\":15", ERR_INVALID_FIELD,
         "memory_limit_mb"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"memory_limit_mb\":8193", ERR_INVALID_FIELD,
         "memory_limit_mb"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"extra\":1", ERR_UNKNOWN_FIELD, "extra"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"env_vars\":{\"A\":1}", ERR_INVALID_FIELD,
         "env_vars.A"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"env_vars\":{\"1A\":\"\"}", ERR_INVALID_FIELD,
         "env_vars.1A"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"env_vars\":{\"A=B\":\"\"}", ERR_INVALID_FIELD,
         "env_vars.A=B"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"entry_point\":\"../x\"", ERR_INVALID_FIELD,
         "entry_point"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"files\":[{\"path\":\"a/../b\",\"content\":\"\"}]",
         ERR_INVALID_FIELD, "files[0].path"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"files\":[{\"path\":\"a/\",\"content\":\"\"}]",
         ERR_INVALID_FIELD, "files[0].path"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"files\":[{\"path\":\"a\"}]", ERR_MISSING_FIELD,
         "files[0].content"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"files\":[{\"path\":\"a\",\"content\":\"x\","
         "\"encoding\":\"base64\"}]",
         ERR_INVALID_FIELD, "files[0].content"},
        {"\"runtime\":\"node\",\"code\":\"x\",\"files\":[{\"path\":\"a\",\"content\":\"x\","
         "\"encoding\":\"utf-16\"}]",
         ERR_INVALID_FIELD, "files[0].encoding"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sandbox_definition definition = {0};
        struct error err;
        char body[512];

        (void)snprintf(body, sizeof(body), "{%s}", cases[i].members);
        assert_int_equal(decode(body, &definition, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.field, cases[i].field);
        assert_null(definition.runtime);
    }
}

static void test_files_are_counted(void **state)
{
    _cleanup_cjson_ cJSON *array = cJSON_CreateArray();
    struct sandbox_files files = {0};
    struct error err;

    (void)state;
    for (int i = 0; i < 1001; i++)
        cJSON_AddItemToArray(array, cJSON_CreateObject());
    assert_int_equal(sandbox_request_files(array, &files, &err), -1);
    assert_string_equal(err.field, "files");
    assert_non_null(strstr(err.message, "1000"));
    assert_null(files.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_body_gets_the_defaults),
        cmocka_unit_test(test_files_keep_their_bytes_and_land_where_they_say),
        cmocka_unit_test(test_every_refusal_names_its_field),
        cmocka_unit_test(test_files_are_counted),
    };

    return cmocka_run_group_tests_name("server/handlers/sandbox_request", tests, NULL, NULL);
}
