#include "server/routes/openapi.h"

#include "lib/base/util.h"
#include "server/http/problem.h"
#include "server/routes/router.h"
#include "server/routes/schema.h"

#include <atoll/version.h>
#include <string.h>

static const char frame[] =
    "{\"openapi\":\"3.1.0\","
    "\"info\":{\"title\":\"Atoll\",\"version\":\"" ATOLL_VERSION "\","
    "\"description\":\"Sandboxes for many tenants. Every operation has a least role (x-role): "
    "viewer, member, admin or operator, each of which may do all that the one before it may. What "
    "belongs to another tenant answers as what does not exist. HEAD goes wherever GET does; "
    "OPTIONS "
    "names the methods of a path.\"},"
    "\"servers\":[{\"url\":\"/\"}],\"tags\":[],\"paths\":{},"
    "\"components\":{\"schemas\":{},\"responses\":{},"
    "\"securitySchemes\":{"
    "\"token\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\","
    "\"description\":\"A token of an issuer that this installation trusts\"},"
    "\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\","
    "\"description\":\"An API key of the tenant\"}},"
    "\"headers\":{"
    "\"RequestId\":{\"description\":\"The client's X-Request-Id, or a new one\",\"required\":true,"
    "\"schema\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]{1,64}$\"}},"
    "\"ETag\":{\"description\":\"The version of the resource\",\"required\":true,"
    "\"schema\":{\"type\":\"string\",\"pattern\":\"^\\\"[0-9]+\\\"$\"}},"
    "\"ETagOfChange\":{\"description\":\"The version of the resource; an answer that is repeated "
    "for "
    "an Idempotency-Key has none\",\"schema\":{\"type\":\"string\","
    "\"pattern\":\"^\\\"[0-9]+\\\"$\"}},"
    "\"RetryAfter\":{\"description\":\"Seconds to wait\",\"required\":true,"
    "\"schema\":{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}}},"
    "\"parameters\":{"
    "\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"description\":\"Of your "
    "choice; every request with it has its effect once, and the same answer\","
    "\"schema\":{\"type\":\"string\",\"pattern\":\"^[!-~]{1,255}$\"}},"
    "\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"description\":\"Act only on this "
    "version "
    "of the resource: its ETag, or *\",\"schema\":{\"type\":\"string\"}},"
    "\"IfNoneMatch\":{\"name\":\"If-None-Match\",\"in\":\"header\",\"description\":\"Answer 304 "
    "when "
    "the resource still has this ETag\",\"schema\":{\"type\":\"string\"}}}}}";

/* Beside `code` and `status`, which derive from ERROR_CODES. */
static const char problem_frame[] =
    "{\"type\":\"object\",\"description\":\"What went wrong (RFC 9457)\",\"properties\":{"
    "\"type\":{\"type\":\"string\",\"const\":\"about:blank\"},"
    "\"title\":{\"type\":\"string\",\"description\":\"The phrase of the status\"},"
    "\"status\":{\"type\":\"integer\",\"minimum\":400,\"maximum\":599},"
    "\"detail\":{\"type\":\"string\",\"description\":\"For people\"},"
    "\"field\":{\"type\":\"string\",\"description\":\"The field at fault, where there is one\"},"
    "\"limit\":{\"type\":\"integer\",\"description\":\"The limit that was reached\"},"
    "\"used\":{\"type\":\"integer\",\"description\":\"What is used of it\"},"
    "\"request_id\":{\"type\":\"string\"},"
    "\"error\":{\"type\":\"string\",\"description\":\"The same as detail\"}},"
    "\"required\":[\"type\",\"title\",\"status\",\"code\",\"detail\",\"request_id\",\"error\"],"
    "\"additionalProperties\":false}";

