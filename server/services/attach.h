/*
 * Streams of what processes write (docs/api/processes.md). One thread moves the output of all of
 * them, from the sandboxes' agents, or from the logs of sandboxes that have ended, into streams; a
 * second records the ends of processes, which must be durable before a stream tells them. That of a
 * main command is recorded with its sandbox's stop: who follows it waits for that.
 *
 * A stream may be a WebSocket: then its client also types, sends signals and changes the size of
 * the terminal, and is asked now and then whether he is there.
 *
 * A reader that is slow holds back nothing but its own reading of the log. When the log drops
 * output that he had not come to, he is told how much.
 */
#ifndef SERVER_SERVICES_ATTACH_H
#define SERVER_SERVICES_ATTACH_H

#include "server/services/processes.h"

struct attach;
struct stream;

/* Starts the threads. `services` must outlive them. */
int attach_start(struct services *services, struct attach **ret_attach, struct error *err);

/* Stops them; their streams are broken. NULL is allowed. */
void attach_stop(struct attach *attach);

enum attach_part_kind { ATTACH_STATUS, ATTACH_OUTPUT, ATTACH_EXIT };

/* A part of a stream. */
struct attach_part {
    enum attach_part_kind kind;
    const struct store_process *row; /* the process; of EXIT with its end */
    enum agent_stream stream;        /* OUTPUT, like the following */
    uint64_t offset;                 /* of the first byte, among all output */
    uint64_t gap;                    /* bytes before it that were wanted and are gone */
    int64_t time_usec;               /* Unix time at which it was read from the process */
    const char *bytes;
    size_t size;
    void *user; /* of the options */
};

/* A part as it stands in a stream, allocated, *ret_size bytes; NULL: it does not show there. */
typedef char *(*attach_format)(const struct attach_part *part, size_t *ret_size);

enum attach_command_kind { ATTACH_RESIZE, ATTACH_SIGNAL, ATTACH_CLOSE_STDIN };

/* What the client of a WebSocket wants done. */
struct attach_command {
    enum attach_command_kind kind;
    uint16_t rows; /* RESIZE, like the next */
    uint16_t columns;
    int signum; /* SIGNAL, like the next */
    enum agent_signal_target target;
};

/* Reads a text message of his. */
typedef int (*attach_parse)(const char *text, size_t size, struct attach_command *ret_command,
                            struct error *err);

/* What he is told of one that is refused, allocated; NULL when memory is short. */
typedef char *(*attach_complain)(const struct error *err, size_t *ret_size);

struct attach_options {
    uint64_t since; /* offset of the first byte wanted */
    uint32_t tail;  /* not 0: the last so many lines instead */
    bool follow;    /* go on until the process has ended; else until the log's present end */
    bool no_stdout;
    bool no_stderr;
    bool is_main;          /* of the main command, whatever the id */
    bool has_status;       /* begin with a STATUS */
    bool kill_when_gone;   /* what it started dies with the client's connection */
    const char *heartbeat; /* NULL: none */
    attach_format format;  /* of a WebSocket: of the messages, binary ones of OUTPUT */
    bool is_socket;        /* the stream is a WebSocket's, with the next two */
    attach_parse parse;
    attach_complain complain;
    /* Passed to the format, which one thread calls at a time; the stream's, also on failure. */
    void *user;
    void (*release)(void *user); /* NULL is allowed */
};

enum { ATTACH_TAIL_MAX = 10 * 1000 };

/*
 * Makes a stream of a process's output. ERR_CONFLICT when there is nothing to read it from at
 * present. The stream is the caller's; the threads have a reference of their own.
 */
int attach_follow(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct id *id, const struct attach_options *options,
                  struct stream **ret_stream, struct error *err);

#endif
