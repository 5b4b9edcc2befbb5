#include "cli/outcome.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "lib/base/base64.h"

#include <atoll/cleanup.h>
#include <signal.h>
#include <string.h>

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
    if (cJSON_IsNumber(code))
        return code->valueint;
    return signal_exit(cJSON_GetStringValue(table_member(result, "signal")));
}
