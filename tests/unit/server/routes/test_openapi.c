#include "lib/base/util.h"
#include "server/routes/openapi.h"
#include "server/routes/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static cJSON *make_document(void)
{
    _cleanup_free_ char *text = NULL;
    struct error err = {0};
    cJSON *document;

    if (openapi_make(&text, &err) < 0)
        fail_msg("%s", err.message);
    document = cJSON_Parse(text);
    assert_non_null(document);
    return document;
}

static const cJSON *operation_of(const cJSON *document, const struct route *route)
{
    const cJSON *paths = cJSON_GetObjectItemCaseSensitive(document, "paths");
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, route->pattern);

    return cJSON_GetObjectItem(path, http_method_name(route->method));
}

static bool has(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name) != NULL;
}

/* What a client generator needs, and what says that the answer has been thought of. */
static void test_every_route_is_whole(void **state)
{
    (void)state;
    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const struct route *route = &route_tables[t]->routes[i];

            if (!route->handler || !route->summary)
                fail_msg("%s lacks a handler or a summary", route->pattern);
            if (route_tables[t]->is_foreign)
                continue;
            if (!route->name)
                fail_msg("%s lacks a name", route->pattern);
            if (!route->response && !route->media && route->status != 204 && route->status != 101)
                fail_msg("%s has no answer", route->name);
            if (route->status == 204 && route->response)
                fail_msg("%s answers 204 with a body", route->name);
        }
    }
}

static void test_every_route_is_described(void **state)
{
    _cleanup_cjson_ cJSON *document = make_document();

    (void)state;
    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const struct route *route = &route_tables[t]->routes[i];
            const cJSON *operation = operation_of(document, route);
            const cJSON *role = cJSON_GetObjectItemCaseSensitive(operation, "x-role");

            if (route_tables[t]->is_foreign) {
                assert_null(operation);
                continue;
            }
            assert_non_null(operation);
            assert_string_equal(role->valuestring,
                                route->role == ROLE_NONE ? "public" : role_name(route->role));
            assert_int_equal(has(operation, "requestBody"),
                             route->request || route->body || route->takes);
        }
    }
}

static void test_names_of_operations_are_unique(void **state)
{
    _cleanup_cjson_ cJSON *seen = cJSON_CreateObject();

    (void)state;
    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const char *name = route_tables[t]->routes[i].name;

            if (route_tables[t]->is_foreign)
                continue;
            assert_false(cJSON_HasObjectItem(seen, name));
            cJSON_AddTrueToObject(seen, name);
        }
    }
}

/* Follows each "$ref" of the document. */
static void check_references(const cJSON *document, const cJSON *value)
{
    const cJSON *child;

    if (value->string && strcmp(value->string, "$ref") == 0) {
        char path[128];
        char *rest = path;
        const cJSON *at = document;

        assert_memory_equal(value->valuestring, "#/", 2);
        (void)snprintf(path, sizeof(path), "%s", value->valuestring + 2);
        for (char *part = strsep(&rest, "/"); part; part = strsep(&rest, "/"))
            at = cJSON_GetObjectItemCaseSensitive(at, part);
        if (!at)
            fail_msg("%s leads nowhere", value->valuestring);
    }
    cJSON_ArrayForEach(child, value) check_references(document, child);
}

static void test_references_lead_somewhere(void **state)
{
    _cleanup_cjson_ cJSON *document = make_document();

    (void)state;
    check_references(document, document);
}

/* Request and answer of one table differ in what may be left out. */
static void test_a_request_is_strict(void **state)
{
    _cleanup_cjson_ cJSON *document = make_document();
    const cJSON *components = cJSON_GetObjectItemCaseSensitive(document, "components");
    const cJSON *schemas = cJSON_GetObjectItemCaseSensitive(components, "schemas");
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(schemas, "SandboxDefinition");
    const cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required");

    (void)state;
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties")));
    assert_int_equal(cJSON_GetArraySize(required), 2); /* runtime and code */
    schema = cJSON_GetObjectItemCaseSensitive(schemas, "StoredSandbox");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(schema, "required")),
                     cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(schema, "properties")));
}

static void test_every_error_code_is_listed(void **state)
{
    _cleanup_cjson_ cJSON *document = make_document();
    const cJSON *at = document;

    (void)state;
    for (const char *const *name = (const char *const[]){"components", "schemas", "Problem",
                                                         "properties", "code", "enum", NULL};
         *name; name++)
        at = cJSON_GetObjectItemCaseSensitive(at, *name);
    assert_int_equal(cJSON_GetArraySize(at), ERROR_CODE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_whole),
        cmocka_unit_test(test_every_route_is_described),
        cmocka_unit_test(test_names_of_operations_are_unique),
        cmocka_unit_test(test_references_lead_somewhere),
        cmocka_unit_test(test_a_request_is_strict),
        cmocka_unit_test(test_every_error_code_is_listed),
    };

    return cmocka_run_group_tests_name("server/routes/openapi", tests, NULL, NULL);
}