static const struct {
    enum error_code code;
    const char *meaning;
} error_codes[] = {
#define ERROR_ROW(symbol, wire, status, meaning) {symbol, meaning},
    ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

/* The document in the making. Its parts belong to `document`. */
struct openapi {
    struct schema_set set;
    cJSON *document;
    cJSON *tags;
    cJSON *paths;
    cJSON *responses;
};

static void put_text(struct openapi *api, cJSON *object, const char *name, const char *text)
{
    schema_put(&api->set, object, name, cJSON_CreateString(text));
}

static cJSON *put_object(struct openapi *api, cJSON *object, const char *name)
{
    cJSON *value = cJSON_CreateObject();

    return schema_put(&api->set, object, name, value) ? value : NULL;
}

/* {"$ref":"#/components/<kind>/<name>"} */
static cJSON *reference(struct openapi *api, const char *kind, const char *name)
{
    cJSON *object = cJSON_CreateObject();
    char target[96];

    (void)snprintf(target, sizeof(target), "#/components/%s/%s", kind, name);
    put_text(api, object, "$ref", target);
    return object;
}

/* --- errors */

/* The codes of a status, or of every one for 0. */
static cJSON *codes_of(int status)
{
    cJSON *codes = cJSON_CreateArray();

    for (size_t i = 0; i < ARRAY_SIZE(error_codes); i++)
        if (status == 0 || error_code_status(error_codes[i].code) == status)
            cJSON_AddItemToArray(codes, cJSON_CreateString(error_code_name(error_codes[i].code)));
    return codes;
}

static void describe_problem(struct openapi *api)
{
    cJSON *problem = schema_literal(&api->set, problem_frame);
    cJSON *code = put_object(api, cJSON_GetObjectItemCaseSensitive(problem, "properties"), "code");

    put_text(api, code, "type", "string");
    schema_put(&api->set, code, "enum", codes_of(0));
    schema_put(&api->set, api->set.components, "Problem", problem);
}

/* What narrows Problem to one status. */
static cJSON *problem_of(struct openapi *api, int status)
{
    cJSON *schema = cJSON_CreateObject();
    cJSON *parts = cJSON_CreateArray();
    cJSON *narrow = cJSON_CreateObject();
    cJSON *properties = put_object(api, narrow, "properties");

    schema_put(&api->set, put_object(api, properties, "status"), "const",
               cJSON_CreateNumber(status));
    schema_put(&api->set, put_object(api, properties, "code"), "enum", codes_of(status));
    cJSON_AddItemToArray(parts, reference(api, "schemas", "Problem"));
    cJSON_AddItemToArray(parts, narrow);
    schema_put(&api->set, schema, "allOf", parts);
    return schema;
}

/* "code: meaning" of all codes of a status. */
static void describe_codes(struct openapi *api, cJSON *response, int status)
{
    char text[1024] = "";

    for (size_t i = 0; i < ARRAY_SIZE(error_codes); i++) {
        size_t used = strlen(text);

        if (error_code_status(error_codes[i].code) == status)
            (void)snprintf(text + used, sizeof(text) - used, "%s%s: %s", used ? "; " : "",
                           error_code_name(error_codes[i].code), error_codes[i].meaning);
    }
    put_text(api, response, "description", text[0] ? text : "Any other error");
}

static cJSON *response_headers(struct openapi *api, cJSON *response)
{
    cJSON *headers = put_object(api, response, "headers");

    schema_put(&api->set, headers, "X-Request-Id", reference(api, "headers", "RequestId"));
    return headers;
}

/* Adds the component of an error's answer; 0: of any error. */
static void describe_error(struct openapi *api, int status, const char *name)
{
    cJSON *response = put_object(api, api->responses, name);
    cJSON *headers;
    cJSON *media;

    describe_codes(api, response, status);
    headers = response_headers(api, response);
    if (status == 429 || status == 503)
        schema_put(&api->set, headers, "Retry-After", reference(api, "headers", "RetryAfter"));
    media = put_object(api, put_object(api, response, "content"), PROBLEM_MEDIA_TYPE);
    schema_put(&api->set, media, "schema",
               status ? problem_of(api, status) : reference(api, "schemas", "Problem"));
}

static void put_error(struct openapi *api, cJSON *responses, int status)
{
    char name[16];
    char key[16];

    (void)snprintf(name, sizeof(name), "Error%d", status);
    (void)snprintf(key, sizeof(key), "%d", status);
    if (!cJSON_GetObjectItemCaseSensitive(api->responses, name))
        describe_error(api, status, name);
    if (!cJSON_GetObjectItemCaseSensitive(responses, key))
        schema_put(&api->set, responses, key, reference(api, "responses", name));
}

static bool changes(const struct route *route)
{
    return route->method != HTTP_GET;
}

/* A GET that may be answered with 304. */
static bool minds_none_match(const struct route *route)
{
    return (route->flags & ROUTE_VERSIONED) && !(route->flags & ROUTE_LIVE) && !changes(route);
}

static bool takes_body(const struct route *route)
{
    return route->request || route->body || route->takes;
}

/* The errors that a client of this route has to expect; `default` stands for the rest. */
static void put_errors(struct openapi *api, cJSON *responses, const struct route *route)
{
    const struct {
        int status;
        bool possible;
    } errors[] = {
        {400, true},
        {401, route->role != ROLE_NONE},
        {403, route->role != ROLE_NONE},
        {404, strchr(route->pattern, '{') != NULL || changes(route)},
        {406, route->response || route->media},
        {409, changes(route) || (route->flags & ROUTE_SOCKET)},
        {412, changes(route) && (route->flags & ROUTE_VERSIONED)},
        {413, takes_body(route)},
        {415, takes_body(route)},
        {422, changes(route) || (route->flags & ROUTE_SOCKET)},
        {426, route->flags & ROUTE_SOCKET},
        {429, true},
        {500, true},
        {503, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].possible)
            put_error(api, responses, errors[i].status);
    schema_put(&api->set, responses, "default", reference(api, "responses", "Error"));
}

/* --- operations */

static void put_content(struct openapi *api, cJSON *response, const struct route *route)
{
    cJSON *content;

    if (!route->response && !route->media)
        return;
    content = put_object(api, response, "content");
    if (route->response)
        schema_put(&api->set, put_object(api, content, "application/json"), "schema",
                   schema_of_table(&api->set, route->response, SCHEMA_ANSWER));
    else
        (void)put_object(api, content, route->media);
    if (route->flags & ROUTE_LINES)
        (void)put_object(api, content, "application/x-ndjson");
    if (route->flags & ROUTE_ARCHIVES) {
        (void)put_object(api, content, "application/zip");
        (void)put_object(api, content, "application/x-tar");
    }
    if (route->flags & ROUTE_STREAMS)
        schema_put(&api->set, put_object(api, content, "text/event-stream"), "schema",
                   schema_literal(&api->set, "{\"type\":\"string\"}"));
}

static cJSON *put_success(struct openapi *api, cJSON *responses, const struct route *route,
                          int status)
{
    cJSON *response;
    char key[16];

    (void)snprintf(key, sizeof(key), "%d", status);
    response = put_object(api, responses, key);
    put_text(api, response, "description", problem_status_text(status));
    put_content(api, response, route);
    return response_headers(api, response);
}

static void put_responses(struct openapi *api, cJSON *operation, const struct route *route)
{
    cJSON *responses = put_object(api, operation, "responses");
    cJSON *headers = put_success(api, responses, route, route->status ? route->status : 200);

    if ((route->flags & ROUTE_VERSIONED) && route->response)
        schema_put(&api->set, headers, "ETag",
                   reference(api, "headers", changes(route) ? "ETagOfChange" : "ETag"));
    if (minds_none_match(route)) {
        cJSON *response = put_object(api, responses, "304");

        put_text(api, response, "description", problem_status_text(304));
    }
    if (route->other_status)
        (void)put_success(api, responses, route, route->other_status);
    put_errors(api, responses, route);
}

/* One placeholder of a pattern, e.g. "project_id": an id, or any segment that the edge lets in. */
static cJSON *path_parameter(struct openapi *api, const char *name)
{
    static const struct json_field any = {
        .name = "name",
        .type = JSON_TYPE_STRING,
        .min = 1,
        .max = 255,
        .schema = "{\"pattern\":\"^[^\\\\x00-\\\\x1f\\\\x7f/\\\\\\\\]+$\"}"};
    static const struct json_field id = {.name = "id", .type = JSON_TYPE_ID};
    size_t length = strlen(name);
    bool is_id = length >= 2 && strcmp(name + length - 2, "id") == 0;
    cJSON *parameter = cJSON_CreateObject();

    put_text(api, parameter, "name", name);
    put_text(api, parameter, "in", "path");
    schema_put(&api->set, parameter, "required", cJSON_CreateTrue());
    schema_put(&api->set, parameter, "schema",
               schema_of_field(&api->set, is_id ? &id : &any, SCHEMA_REQUEST));
    return parameter;
}

static void add_path_parameters(struct openapi *api, cJSON *parameters, const char *pattern)
{
    for (const char *open = strchr(pattern, '{'); open; open = strchr(open + 1, '{')) {
        char name[32];

        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(open + 1, "}"), open + 1);
        cJSON_AddItemToArray(parameters, path_parameter(api, name));
    }
}

