/*
 * atoll-archive: packs and unpacks inside a sandbox, as one of its users.
 *
 *     atoll-archive pack tar|tar.gz|zip PATH     to stdout
 *     atoll-archive unpack PATH                  from stdin
 *
 * Archives are hostile, and libarchive has had its holes. So no daemon reads one: the agent runs
 * this static program in the sandbox, whatever the sandbox's image holds, with the sandbox's limits
 * and no rights that its user has not.
 */
#include "archive/pack.h"
#include "archive/report.h"
#include "archive/unpack.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_format(const char *text)
{
#define FORMAT_MATCHES(symbol, word, media_type, end)                                              \
    if (strcmp(text, word) == 0)                                                                   \
        return true;
    ARCHIVE_FORMATS(FORMAT_MATCHES)
#undef FORMAT_MATCHES
    return false;
}

int main(int argc, char **argv)
{
    /* Names are UTF-8 in zip and pax; glibc has this locale built in since 2.35. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc == 4 && strcmp(argv[1], "pack") == 0 && is_format(argv[2]))
        pack(argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "unpack") == 0)
        unpack(argv[2]);
    else
        report_failure(ARCHIVE_USAGE, "", "usage: atoll-archive pack FORMAT PATH | unpack PATH");
    return fflush(stdout) == 0 ? ARCHIVE_DONE : ARCHIVE_BROKEN;
}
