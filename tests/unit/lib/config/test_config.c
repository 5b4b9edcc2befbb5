#include "lib/base/util.h"
#include "lib/config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Every test starts without a variable of the table. */
static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        unsetenv(config_keys[i].environment);
    return 0;
}

static void load_text(const char *text, struct config *ret_config, struct config_origins *origins)
{
    struct error err = {0};

    if (config_load_text("c.toml", text, strlen(text), ret_config, origins, &err) < 0)
        fail_msg("%s: %s", text, err.message);
}

static void expect_text_error(const char *text, const char *message)
{
    struct config config;
    struct error err = {0};

    if (config_load_text("c.toml", text, strlen(text), &config, NULL, &err) == 0)
        fail_msg("accepted: %s", text);
    if (strncmp(err.message, message, strlen(message)) != 0)
        fail_msg("%s: the message is: %s", text, err.message);
}

static void test_defaults(void **state)
{
    _cleanup_config_ struct config config = {0};
    struct config_origins origins;
    struct error err = {0};

    (void)state;
    assert_int_equal(config_load(NULL, &config, &origins, &err), 0);
    assert_string_equal(config.server_host, "127.0.0.1");
    assert_int_equal(config.server_port, 8070);
    assert_string_equal(config.sandbox_backend, "native");
    assert_string_equal(config.database_url, "");
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        assert_int_equal(origins.keys[i].source, CONFIG_FROM_DEFAULT);
}

static void test_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        assert_true(config_keys[i].minimum <= config_keys[i].maximum);
        for (size_t j = i + 1; j < CONFIG_KEY_COUNT; j++) {
            assert_string_not_equal(config_keys[i].environment, config_keys[j].environment);
            assert_true(strcmp(config_keys[i].section, config_keys[j].section) != 0 ||
                        strcmp(config_keys[i].name, config_keys[j].name) != 0);
        }
    }
}

static void test_file_values(void **state)
{
    _cleanup_config_ struct config config = {0};
    struct config_origins origins;

    (void)state;
    load_text("[server]\nport = 9_000\n\n[logging]\nlevel = 'debug'\n", &config, &origins);
    assert_int_equal(config.server_port, 9000);
    assert_string_equal(config.logging_level, "debug");
    assert_int_equal(origins.keys[CONFIG_KEY_server_port].source, CONFIG_FROM_FILE);
    assert_int_equal(origins.keys[CONFIG_KEY_server_port].line, 2);
    assert_int_equal(origins.keys[CONFIG_KEY_logging_level].line, 5);
}

static void test_file_errors_name_file_and_line(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"[server]\nprot = 1", "c.toml:2: unknown key prot in [server]"},
        {"[servers]\nport = 1", "c.toml:2: unknown section [servers]"},
        {"port = 1", "c.toml:1: the key port stands outside of a [section]"},
        {"[server]\nport = \"1\"", "c.toml:2: server.port needs an integer"},
        {"[server]\nhost = 1", "c.toml:2: server.host needs a string"},
        {"[server]\nhost = true", "c.toml:2: server.host needs a string"},
        {"[server]\n\nport = 65536", "c.toml:3: server.port is 65536; 0 to 65535 are allowed"},
        {"[server]\nport = -1", "c.toml:2: server.port is -1; 0 to 65535 are allowed"},
        {"[server]\nhost = \"\"", "c.toml:2: server.host has 0 bytes; 1 to 255 are allowed"},
        {"[server]\nhost = \"a\\nb\"", "c.toml:2: server.host holds a control character"},
        {"[logging]\nlevel = \"loud\"",
         "c.toml:2: logging.level is \"loud\"; one of debug|info|warn|error is needed"},
        {"[logging]\nlevel = \"inf\"", "c.toml:2: logging.level is \"inf\""},
        {"[auth]\nmode = \"off\"\n[server]\nhost = \"0.0.0.0\"",
         "c.toml:2: auth.mode is \"off\": server.host must be a loopback address"},
        {"[sandbox]\ndefault_timeout_ms = 5000\nmax_timeout_ms = 4000",
         "c.toml:2: sandbox.default_timeout_ms is 5000, over sandbox.max_timeout_ms, which is "
         "4000"},
        {"[sandbox]\nmax_memory_limit_mb = 256",
         "c.toml:2: sandbox.max_memory_limit_mb is 256, under sandbox.default_memory_limit_mb, "
         "which is 512"},
        {"[state]\ndir = \"var\"", "c.toml:2: state.dir must be an absolute path"},
        {"[state]\nrun_dir = \"run\"", "c.toml:2: state.run_dir must be an absolute path"},
        {"[state]\nuid_base = 65537", "c.toml:2: state.uid_base must be a multiple of 65536"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_text_error(cases[i].text, cases[i].message);
}