/* The edge refuses control characters in a target, encoded ones too. */
static cJSON *query_schema(struct openapi *api, const struct json_field *field)
{
    cJSON *schema = schema_of_field(&api->set, field, SCHEMA_REQUEST);

    if (field->type == JSON_TYPE_STRING && !field->choices && !field->schema)
        put_text(api, schema, "pattern", "^[^\\x00-\\x1f\\x7f]*$");
    return schema;
}

static void add_query_parameters(struct openapi *api, cJSON *parameters,
                                 const struct json_table *query)
{
    for (size_t i = 0; query && i < query->count; i++) {
        const struct json_field *field = &query->fields[i];
        cJSON *parameter = cJSON_CreateObject();

        put_text(api, parameter, "name", field->name);
        put_text(api, parameter, "in", "query");
        if (field->about)
            put_text(api, parameter, "description", field->about);
        schema_put(&api->set, parameter, "required", cJSON_CreateBool(field->required));
        schema_put(&api->set, parameter, "schema", query_schema(api, field));
        cJSON_AddItemToArray(parameters, parameter);
    }
}

static void put_parameters(struct openapi *api, cJSON *operation, const struct route *route)
{
    cJSON *parameters = cJSON_CreateArray();

    add_path_parameters(api, parameters, route->pattern);
    add_query_parameters(api, parameters, route->query);
    if (changes(route) && route->role != ROLE_NONE)
        cJSON_AddItemToArray(parameters, reference(api, "parameters", "IdempotencyKey"));
    if (minds_none_match(route))
        cJSON_AddItemToArray(parameters, reference(api, "parameters", "IfNoneMatch"));
    if ((route->flags & ROUTE_VERSIONED) && changes(route))
        cJSON_AddItemToArray(parameters, reference(api, "parameters", "IfMatch"));
    schema_put(&api->set, operation, "parameters", parameters);
}

