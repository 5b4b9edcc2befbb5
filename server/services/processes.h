/*
 * Commands in containers (docs/api/processes.md): processes that live on their own, and commands
 * whose request waits for their end. Every function is scoped by the caller's tenant and project; a
 * process of a container outside of it is ERR_NOT_FOUND, as a missing one is.
 *
 * A process's row is committed before anything else happens, its end before anybody is told of it.
 * An exec, which nobody is told of before its end, may get its row a little later (process_exec.c).
 * An end is what the agent says of a wait status; one that nobody saw is `lost`.
 */
#ifndef SERVER_SERVICES_PROCESSES_H
#define SERVER_SERVICES_PROCESSES_H

#include "lib/db/store_process.h"
#include "lib/json/json.h"
#include "lib/runtime/agent_process.h"
#include "server/services/command_policies.h"
#include "server/services/services.h"

/* A command to run. Borrowed for the call. */
struct process_spec {
    const char *const *argv;  /* NULL-terminated */
    const char *command_json; /* the same as a JSON array */
    const char *cwd;          /* absolute; NULL: /sandbox */
    const char *user;         /* a name or "uid:gid"; NULL: user */
    const cJSON *environment; /* an object of strings over the sandbox's; NULL: none */
    uint32_t timeout_ms;      /* 0: what the sandbox says */
    uint32_t fallback_ms;     /* of an exec, where that says nothing; 0: what the server says */
    uint64_t max_output;      /* of an exec, of each stream; 0: what the server says */
    bool (*take_memory)(void *user, size_t size); /* see struct agent_exec_request */
    void *memory_user;
    const char *tag; /* NULL: none */
    bool input;      /* stdin is a pipe */
    bool terminal;
    uint16_t rows;
    uint16_t columns;
    uint64_t log_bytes; /* 0: the default, like the next */
    uint32_t log_lines;
    /* COMMAND_NOTICE_SIZE bytes for what the command policy warns of; NULL: nobody reads it */
    char *policy_notice;
};

/* A process as it is now. */
struct process_info {
    struct store_process row;
    bool is_live;              /* its agent knows it: the next is filled */
    struct agent_process live; /* claims of the sandbox */
};

void process_info_free(struct process_info *info);

/* Starts a process that lives on. The caller frees the info, here and below. */
int processes_start(struct services *services, const struct caller *caller,
                    const struct id *sandbox, const struct process_spec *spec,
                    struct process_info *ret_info, struct error *err);

/*
 * The same, and gives it all of its stdin, which is closed behind that; the request's thread is
 * held so long. One that ends, or closes its stdin, before it has read all is no failure. One that
 * does not read for too long is killed: ERR_NOT_POSSIBLE (stdin).
 */
int processes_start_with_input(struct services *services, const struct caller *caller,
                               const struct id *sandbox, const struct process_spec *spec,
                               const void *data, size_t size, struct process_info *ret_info,
                               struct error *err);

int processes_get(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct id *id, struct process_info *ret_info, struct error *err);

/* The main command, as a process whose id is the sandbox's. Its end is known once the sandbox has
 * stopped. */
int processes_get_main(struct services *services, const struct caller *caller,
                       const struct id *sandbox, struct process_info *ret_info, struct error *err);

struct process_info_list {
    struct process_info *items; /* their rows' strings belong to `rows` */
    size_t count;
    struct store_process_list rows;
};

void process_info_list_free(struct process_info_list *list);

/* At most `filter->limit`, the newest first; *ret_more says that another page follows. */
int processes_list(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct store_process_filter *filter, struct process_info_list *ret_list,
                   bool *ret_more, struct error *err);

/* Sends a signal (1 to AGENT_SIGNAL_MAX). ERR_CONFLICT when the process has ended, here and in the
 * next two. */
int processes_signal(struct services *services, const struct caller *caller,
                     const struct id *sandbox, const struct id *id, int signum,
                     enum agent_signal_target target, struct error *err);

/* Gives bytes to stdin, or types them; closes it after them with `close_after`. */
int processes_input(struct services *services, const struct caller *caller,
                    const struct id *sandbox, const struct id *id, const void *data, size_t size,
                    bool close_after, struct error *err);

int processes_resize(struct services *services, const struct caller *caller,
                     const struct id *sandbox, const struct id *id, uint16_t rows, uint16_t columns,
                     struct error *err);

/* As processes_get, once the process has ended or `timeout_ms` have passed. */
int processes_wait(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct id *id, uint32_t timeout_ms, struct process_info *ret_info,
                   struct error *err);

/* What came of a command. Owned by the caller: process_result_free. */
struct process_result {
    struct id id;
    char *out;
    size_t out_size;
    char *err;
    size_t err_size;
    enum process_state state; /* lost: it was killed unseen after its time limit */
    int exit_code;            /* -1: none */
    int signal;               /* 0: none */
    bool timed_out;
    bool truncated;
    int64_t wall_usec;
};

void process_result_free(struct process_result *result);

/*
 * Runs a command and waits for its end; the request's thread is held so long. ERR_INVALID_FIELD
 * when it cannot be executed, ERR_CONFLICT when the sandbox does not run.
 */
int processes_exec(struct services *services, const struct caller *caller, const struct id *sandbox,
                   const struct process_spec *spec, const void *stdin_data, size_t stdin_size,
                   struct process_result *ret_result, struct error *err);

#endif
