#include "server/services/runtimes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct launch_plan plan_for(const char *runtime, const char *code, const char *entry)
{
    struct sandbox_definition definition = {
        .runtime = (char *)runtime,
        .code = (char *)code,
        .code_size = strlen(code),
        .entry_point = (char *)entry,
    };
    struct launch_plan plan;

    assert_int_equal(launch_plan_make(&definition, &plan, NULL), 0);
    return plan;
}

static void test_code_lands_in_the_default_file_and_is_run(void **state)
{
    struct launch_plan plan = plan_for("python", "print(1)", NULL);

    (void)state;
    assert_string_equal(plan.image, "base");
    assert_string_equal(plan.entry_path, "/sandbox/main.py");
    assert_string_equal(plan.argv[0], "python3");
    assert_string_equal(plan.argv[1], "/sandbox/main.py");
    assert_null(plan.argv[2]);
    launch_plan_free(&plan);
}

static void test_an_entry_point_names_the_file(void **state)
{
    struct launch_plan plan = plan_for("node", "1", "src/app.js");

    (void)state;
    assert_string_equal(plan.entry_path, "/sandbox/src/app.js");
    assert_string_equal(plan.argv[1], "/sandbox/src/app.js");
    assert_false(plan.code_yields);
    launch_plan_free(&plan);
}

static void test_an_entry_point_with_spaces_is_a_command_line(void **state)
{
    struct launch_plan plan = plan_for("bun", "1", "bun run dev");

    (void)state;
    assert_string_equal(plan.image, "bun");
    assert_string_equal(plan.entry_path, "/sandbox/index.ts");
    assert_string_equal(plan.argv[0], "/bin/sh");
    assert_string_equal(plan.argv[2], "bun run dev");
    assert_null(plan.argv[3]);
    assert_true(plan.code_yields);
    launch_plan_free(&plan);
}

static void test_shell_code_may_name_its_interpreter(void **state)
{
    struct launch_plan plain = plan_for("shell", "true", NULL);
    struct launch_plan bash = plan_for("shell", "#!/bin/bash\ntrue", NULL);

    (void)state;
    assert_string_equal(plain.argv[0], "/bin/sh");
    assert_string_equal(bash.argv[0], "/sandbox/main.sh");
    assert_null(bash.argv[1]);
    launch_plan_free(&plain);
    launch_plan_free(&bash);
}

static void test_paths_stay_where_they_say(void **state)
{
    static const char *const bad[] = {"", "..", "../a", "a/..", "a/../b", "/..", "a/", "/", "."};
    static const char *const good[][2] = {
        {"a", "/sandbox/a"},     {"a/b", "/sandbox/a/b"},       {"/etc/x", "/etc/x"},
        {"..a", "/sandbox/..a"}, {"a..b/c", "/sandbox/a..b/c"},
    };
    char *path = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct error err;

        assert_int_equal(sandbox_path_resolve(bad[i], "path", &path, &err), -1);
        assert_string_equal(err.field, "path");
        assert_null(path);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_int_equal(sandbox_path_resolve(good[i][0], "path", &path, NULL), 0);
        assert_string_equal(path, good[i][1]);
        free(path);
    }
}

/* What a request may name must be what runs. */
static void test_every_choice_is_a_runtime(void **state)
{
    char choices[] = RUNTIME_CHOICES;
    char *rest = choices;

    (void)state;
    for (const char *name = strsep(&rest, "|"); name; name = strsep(&rest, "|"))
        assert_non_null(runtime_find(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_choice_is_a_runtime),
        cmocka_unit_test(test_code_lands_in_the_default_file_and_is_run),
        cmocka_unit_test(test_an_entry_point_names_the_file),
        cmocka_unit_test(test_an_entry_point_with_spaces_is_a_command_line),
        cmocka_unit_test(test_shell_code_may_name_its_interpreter),
        cmocka_unit_test(test_paths_stay_where_they_say),
    };

    return cmocka_run_group_tests_name("server/services/runtimes", tests, NULL, NULL);
}