static void put_body(struct openapi *api, cJSON *operation, const struct route *route)
{
    bool optional = route->flags & ROUTE_BODY_OPTIONAL;
    cJSON *body;
    cJSON *media;

    if (!takes_body(route))
        return;
    body = put_object(api, operation, "requestBody");
    schema_put(&api->set, body, "required", cJSON_CreateBool(!optional));
    if (route->takes) {
        (void)put_object(api, put_object(api, body, "content"), route->takes);
        return;
    }
    media = put_object(api, put_object(api, body, "content"), "application/json");
    schema_put(&api->set, media, "schema",
               route->request ? schema_of_table(&api->set, route->request, SCHEMA_REQUEST)
                              : schema_of_field(&api->set, route->body, SCHEMA_REQUEST));
}

/* By the table, or by the path: "/v1/sandboxes/{id}" is of "sandboxes". */
static void tag_of(const struct route_table *table, const struct route *route, char tag[static 64])
{
    const char *resource = strchr(route->pattern + 1, '/');

    if (table->tag || !resource)
        (void)snprintf(tag, 64, "%s", table->tag ? table->tag : route->pattern + 1);
    else
        (void)snprintf(tag, 64, "%.*s", (int)strcspn(resource + 1, "/"), resource + 1);
}

static void put_tag(struct openapi *api, cJSON *operation, const char *tag)
{
    cJSON *tags = cJSON_CreateArray();
    const cJSON *known;
    cJSON *entry;

    cJSON_AddItemToArray(tags, cJSON_CreateString(tag));
    schema_put(&api->set, operation, "tags", tags);
    cJSON_ArrayForEach(known, api->tags)
    {
        if (strcmp(cJSON_GetStringValue(known->child), tag) == 0)
            return;
    }
    entry = cJSON_CreateObject();
    put_text(api, entry, "name", tag);
    cJSON_AddItemToArray(api->tags, entry);
}

