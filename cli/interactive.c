#include "cli/interactive.h"

#include "cli/channel.h"
#include "cli/console.h"
#include "cli/ending.h"
#include "cli/outcome.h"
#include "cli/plain.h"
#include "cli/table.h"
#include "lib/base/util.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

enum {
    PATH_SIZE = 256,
    OUTPUT_HEAD = 9,    /* the stream, and the offset in 8 bytes: docs/api/processes.md */
    SILENCE_MS = 45000, /* the service pings each 10 s */
    TRIES_MAX = 10,
    PAUSE_MS = 1000,            /* between two tries */
    STEADY_USEC = 10 * 1000000, /* a connection that lasted so long makes the tries new */
    LOG_LINES = 1000000,        /* the most: only bytes limit what waits for us */
    INPUT_PIECE = 8192,
};

/* A command that runs on our streams. */
struct session {
    struct api *api;
    const char *sandbox;
    const char *process;
    struct channel *channel;
    int64_t opened_usec;     /* when it was opened, of the monotonic clock */
    int tries;               /* to open it, since one lasted */
    struct console *console; /* NULL: without a terminal */
    int signals;             /* those that end us, SIGWINCH and SIGCONT, as a descriptor */
    bool has_input;          /* there may be more */
    bool has_sent;           /* some input: nothing tells whether it arrived */
    bool has_ended;
    int exit;        /* once it has ended */
    int ending;      /* the signal that ends us; 0: none */
    int write_error; /* errno; 0: none */
    uint64_t offset; /* behind the output that came */
    uint64_t missed; /* bytes that were gone before we read them */
};

/* --- from the command */

/* A log has an end: who reads slower than the command writes misses what was dropped of it. */
static void count_output(struct session *session, const char *head, size_t size)
{
    uint64_t offset;

    memcpy(&offset, head + 1, sizeof(offset));
    offset = be64toh(offset);
    if (offset > session->offset)
        session->missed += offset - session->offset;
    session->offset = offset + size;
}

static void take_output(struct session *session, const char *data, size_t size)
{
    int fd = size > 0 && data[0] == 2 ? STDERR_FILENO : STDOUT_FILENO;

    if (size <= OUTPUT_HEAD || session->write_error != 0)
        return;
    count_output(session, data, size - OUTPUT_HEAD);
    if (write_all(fd, data + OUTPUT_HEAD, size - OUTPUT_HEAD, NULL) < 0)
        session->write_error = errno != 0 ? errno : EIO;
}

/* On a line of its own, also where a line's end does not go to its begin. */
static void say_aside(const struct session *session, const char *message)
{
    if (session->console)
        (void)fputc('\r', stderr);
    plain_complain(message);
    if (session->console)
        (void)fputc('\r', stderr);
}

/* A command that has ended, or reads no more, is no failure: the rest of the input is not for it.
 */
static void take_refusal(struct session *session, const cJSON *word)
{
    const char *code = cJSON_GetStringValue(table_member(word, "code"));
    const char *detail = cJSON_GetStringValue(table_member(word, "detail"));

    if (code && (strcmp(code, "conflict") == 0 || strcmp(code, "not_found") == 0))
        session->has_input = false;
    else
        say_aside(session, detail ? detail : "a message was refused");
}

static void take_word(struct session *session, const char *text, size_t size)
{
    _cleanup_cjson_ cJSON *word = cJSON_ParseWithLength(text, size);
    const char *type = cJSON_GetStringValue(table_member(word, "type"));

    if (type && strcmp(type, "exit") == 0) {
        session->has_ended = true;
        session->exit = outcome_exit(word);
    } else if (type && strcmp(type, "error") == 0) {
        take_refusal(session, word);
    }
}

static void take_message(void *user, enum channel_kind kind, const char *data, size_t size)
{
    if (kind == CHANNEL_BINARY)
        take_output(user, data, size);
    else
        take_word(user, data, size);
}

/* --- to the command */

static void say(struct session *session, const char *text)
{
    channel_send(session->channel, CHANNEL_TEXT, text, strlen(text));
}

