#include "lib/config/program.h"

#include "lib/config/config.h"

#include <atoll/version.h>
#include <string.h>

static void print_row(FILE *out, const char *option, const char *value, const char *help)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s%s%s", option, value ? " " : "", value ? value : "");
    (void)fprintf(out, "  %-24s %s\n", name, help);
}

static void print_help(FILE *out, const struct program *program)
{
    (void)fprintf(out, "Usage: %s [OPTIONS]\n\n%s.\n\nOptions:\n", program->name, program->purpose);
    for (size_t i = 0; i < config_option_count; i++)
        print_row(out, config_option_rows[i].name, config_option_rows[i].value,
                  config_option_rows[i].help);
    for (size_t i = 0; i < program->report_count; i++)
        print_row(out, program->reports[i].option, NULL, program->reports[i].help);
    print_row(out, "--help", NULL, "print this");
    print_row(out, "--version", NULL, "print the version");
    (void)fputs("\n`atoll config --docs` tells every key, with its variable and its range.\n", out);
}

static int print_report(const struct program *program, const struct program_report *report)
{
    struct error err;

    if (report->print(stdout, &err) == 0)
        return 0;
    (void)fprintf(stderr, "%s: %s\n", program->name, err.message);
    return 1;
}

bool program_answer(const struct program *program, int argc, char **argv, int *ret_code)
{
    *ret_code = 0;
    for (size_t i = 0; i < program->report_count; i++) {
        if (argc == 2 && strcmp(argv[1], program->reports[i].option) == 0) {
            *ret_code = print_report(program, &program->reports[i]);
            return true;
        }
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(stdout, program);
            return true;
        }
        if (strcmp(argv[i], "--version") == 0) {
            (void)printf("%s " ATOLL_VERSION "\n", program->name);
            return true;
        }
    }
    return false;
}
