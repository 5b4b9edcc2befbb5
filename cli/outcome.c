#include "cli/outcome.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "lib/base/base64.h"

#include <atoll/cleanup.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum { EXIT_CODE_MAX = 255 };

void outcome_write(FILE *out, const cJSON *object, const char *text, const char *base64)
{
    const char *plain = cJSON_GetStringValue(table_member(object, text));
    const char *encoded = cJSON_GetStringValue(table_member(object, base64));
    _cleanup_free_ char *data = NULL;
    size_t size;

    if (encoded && base64_decode(encoded, strlen(encoded), &data, &size))
        (void)fwrite(data, 1, size, out);
    else if (plain)
        (void)fputs(plain, out);
}

/* The shell's way: 128 and the number of the signal. */
static int signal_exit(const char *name)
{
    for (int number = 1; name && number < NSIG; number++) {
        const char *known = sigabbrev_np(number);

        if (known && strncmp(name, "SIG", 3) == 0 && strcmp(name + 3, known) == 0)
            return 128 + number;
    }
    return CLI_RUN_FAILED;
}

int outcome_exit(const cJSON *result)
{
    const cJSON *code = table_member(result, "exit_code");

    if (cJSON_IsTrue(table_member(result, "timed_out")))
        return CLI_RUN_TIMED_OUT;
    if (!cJSON_IsNumber(code))
        return signal_exit(cJSON_GetStringValue(table_member(result, "signal")));
    /* exit(3) keeps eight bits: of 256 it would make a success. */
    return code->valueint >= 0 && code->valueint <= EXIT_CODE_MAX ? code->valueint : CLI_RUN_FAILED;
}

int outcome_left(const char *sandbox, const char *process, uint64_t offset, struct error *err)
{
    char cause[ERROR_MESSAGE_MAX];

    (void)snprintf(cause, sizeof(cause), "%s", err->message);
    return error_set(err, err->code,
                     "%.200s: the command goes on, and `atoll logs %s %s --follow --since %" PRIu64
                     "` prints the rest",
                     cause, sandbox, process, offset);
}