static void say_size(struct session *session)
{
    char text[96];
    unsigned columns;
    unsigned rows;

    console_size(&rows, &columns);
    (void)snprintf(text, sizeof(text), "{\"type\":\"resize\",\"rows\":%u,\"cols\":%u}", rows,
                   columns);
    say(session, text);
}

static void pass_input(struct session *session)
{
    char piece[INPUT_PIECE];
    ssize_t got = read(STDIN_FILENO, piece, sizeof(piece));

    if (got > 0) {
        channel_send(session->channel, CHANNEL_BINARY, piece, (size_t)got);
        session->has_sent = true;
        return;
    }
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    session->has_input = false;
    if (!session->console)
        say(session, "{\"type\":\"close_stdin\"}");
}

static void take_signal(struct session *session)
{
    struct signalfd_siginfo info;

    if (read(session->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT) {
        session->ending = (int)info.ssi_signo;
        return;
    }
    if (!session->console || !session->channel)
        return;
    if (info.ssi_signo == SIGCONT) /* the shell that stopped us has made it its own */
        (void)console_make_raw(session->console, NULL);
    say_size(session);
}

/* --- the session */

/* Waits until there is something to do, and does it; false when the connection is silent. */
static bool step(struct session *session)
{
    bool sends = channel_is_sending(session->channel);
    struct pollfd ready[] = {
        {.fd = session->signals, .events = POLLIN},
        {.fd = channel_fd(session->channel), .events = (short)(POLLIN | (sends ? POLLOUT : 0))},
        /* What the command does not read yet waits where it is. */
        {.fd = session->has_input && !sends ? STDIN_FILENO : -1, .events = POLLIN},
    };
    int count = poll(ready, ARRAY_SIZE(ready), SILENCE_MS);

    if (count <= 0)
        return count < 0 && errno == EINTR;
    if (ready[0].revents)
        take_signal(session);
    if (ready[2].revents)
        pass_input(session);
    return true;
}

/* Nothing more is wanted of the command. */
static bool is_over(const struct session *session)
{
    return session->has_ended || session->ending != 0 || session->write_error != 0 ||
           (session->missed > 0 && !session->console);
}

static void follow(struct session *session)
{
    while (session->channel && channel_move(session->channel) && !is_over(session))
        if (!step(session))
            return;
}

/* --- attaching */

/* Attaches behind the output that came. */
static int attach(struct session *session, struct error *err)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes/%s/attach?since=%" PRIu64,
                   session->sandbox, session->process, session->offset);
    if (channel_open(session->api, path, take_message, session, &session->channel, err) < 0 ||
        (session->console && console_make_raw(session->console, err) < 0))
        return -1;
    session->opened_usec = monotonic_usec();
    if (session->console)
        say_size(session);
    else if (!session->has_input)
        say(session, "{\"type\":\"close_stdin\"}");
    return 0;
}

/* Lets the service come back; a signal ends it. */
static void pause_for(struct session *session, int milliseconds)
{
    struct pollfd ready = {.fd = session->signals, .events = POLLIN};

    if (poll(&ready, 1, milliseconds) > 0)
        take_signal(session);
}

/*
 * Attaches once more after the connection broke. Of a terminal the last keys may be missing, which
 * its user sees; input that is not typed must not have a hole that nobody sees.
 */
static int attach_again(struct session *session, struct error *err)
{
    channel_free(session->channel);
    session->channel = NULL;
    (void)error_set(err, ERR_UNAVAILABLE, "the connection broke");
    if (session->has_sent && !session->console)
        return error_set(err, ERR_UNAVAILABLE,
                         "the connection broke, and its last input may not have arrived");
    if (monotonic_usec() - session->opened_usec >= STEADY_USEC)
        session->tries = 0;
    if (session->console) {
        console_restore(session->console);
        say_aside(session,
                  "the connection broke: attaching again; what was typed last may be missing");
    }
    while (session->tries++ < TRIES_MAX && err->code == ERR_UNAVAILABLE) {
        if (session->tries > 1)
            pause_for(session, PAUSE_MS);
        if (session->ending != 0 || attach(session, err) == 0)
            return 0;
    }
    return -1;
}

static int follow_on(struct session *session, struct error *err)
{
    follow(session);
    while (!is_over(session)) {
        if (attach_again(session, err) < 0)
            return -1;
        follow(session);
    }
    return 0;
}

