/* The documents that derive from the tables, for `make docs`. */
#include "lib/base/util.h"
#include "server/routes/router.h"

static const char *method_of(const struct route *route)
{
    return route->flags & ROUTE_ANY_METHOD ? "any" : http_method_name(route->method);
}

static const char *who_may(const struct route_table *table, const struct route *route)
{
    if (route->role == ROLE_NONE)
        return "public";
    return table->credential == ROUTE_EXECUTOR ? "the sandbox's secret" : role_name(route->role);
}

void router_print_routes(FILE *out)
{
    (void)fputs("# Routes\n\nDerived from the server's route tables by `make docs`.\n\n"
                "| method | path | least role | |\n|---|---|---|---|\n",
                out);
    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const struct route *route = &route_tables[t]->routes[i];

            (void)fprintf(out, "| %s | `%s` | %s | %s |\n", method_of(route), route->pattern,
                          who_may(route_tables[t], route), route->summary);
        }
    }
    (void)fputs("\n`HEAD` goes wherever `GET` does; `OPTIONS` names the methods of a path.\n", out);
}

void router_print_errors(FILE *out)
{
    static const struct {
        enum error_code code;
        const char *meaning;
    } codes[] = {
#define ERROR_ROW(symbol, wire, status, meaning) {symbol, meaning},
        ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
    };

    (void)fputs("# Error codes\n\nDerived from `include/atoll/error.h` by `make docs`.\n\n"
                "| code | status | meaning |\n|---|---|---|\n",
                out);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        (void)fprintf(out, "| `%s` | %d | %s |\n", error_code_name(codes[i].code),
                      error_code_status(codes[i].code), codes[i].meaning);
}