static void put_security(struct openapi *api, cJSON *operation, const struct route *route)
{
    put_text(api, operation, "x-role",
             route->role == ROLE_NONE ? "public" : role_name(route->role));
    schema_put(&api->set, operation, "security",
               schema_literal(&api->set, route->role == ROLE_NONE
                                             ? "[]"
                                             : "[{\"token\":[]},{\"apiKey\":[]}]"));
}

static void put_lower_case(char *text, const char *word)
{
    for (; *word; word++)
        *text++ = (char)(*word | 0x20); /* letters only */
    *text = '\0';
}

static cJSON *path_of(struct openapi *api, const struct route *route)
{
    cJSON *path = cJSON_GetObjectItemCaseSensitive(api->paths, route->pattern);

    return path ? path : put_object(api, api->paths, route->pattern);
}

static void describe_route(struct openapi *api, const struct route_table *table,
                           const struct route *route)
{
    char method[16];
    char tag[64];
    cJSON *operation;

    put_lower_case(method, http_method_name(route->method));
    operation = put_object(api, path_of(api, route), method);
    tag_of(table, route, tag);
    if (route->name)
        put_text(api, operation, "operationId", route->name);
    put_text(api, operation, "summary", route->summary);
    put_tag(api, operation, tag);
    put_security(api, operation, route);
    put_parameters(api, operation, route);
    put_responses(api, operation, route);
}

typedef void (*route_visitor)(struct openapi *api, const struct route_table *table,
                              const struct route *route);

static void visit_routes(struct openapi *api, route_visitor visit)
{
    for (size_t t = 0; t < route_tables_count; t++)
        for (size_t i = 0; !route_tables[t]->is_foreign && i < route_tables[t]->count; i++)
            visit(api, route_tables[t], &route_tables[t]->routes[i]);
}

static void describe_request(struct openapi *api,
                             __attribute__((unused)) const struct route_table *table,
                             const struct route *route)
{
    char method[16];

    put_lower_case(method, http_method_name(route->method));
    put_body(api, cJSON_GetObjectItemCaseSensitive(path_of(api, route), method), route);
}

static void describe_all(struct openapi *api)
{
    cJSON *components = cJSON_GetObjectItemCaseSensitive(api->document, "components");

    api->tags = cJSON_GetObjectItemCaseSensitive(api->document, "tags");
    api->paths = cJSON_GetObjectItemCaseSensitive(api->document, "paths");
    api->responses = cJSON_GetObjectItemCaseSensitive(components, "responses");
    api->set.components = cJSON_GetObjectItemCaseSensitive(components, "schemas");
    describe_problem(api);
    describe_error(api, 0, "Error");
    visit_routes(api, describe_route); /* answers first: see schema_of_table */
    visit_routes(api, describe_request);
}

int openapi_make(char **ret_text, struct error *err)
{
    struct openapi api = {.set = {.err = err}};
    _cleanup_cjson_ cJSON *document = schema_literal(&api.set, frame);
    char *text;

    api.document = document;
    if (document)
        describe_all(&api);
    if (api.set.failed)
        return -1;
    text = cJSON_PrintUnformatted(document);
    if (!text)
        return error_no_memory(err);
    *ret_text = text;
    return 0;
}