static void test_auth_off_on_loopback(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.1.2.3", "::1", "localhost"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        _cleanup_config_ struct config config = {0};
        char text[128];

        (void)snprintf(text, sizeof(text), "[auth]\nmode='off'\n[server]\nhost='%s'", hosts[i]);
        load_text(text, &config, NULL);
        assert_string_equal(config.auth_mode, "off");
    }
}

/* A name that only begins like a loopback address is resolved by DNS: it is not one. */
static void test_auth_off_refuses_lookalikes(void **state)
{
    (void)state;
    expect_text_error("[auth]\nmode='off'\n[server]\nhost='127.evil.example'",
                      "c.toml:2: auth.mode");
    expect_text_error("[auth]\nmode='off'\n[server]\nhost='127.0.0.1.example'",
                      "c.toml:2: auth.mode");
    expect_text_error("[auth]\nmode='off'\n[server]\nhost='::'", "c.toml:2: auth.mode");
}

static void test_nsjail_is_native(void **state)
{
    _cleanup_config_ struct config config = {0};

    (void)state;
    load_text("[sandbox]\nbackend = \"nsjail\"", &config, NULL);
    assert_string_equal(config.sandbox_backend, "native");
}

/* As users of the sandbox service have it. */
static void test_the_file_of_the_sandbox_service(void **state)
{
    static const char text[] = "[server]\n"
                               "host = \"0.0.0.0\"\n"
                               "port = 8070\n"
                               "\n"
                               "[sandbox]\n"
                               "backend = \"nsjail\"  # or \"docker\"\n"
                               "default_timeout_ms = 30000\n"
                               "default_memory_limit_mb = 512\n"
                               "max_concurrent_sandboxes = 10\n"
                               "cleanup_interval_seconds = 300\n"
                               "\n"
                               "[logging]\n"
                               "level = \"info\"\n"
                               "format = \"json\"\n";
    _cleanup_config_ struct config config = {0};

    (void)state;
    load_text(text, &config, NULL);
    assert_string_equal(config.server_host, "0.0.0.0");
    assert_int_equal(config.server_port, 8070);
    assert_string_equal(config.sandbox_backend, "native");
    assert_int_equal(config.sandbox_timeout_ms, 30000);
    assert_int_equal(config.sandbox_memory_mb, 512);
    assert_int_equal(config.sandbox_max_concurrent, 10);
    assert_int_equal(config.sandbox_cleanup_interval_s, 300);
    assert_string_equal(config.logging_format, "json");
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_precedence(void **state)
{
    char path[] = "/tmp/atoll-test-XXXXXX";
    char *argv[] = {"x", "--config", path, "--set", "logging.level=error", NULL};
    int argc = 5;
    _cleanup_config_ struct config config = {0};
    struct config_options options;
    struct config_origins origins;
    char origin[CONFIG_ORIGIN_SIZE];
    char expected[64];
    struct error err = {0};

    (void)state;
    write_file(path, "[server]\nport = 1\nhost = '::1'\n[logging]\nlevel = 'debug'\n");
    setenv("SANDBOX_PORT", "2", 1);
    setenv("LOG_LEVEL", "warn", 1);
    assert_int_equal(config_take_options(&argc, argv, &options, &err), 0);
    assert_int_equal(argc, 1);
    if (config_load(&options, &config, &origins, &err) < 0)
        fail_msg("%s", err.message);
    unlink(path);
    assert_string_equal(config.server_host, "::1");
    assert_int_equal(config.server_port, 2);
    assert_string_equal(config.logging_level, "error");

    config_origin_text(&origins, CONFIG_KEY_server_host, origin);
    (void)snprintf(expected, sizeof(expected), "%s:3", path);
    assert_string_equal(origin, expected);
    config_origin_text(&origins, CONFIG_KEY_server_port, origin);
    assert_string_equal(origin, "environment SANDBOX_PORT");
    config_origin_text(&origins, CONFIG_KEY_logging_level, origin);
    assert_string_equal(origin, "command line");
    config_origin_text(&origins, CONFIG_KEY_sandbox_backend, origin);
    assert_string_equal(origin, "default");
}

static void test_environment_errors_name_the_variable(void **state)
{
    static const char *const bad[] = {"", " 1", "+1", "1x", "65536", "-1", "99999999999999999999"};
    struct config config;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = {0};

        setenv("SANDBOX_PORT", bad[i], 1);
        assert_int_equal(config_load(NULL, &config, NULL, &err), -1);
        assert_non_null(strstr(err.message, "environment SANDBOX_PORT: server.port"));
    }
}

