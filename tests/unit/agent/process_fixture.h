/* Processes for the tests of the agent, and what they wrote. */
#ifndef TESTS_UNIT_AGENT_PROCESS_FIXTURE_H
#define TESTS_UNIT_AGENT_PROCESS_FIXTURE_H

#include "lib/runtime/agent_attach.h"
#include "tests/unit/agent/agent_fixture.h"

struct bench {
    const struct agent_fixture *fixture;
    struct agent_client *client;
    struct agent_start_request request; /* for the next start; its id is new each time */
    struct agent_process process;       /* as the last call told it */
    struct error err;
};

/* What a reader got. */
struct transcript {
    char *bytes; /* both streams in the order of their offsets, and a NUL */
    size_t size;
    char *out; /* of stdout alone, and a NUL */
    size_t out_size;
    uint64_t first; /* offset of the first byte */
    uint64_t gap;   /* sum of the gaps */
    struct agent_process process;
};

/* As user nobody in "/" of the group's agent. */
struct bench bench_begin(void **state);
void bench_end(struct bench *bench);

/* Starts `sh -c script`; bench_try says whether that worked. */
int bench_try(struct bench *bench, const char *const *argv);
void bench_start(struct bench *bench, const char *script);

/* Waits until the process has ended. */
void bench_wait(struct bench *bench);

/* Another reader of the process, on a connection of its own. */
struct agent_attach *bench_attach(const struct bench *bench,
                                  const struct agent_attach_options *options);

/* The next event of a reader, awaited. -1 with `err`. */
int bench_event(struct agent_attach *attach, struct agent_attach_event *ret_event,
                struct error *err);

/* Everything from `offset` until the process has ended. */
struct transcript bench_read(const struct bench *bench, uint64_t offset);
void transcript_free(struct transcript *transcript);

#endif
