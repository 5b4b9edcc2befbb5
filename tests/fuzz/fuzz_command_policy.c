/* A command line under a policy: whatever it holds, it is let in, or refused with a reason. */
#include "lib/policy/command_policy.h"

#include <atoll/cleanup.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const allow[] = {"sh", "env", "rm", "cat", "find", "xargs", "timeout"};
    static const char *const block[] = {"rm -rf /", "sudo", "cat /etc/passwd"};
    const struct command_policy policy = {
        .allow = allow,
        .allow_count = size % 2 == 0 ? sizeof(allow) / sizeof(allow[0]) : 0,
        .block = block,
        .block_count = sizeof(block) / sizeof(block[0]),
    };
    _cleanup_free_ char *text = calloc(1, size + 1);
    struct error err = {.message = ""};

    if (!text)
        return 0;
    memcpy(text, data, size);
    if (command_policy_check_text(&policy, text, &err) < 0 &&
        (err.code != ERR_COMMAND || err.message[0] == '\0'))
        abort();
    return 0;
}