static int run_session(struct session *session, struct error *err)
{
    int result = follow_on(session, err);
    bool is_incomplete = session->missed > 0 && !session->console;

    if (result < 0 || (session->has_ended && !is_incomplete))
        return result < 0 ? -1 : session->exit;
    if (!session->has_ended && (is_incomplete || session->write_error != 0))
        session->ending = SIGPIPE;
    if (is_incomplete)
        return error_set(err, ERR_CONFLICT,
                         "it wrote faster than it was read: %" PRIu64 " bytes are gone",
                         session->missed);
    if (session->write_error != 0 && session->write_error != EPIPE)
        return error_set_errno(err, session->write_error, "cannot write what it writes");
    return 0;
}

/* From here on they are read from the descriptor, so that the terminal is restored first. */
static int hold_signals(int *ret_fd, struct error *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGWINCH);
    (void)sigaddset(&set, SIGCONT);
    ending_add_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd >= 0 ? 0 : error_set_errno(err, errno, "cannot watch signals");
}

/* Runs the session of a process: *followed says how far it came, *ret_ending which signal ends us;
 * 0: none. */
static int run_attached(struct api *api, bool has_terminal, struct followed *followed,
                        int *ret_ending, struct error *err)
{
    _cleanup_console_ struct console console = {.is_raw = false};
    _cleanup_close_ int signals = -1;
    struct session session = {
        .api = api,
        .sandbox = followed->sandbox,
        .process = followed->process,
        .console = has_terminal ? &console : NULL,
        .has_input = true,
    };
    int result = hold_signals(&signals, err);

    session.signals = signals;
    if (result == 0 && attach(&session, err) < 0 && err->code != ERR_UNAVAILABLE)
        result = -1;
    if (result == 0)
        result = run_session(&session, err);
    if (result < 0 && !session.has_ended && session.ending == 0 && err->code != ERR_NOT_FOUND)
        (void)outcome_left(session.sandbox, session.process, session.offset, err);
    channel_free(session.channel);
    followed->offset = session.offset;
    *ret_ending = session.ending;
    return result;
}

static void release_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
}

static void describe_terminal(cJSON *body)
{
    cJSON *environment = cJSON_GetObjectItemCaseSensitive(body, "environment");
    cJSON *pty = cJSON_AddObjectToObject(body, "pty");
    const char *kind = getenv("TERM");
    unsigned columns;
    unsigned rows;

    console_size(&rows, &columns);
    cJSON_AddNumberToObject(pty, "rows", rows);
    cJSON_AddNumberToObject(pty, "cols", columns);
    if (!environment)
        environment = cJSON_AddObjectToObject(body, "environment");
    if (kind && !cJSON_HasObjectItem(environment, "TERM"))
        cJSON_AddStringToObject(environment, "TERM", kind);
}

int interactive_run(struct api *api, const char *sandbox, cJSON *body, bool has_terminal,
                    struct error *err)
{
    _cleanup_cjson_ cJSON *started = NULL;
    struct followed followed = {.sandbox = sandbox};
    char path[PATH_SIZE];
    int ending = 0;
    int result;

    if (has_terminal && !isatty(STDIN_FILENO))
        return error_set(err, ERR_BAD_REQUEST, "exec: -t needs a terminal as standard input");
    if (has_terminal)
        describe_terminal(body);
    else
        cJSON_AddTrueToObject(body, "stdin");
    cJSON_AddNumberToObject(body, "log_lines", LOG_LINES);
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes", sandbox);
    if (api_call(api, "POST", path, body, &started, err) < 0)
        return -1;
    followed.process = cJSON_GetStringValue(table_member(started, "id"));
    if (!followed.process || api_check_id(followed.process, err) < 0)
        return error_set(err, ERR_CONFLICT, "the service does not say which process it started");
    result = run_attached(api, has_terminal, &followed, &ending, err);
    release_signals();
    /* What the WebSocket took nothing acknowledges: it goes by a request. */
    if (ending != 0)
        ending_pass(api, &followed, has_terminal ? SIGHUP : ending);
    return ending != 0 && result >= 0 ? ending_die(ending) : result;
}
