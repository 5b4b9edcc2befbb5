/* The configuration file: whatever it holds, it is refused, or every value is within its range. */
#include "lib/config/config.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_value(const struct config *config, const struct config_key *key)
{
    const char *member = (const char *)config + key->offset;
    int64_t measure = 0;

    if (key->type == CONFIG_STRING)
        measure = (int64_t)strlen(*(char *const *)(const void *)member);
    if (key->type == CONFIG_INTEGER)
        measure = *(const int64_t *)(const void *)member;
    check(measure >= key->minimum && measure <= key->maximum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_config_ struct config config = {0};
    struct error err = {0};

    if (config_load_text("fuzz", (const char *)data, size, &config, NULL, &err) < 0) {
        check(err.message[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        check_value(&config, &config_keys[i]);
    check(config.state_dir[0] == '/');
    return 0;
}