static void test_missing_file(void **state)
{
    struct config_options options = {.file = "/nonexistent/config.toml"};
    struct config config;
    struct error err = {0};

    (void)state;
    assert_int_equal(config_load(&options, &config, NULL, &err), -1);
    assert_non_null(strstr(err.message, "/nonexistent/config.toml"));
}

static void test_take_options_leaves_the_rest(void **state)
{
    char *argv[] = {"x", "image", "--backend=nsjail", "ls", "--", "--config", "y", NULL};
    int argc = 7;
    struct config_options options;
    struct error err = {0};

    (void)state;
    assert_int_equal(config_take_options(&argc, argv, &options, &err), 0);
    assert_int_equal(argc, 6);
    assert_string_equal(argv[1], "image");
    assert_string_equal(argv[2], "ls");
    assert_string_equal(argv[3], "--");
    assert_string_equal(argv[4], "--config");
    assert_null(argv[6]);
    assert_null(options.file);
    assert_int_equal(options.set_count, 1);
}

static void expect_options_error(char *first, char *second, const char *message)
{
    char *argv[] = {"x", first, second, NULL};
    int argc = second ? 3 : 2;
    struct config_options options;
    struct config config;
    struct error err = {0};

    assert_true(config_take_only_options(argc, argv, &options, &err) < 0 ||
                config_load(&options, &config, NULL, &err) < 0);
    if (!strstr(err.message, message))
        fail_msg("%s: the message is: %s", first, err.message);
}

static void test_option_errors(void **state)
{
    (void)state;
    expect_options_error("--config", NULL, "--config needs a value");
    expect_options_error("--config=a", "--config=b", "--config is given twice");
    expect_options_error("--backend", "docker", "command line: sandbox.backend is \"docker\"");
    expect_options_error("--set", "server.port", "--set needs SECTION.KEY=VALUE");
    expect_options_error("--set", "server.prot=1", "unknown key server.prot");
    expect_options_error("--set", "port=1", "unknown key port");
    expect_options_error("--set", "server.port=70000", "command line: server.port is 70000");
    expect_options_error("--verbose", NULL, "unknown argument --verbose");
    expect_options_error("extra", NULL, "unknown argument extra");
}

static void test_config_set_checks(void **state)
{
    _cleanup_config_ struct config config = {0};
    struct error err = {0};

    (void)state;
    load_text("", &config, NULL);
    assert_int_equal(config_set(&config, CONFIG_KEY_server_port, "1", &err), 0);
    assert_int_equal(config.server_port, 1);
    assert_int_equal(config_set(&config, CONFIG_KEY_server_port, "x", &err), -1);
    assert_int_equal(config.server_port, 1);
}

/* A child that reads the environment ends up with the parent's values. */
static void test_environment_round_trip(void **state)
{
    _cleanup_config_ struct config parent = {0};
    _cleanup_config_ struct config child = {0};
    _cleanup_free_ char **variables = NULL;
    struct error err = {0};
    size_t count = 0;

    (void)state;
    load_text("[server]\nport = 1234\n[database]\nurl = \"host=/x y='z'\"\n", &parent, NULL);
    variables = config_environment(&parent);
    assert_non_null(variables);
    for (; variables[count]; count++)
        assert_int_equal(putenv(variables[count]), 0);
    assert_int_equal(count, CONFIG_KEY_COUNT);
    assert_int_equal(config_load(NULL, &child, NULL, &err), 0);
    assert_int_equal(child.server_port, 1234);
    assert_string_equal(child.database_url, "host=/x y='z'");
    clear_environment(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear_environment),
        cmocka_unit_test_setup(test_table_is_sound, clear_environment),
        cmocka_unit_test_setup(test_file_values, clear_environment),
        cmocka_unit_test_setup(test_file_errors_name_file_and_line, clear_environment),
        cmocka_unit_test_setup(test_auth_off_on_loopback, clear_environment),
        cmocka_unit_test_setup(test_auth_off_refuses_lookalikes, clear_environment),
        cmocka_unit_test_setup(test_nsjail_is_native, clear_environment),
        cmocka_unit_test_setup(test_the_file_of_the_sandbox_service, clear_environment),
        cmocka_unit_test_setup(test_precedence, clear_environment),
        cmocka_unit_test_setup(test_environment_errors_name_the_variable, clear_environment),
        cmocka_unit_test_setup(test_missing_file, clear_environment),
        cmocka_unit_test_setup(test_take_options_leaves_the_rest, clear_environment),
        cmocka_unit_test_setup(test_option_errors, clear_environment),
        cmocka_unit_test_setup(test_config_set_checks, clear_environment),
        cmocka_unit_test_setup(test_environment_round_trip, clear_environment),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
