#include "tests/unit/agent/process_fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POLL_MS = 600 * 1000 };

struct bench bench_begin(void **state)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};
    const struct agent_fixture *fixture = agent_group(state);

    return (struct bench){
        .fixture = fixture,
        .client = agent_fixture_connect(fixture),
        .request = {.env = environment,
                    .cwd = "/",
                    .user = "65534:65534",
                    .grace_ms = 200,
                    .log_bytes = 1 << 20,
                    .log_lines = 1000 * 1000},
    };
}

void bench_end(struct bench *bench)
{
    agent_client_free(bench->client);
}

int bench_try(struct bench *bench, const char *const *argv)
{
    bench->request.argv = argv;
    assert_int_equal(id_new(&bench->request.id, &bench->err), 0);
    return agent_process_start(bench->client, &bench->request, agent_fixture_deadline(),
                               &bench->process, &bench->err);
}

void bench_start(struct bench *bench, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    if (bench_try(bench, argv) < 0)
        fail_msg("%s: %s", script, bench->err.message);
}

void bench_wait(struct bench *bench)
{
    if (agent_process_wait(bench->client, &bench->request.id, UINT32_MAX, agent_fixture_deadline(),
                           &bench->process, &bench->err) < 0)
        fail_msg("%s", bench->err.message);
    assert_int_equal(bench->process.state, AGENT_PROCESS_ENDED);
}

struct agent_attach *bench_attach(const struct bench *bench,
                                  const struct agent_attach_options *options)
{
    struct agent_attach *attach = NULL;
    struct error err;

    if (agent_attach_begin(agent_fixture_connect(bench->fixture), &bench->request.id, options,
                           &attach, &err) < 0)
        fail_msg("%s", err.message);
    return attach;
}

int bench_event(struct agent_attach *attach, struct agent_attach_event *ret_event,
                struct error *err)
{
    for (;;) {
        struct pollfd watched = {.fd = agent_attach_fd(attach), .events = POLLIN};
        int result = agent_attach_next(attach, ret_event, err);

        if (result != 0)
            return result < 0 ? -1 : 0;
        if (poll(&watched, 1, POLL_MS) != 1)
            fail_msg("nothing came");
        if (agent_attach_receive(attach, err) < 0)
            return -1;
    }
}

static void append(char **bytes, size_t *size, const struct agent_attach_event *event)
{
    *bytes = realloc(*bytes, *size + event->size + 1);
    assert_non_null(*bytes);
    memcpy(*bytes + *size, event->bytes, event->size);
    *size += event->size;
    (*bytes)[*size] = '\0';
}

struct transcript bench_read(const struct bench *bench, uint64_t offset)
{
    const struct agent_attach_options options = {.offset = offset, .follow = true};
    struct agent_attach *attach = bench_attach(bench, &options);
    struct transcript transcript = {.bytes = calloc(1, 1), .out = calloc(1, 1)};
    struct agent_attach_event event;
    struct error err;

    for (;;) {
        if (bench_event(attach, &event, &err) < 0)
            fail_msg("%s", err.message);
        if (event.kind == AGENT_ATTACH_DONE)
            break;
        if (event.kind != AGENT_ATTACH_OUTPUT)
            continue;
        if (transcript.size == 0)
            transcript.first = event.offset;
        transcript.gap += event.gap;
        append(&transcript.bytes, &transcript.size, &event);
        if (event.stream == AGENT_STREAM_STDOUT)
            append(&transcript.out, &transcript.out_size, &event);
    }
    transcript.process = event.process;
    agent_attach_free(attach);
    return transcript;
}

void transcript_free(struct transcript *transcript)
{
    free(transcript->bytes);
    free(transcript->out);
}
