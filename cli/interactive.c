#include "cli/interactive.h"

#include "cli/channel.h"
#include "cli/console.h"
#include "cli/outcome.h"
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
    OUTPUT_HEAD = 9,     /* the stream, and the offset in 8 bytes: docs/api/processes.md */
    SILENCE_MS = 45000,  /* the service pings each 10 s */
    LOG_LINES = 1000000, /* the most: only bytes limit what waits for us */
    INPUT_PIECE = 8192,
};

/* A command that runs on our streams. */
struct session {
    struct channel *channel;
    struct console *console; /* NULL: without a terminal */
    int signals;             /* those of `endings`, SIGWINCH and SIGCONT, as a descriptor */
    bool has_input;          /* there may be more */
    bool has_ended;
    int exit;        /* once it has ended */
    int ending;      /* the signal that ends us; 0: none */
    int write_error; /* errno; 0: none */
    uint64_t offset; /* behind the output that came */
    uint64_t missed; /* bytes that were gone before we read them */
};

static const int endings[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

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

/* A command that has ended, or reads no more, is no failure: the rest of the input is not for it.
 */
static void take_refusal(struct session *session, const cJSON *word)
{
    const char *code = cJSON_GetStringValue(table_member(word, "code"));
    const char *detail = cJSON_GetStringValue(table_member(word, "detail"));

    if (code && (strcmp(code, "conflict") == 0 || strcmp(code, "not_found") == 0))
        session->has_input = false;
    else
        (void)fprintf(stderr, "atoll: %s\r\n", detail ? detail : "a message was refused");
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
    if (!session->console)
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

static void follow(struct session *session)
{
    while (channel_move(session->channel) && !session->has_ended && session->ending == 0 &&
           session->write_error == 0 && (session->missed == 0 || session->console))
        if (!step(session))
            return;
}

static int run_session(struct session *session, const char *process, struct error *err)
{
    bool is_incomplete;

    if (session->console)
        say_size(session);
    follow(session);
    is_incomplete = session->missed > 0 && !session->console;
    if (session->has_ended && !is_incomplete)
        return session->exit;
    if (!session->has_ended && (is_incomplete || session->write_error != 0))
        session->ending = SIGPIPE;
    if (is_incomplete)
        return error_set(err, ERR_CONFLICT,
                         "it wrote faster than it was read: %" PRIu64 " bytes are gone",
                         session->missed);
    if (session->write_error != 0 && session->write_error != EPIPE)
        return error_set_errno(err, session->write_error, "cannot write what it writes");
    if (session->ending != 0)
        return 0;
    return error_set(err, ERR_UNAVAILABLE, "the connection broke: the command goes on as %s",
                     process);
}

/* As nohup has it. */
static bool is_ignored(int number)
{
    struct sigaction present;

    return sigaction(number, NULL, &present) == 0 && present.sa_handler == SIG_IGN;
}

/* From here on they are read from the descriptor, so that the terminal is restored first. */
static int hold_signals(int *ret_fd, struct error *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGWINCH);
    (void)sigaddset(&set, SIGCONT);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (!is_ignored(endings[i]))
            (void)sigaddset(&set, endings[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd >= 0 ? 0 : error_set_errno(err, errno, "cannot watch signals");
}

/* Attaches to the process; the signal that ends us in *ret_ending. */
static int attach(const struct api *api, const char *sandbox, const char *process,
                  bool has_terminal, int *ret_ending, struct error *err)
{
    _cleanup_console_ struct console console = {.is_raw = false};
    _cleanup_channel_ struct channel *channel = NULL;
    _cleanup_close_ int signals = -1;
    struct session session = {.console = has_terminal ? &console : NULL, .has_input = true};
    char path[PATH_SIZE];
    int result;

    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes/%s/attach?since=0", sandbox,
                   process);
    if (hold_signals(&signals, err) < 0 ||
        channel_open(api, path, take_message, &session, &channel, err) < 0 ||
        (has_terminal && console_make_raw(&console, err) < 0))
        return -1;
    session.channel = channel;
    session.signals = signals;
    result = run_session(&session, process, err);
    *ret_ending = session.ending;
    return result;
}

static void release_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
}

/*
 * Our end is the command's: of a terminal that has gone, of a pipe that nobody reads. By a request
 * of its own, since nothing acknowledges what the WebSocket took. Another signal ends us meanwhile.
 */
static void pass_ending(struct api *api, const char *sandbox, const char *process, int number)
{
    _cleanup_cjson_ cJSON *answer = NULL;
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    char path[PATH_SIZE];
    struct error err;

    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes/%s/signal", sandbox, process);
    cJSON_AddNumberToObject(body, "signal", number);
    if (api_call(api, "POST", path, body, &answer, &err) < 0)
        (void)fprintf(stderr, "atoll: the command goes on as %s: %s\n", process, err.message);
}

/* Ends us as the signal does. */
static int die(int number)
{
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    return 128 + number;
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
    const char *process;
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
    process = cJSON_GetStringValue(table_member(started, "id"));
    if (!process || api_check_id(process, err) < 0)
        return error_set(err, ERR_CONFLICT, "the service does not say which process it started");
    result = attach(api, sandbox, process, has_terminal, &ending, err);
    release_signals();
    if (ending != 0)
        pass_ending(api, sandbox, process, has_terminal ? SIGHUP : ending);
    return ending != 0 && result >= 0 ? die(ending) : result;
}
