#include "server/handlers/executor.h"

#include "lib/base/util.h"
#include "server/routes/router.h"

/*
 * The executor dialect. Its paths are reached with the sandbox in a header, in the path, and, for
 * clients that add the first form's prefix to whatever address they are given, in both.
 */
#define OPERATION(verb_, method_, role_, handler_, summary_, flags_)                               \
    {.method = (method_),                                                                          \
     .pattern = "/koyeb-sandbox/" verb_,                                                           \
     .role = (role_),                                                                              \
     .handler = (handler_),                                                                        \
     .summary = (summary_),                                                                        \
     .flags = (flags_)},                                                                           \
        {.method = (method_),                                                                      \
         .pattern = "/s/{sandbox}/" verb_,                                                         \
         .role = (role_),                                                                          \
         .handler = (handler_),                                                                    \
         .summary = (summary_),                                                                    \
         .flags = (flags_)},                                                                       \
    {                                                                                              \
        .method = (method_), .pattern = "/s/{sandbox}/koyeb-sandbox/" verb_, .role = (role_),      \
        .handler = (handler_), .summary = (summary_), .flags = (flags_)                            \
    }

#define ANY(verb_, handler_, summary_)                                                             \
    OPERATION(verb_, HTTP_POST, ROLE_MEMBER, handler_, summary_, ROUTE_ANY_METHOD)

static const struct route routes[] = {
    OPERATION("health", HTTP_GET, ROLE_NONE, handle_executor_health, "Whether the service answers",
              ROUTE_ANY_METHOD),
    ANY("run", handle_executor_run, "Run a shell command and wait for its end"),
    ANY("run_streaming", handle_executor_run_streaming, "Run a shell command and follow it"),
    ANY("write_file", handle_executor_write_file, "Write a file"),
    ANY("read_file", handle_executor_read_file, "Read a file"),
    ANY("delete_file", handle_executor_delete_file, "Remove a file or an empty folder"),
    ANY("delete_dir", handle_executor_delete_dir, "Remove a folder with all that is in it"),
    ANY("make_dir", handle_executor_make_dir, "Make a folder, and those above it"),
    ANY("list_dir", handle_executor_list_dir, "List a folder"),
    ANY("bind_port", handle_executor_port, "Not supported"),
    ANY("unbind_port", handle_executor_port, "Not supported"),
    OPERATION("start_process", HTTP_POST, ROLE_MEMBER, handle_executor_start_process,
              "Start a process that lives on", 0),
    OPERATION("list_processes", HTTP_GET, ROLE_MEMBER, handle_executor_list_processes,
              "List the processes that were started so", 0),
    OPERATION("kill_process", HTTP_POST, ROLE_MEMBER, handle_executor_kill_process,
              "Kill a process", 0),
    OPERATION("process_logs_streaming", HTTP_GET, ROLE_MEMBER, handle_executor_process_logs,
              "Follow what a process writes", 0),
};

const struct route_table executor_routes = {
    .routes = routes,
    .count = ARRAY_SIZE(routes),
    .credential = ROUTE_EXECUTOR,
    .is_foreign = true,
    .respond_error = executor_respond_error,
};
