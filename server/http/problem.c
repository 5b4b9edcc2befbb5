#include "server/http/problem.h"

#include "lib/base/util.h"
#include "lib/json/json.h"

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *problem_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

char *problem_format(const struct error *error, const char *request_id)
{
    int status = error_code_status(error->code);
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();

    if (!body || !cJSON_AddStringToObject(body, "type", "about:blank") ||
        !cJSON_AddStringToObject(body, "title", problem_status_text(status)) ||
        !cJSON_AddNumberToObject(body, "status", status) ||
        !cJSON_AddStringToObject(body, "code", error_code_name(error->code)) ||
        !cJSON_AddStringToObject(body, "detail", error->message) ||
        (error->field[0] != '\0' && !cJSON_AddStringToObject(body, "field", error->field)) ||
        ((error->limit > 0 || error->code == ERR_QUOTA) &&
         (!cJSON_AddNumberToObject(body, "limit", (double)error->limit) ||
          !cJSON_AddNumberToObject(body, "used", (double)error->used))) ||
        !cJSON_AddStringToObject(body, "request_id", request_id) ||
        /* Clients of the older dialects read `error`. */
        !cJSON_AddStringToObject(body, "error", error->message))
        return NULL;
    return cJSON_PrintUnformatted(body);
}
