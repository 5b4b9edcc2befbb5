#include "cli/ending.h"

#include "cli/outcome.h"
#include "cli/plain.h"
#include "lib/base/util.h"

enum { PATH_SIZE = 256 };

static const int endings[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

static volatile sig_atomic_t came;

static bool is_ignored(int number)
{
    struct sigaction present;

    return sigaction(number, NULL, &present) == 0 && present.sa_handler == SIG_IGN;
}

void ending_add_signals(sigset_t *set)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (!is_ignored(endings[i]))
            (void)sigaddset(set, endings[i]);
}

static void remember(int number)
{
    came = number;
}

void ending_watch(void)
{
    const struct sigaction action = {.sa_handler = remember, .sa_flags = 0};

    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (!is_ignored(endings[i]))
            (void)sigaction(endings[i], &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Who does not want to wait ends us with the next one. */
static void release(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (!is_ignored(endings[i]))
            (void)signal(endings[i], SIG_DFL);
}

const volatile sig_atomic_t *ending_came(void)
{
    return &came;
}

void ending_pass(struct api *api, const struct followed *followed, int number)
{
    _cleanup_cjson_ cJSON *answer = NULL;
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    char path[PATH_SIZE];
    struct error err;

    release();
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes/%s/signal", followed->sandbox,
                   followed->process);
    cJSON_AddNumberToObject(body, "signal", number);
    /* It may have ended meanwhile: that is as good. */
    if (api_call(api, "POST", path, body, &answer, &err) == 0 || err.code == ERR_NOT_FOUND)
        return;
    (void)outcome_left(followed->sandbox, followed->process, followed->offset, &err);
    plain_complain(err.message);
}

int ending_die(int number)
{
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    return 128 + number;
}
