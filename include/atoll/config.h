/*
 * Configuration: one table declares every key. The parser, `atoll config --show`, the environment
 * names, range checks and docs/configuration.md derive from it.
 *
 * Values come from, in rising precedence: the default, the file given by --config, the
 * environment, the command line. A wrong key, type or range stops the start with the file and
 * line, the variable or the option named.
 */
#ifndef ATOLL_CONFIG_H
#define ATOLL_CONFIG_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stdint.h>

enum config_type { CONFIG_STRING, CONFIG_INTEGER, CONFIG_BOOL };

/*
 * X(member, section, key, environment, type, default as text, minimum, maximum, choices, reload,
 *   meaning)
 * Strings: minimum and maximum bound the length in bytes; `choices` is NULL or the allowed words
 * separated by "|". reload: 1 when SIGHUP applies it to a running daemon.
 */
#define CONFIG_KEYS(X)                                                                             \
    X(server_host, "server", "host", "SANDBOX_HOST", CONFIG_STRING, "127.0.0.1", 1, 255, NULL, 0,  \
      "Address the public port listens on")                                                        \
    X(server_port, "server", "port", "SANDBOX_PORT", CONFIG_INTEGER, "8070", 0, 65535, NULL, 0,    \
      "Public port; 0 takes a free one")                                                           \
    X(server_max_body_bytes, "server", "max_body_bytes", "ATOLL_MAX_BODY_BYTES", CONFIG_INTEGER,   \
      "16777216", 1024, 1073741824, NULL, 1, "Largest request body; over it the answer is 413")    \
    X(server_body_timeout_ms, "server", "body_timeout_ms", "ATOLL_BODY_TIMEOUT_MS",                \
      CONFIG_INTEGER, "30000", 100, 3600000, NULL, 1,                                              \
      "A request must have arrived whole after this time; else the answer is 408")                 \
    X(server_max_transfer_bytes, "server", "max_transfer_bytes", "ATOLL_MAX_TRANSFER_BYTES",       \
      CONFIG_INTEGER, "17179869184", 1024, 1099511627776, NULL, 1,                                 \
      "Largest body of a file or archive, which is passed on as it comes; over it 413")            \
    X(server_max_transfers, "server", "max_transfers", "ATOLL_MAX_TRANSFERS", CONFIG_INTEGER,      \
      "16", 1, 4096, NULL, 1,                                                                      \
      "Files over 1 MiB and archives that one tenant moves at once; one more is 429")              \
    X(server_max_kept_answers_mb, "server", "max_kept_answers_mb", "ATOLL_MAX_KEPT_ANSWERS_MB",    \
      CONFIG_INTEGER, "1024", 1, 1048576, NULL, 1,                                                 \
      "MiB of one tenant's answers, of each hour, that are kept for retries of a request")         \
    X(server_idle_timeout_ms, "server", "idle_timeout_ms", "ATOLL_IDLE_TIMEOUT_MS",                \
      CONFIG_INTEGER, "60000", 100, 3600000, NULL, 1, "An idle keep-alive connection is closed")   \
    X(server_max_connections, "server", "max_connections", "ATOLL_MAX_CONNECTIONS",                \
      CONFIG_INTEGER, "1024", 16, 65536, NULL, 0, "Client connections at once")                    \
    X(server_cors_origins, "server", "cors_origins", "ATOLL_CORS_ORIGINS", CONFIG_STRING, "", 0,   \
      2048, NULL, 1,                                                                               \
      "Origins whose pages may call the API, separated by spaces: https://app.example.com")        \
    X(sandbox_backend, "sandbox", "backend", "SANDBOX_BACKEND", CONFIG_STRING, "native", 1, 16,    \
      "native|nsjail", 0, "What makes sandboxes; `nsjail` is another name for `native`")           \
    X(sandbox_timeout_ms, "sandbox", "default_timeout_ms", "SANDBOX_TIMEOUT_MS", CONFIG_INTEGER,   \
      "30000", 1, 86400000, NULL, 1, "Time limit of an execution that names none")                 \
    X(sandbox_max_timeout_ms, "sandbox", "max_timeout_ms", "ATOLL_MAX_TIMEOUT_MS", CONFIG_INTEGER, \
      "3600000", 1, 86400000, NULL, 1, "Largest time limit a caller may ask for")                  \
    X(sandbox_memory_mb, "sandbox", "default_memory_limit_mb", "SANDBOX_MEMORY_LIMIT_MB",          \
      CONFIG_INTEGER, "512", 16, 1048576, NULL, 1, "Memory limit of a sandbox that names none")    \
    X(sandbox_max_memory_mb, "sandbox", "max_memory_limit_mb", "ATOLL_MAX_MEMORY_LIMIT_MB",        \
      CONFIG_INTEGER, "8192", 16, 1048576, NULL, 1, "Largest memory limit a caller may ask for")   \
    X(sandbox_max_concurrent, "sandbox", "max_concurrent_sandboxes", "ATOLL_MAX_CONCURRENT",       \
      CONFIG_INTEGER, "64", 1, 4096, NULL, 0,                                                      \
      "Executions at once on this node; more wait up to 2 s, then the answer is 429")              \
    X(sandbox_max_starts, "sandbox", "max_concurrent_starts", "ATOLL_MAX_STARTS", CONFIG_INTEGER,  \
      "0", 0, 4096, NULL, 0,                                                                       \
      "Sandboxes that start at once, shared by the tenants; 0: as many as there are processors")   \
    X(sandbox_max_definitions, "sandbox", "max_definitions", "ATOLL_MAX_DEFINITIONS",              \
      CONFIG_INTEGER, "100000", 1, 100000000, NULL, 1,                                             \
      "Definitions that one tenant keeps at once, about; one more is 429")                         \
    X(sandbox_max_definition_mb, "sandbox", "max_definition_mb", "ATOLL_MAX_DEFINITION_MB",        \
      CONFIG_INTEGER, "16384", 1, 16777216, NULL, 1,                                               \
      "MiB of code, environments and files of them together; more is 429")                         \
    X(sandbox_cleanup_interval_s, "sandbox", "cleanup_interval_seconds", "ATOLL_CLEANUP_INTERVAL", \
      CONFIG_INTEGER, "300", 1, 86400, NULL, 1, "How often the worker looks for what has expired") \
    X(sandbox_idle_timeout_s, "sandbox", "idle_timeout_seconds", "ATOLL_IDLE_TIMEOUT",             \
      CONFIG_INTEGER, "3600", 1, 31536000, NULL, 1,                                                \
      "A sandbox unused for so long is stopped; a definition is removed")                          \
    X(sandbox_max_lifetime_s, "sandbox", "max_lifetime_seconds", "ATOLL_MAX_LIFETIME",             \
      CONFIG_INTEGER, "86400", 1, 31536000, NULL, 1, "A sandbox is removed at this age")           \
    X(sandbox_cpu_milli, "sandbox", "cpu_millicores", "ATOLL_CPU_MILLICORES", CONFIG_INTEGER,      \
      "1000", 10, 1024000, NULL, 1, "Processor time of one sandbox in thousandths of a core")      \
    X(sandbox_pids, "sandbox", "max_processes", "ATOLL_MAX_PROCESSES", CONFIG_INTEGER, "256", 8,   \
      65536, NULL, 1, "Processes and threads of one sandbox")                                      \
    X(sandbox_disk_mb, "sandbox", "disk_limit_mb", "ATOLL_DISK_LIMIT_MB", CONFIG_INTEGER, "256",   \
      1, 1048576, NULL, 1, "Size of a sandbox's writable layer")                                   \
    X(sandbox_disk, "sandbox", "disk", "ATOLL_DISK", CONFIG_STRING, "memory", 1, 16,               \
      "memory|disk", 1,                                                                            \
      "Where the writable layer of an execution lives: tmpfs, or a file of the state folder, "     \
      "where that of a sandbox that stays always is")                                              \
    X(sandbox_max_output, "sandbox", "max_output_bytes", "ATOLL_MAX_OUTPUT_BYTES", CONFIG_INTEGER, \
      "1048576", 1024, 67108864, NULL, 1,                                                          \
      "Bytes kept of each of stdout and stderr; more sets `truncated`")                            \
    X(sandbox_log_retention_s, "sandbox", "log_retention_seconds", "ATOLL_LOG_RETENTION",          \
      CONFIG_INTEGER, "604800", 1, 315360000, NULL, 1,                                             \
      "How long the logs of processes are kept after the end of their sandbox's run")              \
    X(logging_level, "logging", "level", "LOG_LEVEL", CONFIG_STRING, "info", 1, 8,                 \
      "debug|info|warn|error", 1, "Least severe level that is logged")                             \
    X(logging_format, "logging", "format", "LOG_FORMAT", CONFIG_STRING, "text", 1, 8, "text|json", \
      0, "Shape of a log line")                                                                    \
    X(database_url, "database", "url", "ATOLL_DATABASE_URL", CONFIG_STRING, "", 0, 1024, NULL, 0,  \
      "libpq connection string of the tenant-scoped role `atoll_app` (server)")                    \
    X(database_system_url, "database", "system_url", "ATOLL_DATABASE_SYSTEM_URL", CONFIG_STRING,   \
      "", 0, 1024, NULL, 0, "The same for `atoll_system` (monitor, worker)")                       \
    X(database_owner_url, "database", "owner_url", "ATOLL_DATABASE_OWNER_URL", CONFIG_STRING, "",  \
      0, 1024, NULL, 0, "The same for the owner of the schema (`atoll migrate`)")                  \
    X(database_pool_size, "database", "pool_size", "ATOLL_DATABASE_POOL_SIZE", CONFIG_INTEGER,     \
      "8", 1, 256, NULL, 0, "Connections of one server to PostgreSQL")                             \
    X(auth_mode, "auth", "mode", "ATOLL_AUTH_MODE", CONFIG_STRING, "jwt", 1, 8, "jwt|off", 0,      \
      "`jwt`: every request but /health needs a bearer token; `off`: only on a loopback host")     \
    X(auth_hs256_key_file, "auth", "hs256_key_file", "ATOLL_AUTH_HS256_KEY_FILE", CONFIG_STRING,   \
      "", 0, 1024, NULL, 0, "File with the HS256 key, at least 32 bytes")                          \
    X(auth_rs256_key_file, "auth", "rs256_public_key_file", "ATOLL_AUTH_RS256_PUBLIC_KEY_FILE",    \
      CONFIG_STRING, "", 0, 1024, NULL, 0, "PEM file with an RSA public key")                      \
    X(auth_es256_key_file, "auth", "es256_public_key_file", "ATOLL_AUTH_ES256_PUBLIC_KEY_FILE",    \
      CONFIG_STRING, "", 0, 1024, NULL, 0, "PEM file with a P-256 public key")                     \
    X(auth_issuer, "auth", "issuer", "ATOLL_AUTH_ISSUER", CONFIG_STRING, "atoll", 1, 255, NULL, 0, \
      "The `iss` that tokens must carry")                                                          \
    X(auth_audience, "auth", "audience", "ATOLL_AUTH_AUDIENCE", CONFIG_STRING, "atoll", 1, 255,    \
      NULL, 0, "The `aud` that tokens must carry")                                                 \
    X(auth_leeway_s, "auth", "leeway_seconds", "ATOLL_AUTH_LEEWAY", CONFIG_INTEGER, "30", 0, 300,  \
      NULL, 0, "Clock difference allowed for exp, nbf and iat")                                    \
    X(auth_issuers_file, "auth", "issuers_file", "ATOLL_AUTH_ISSUERS_FILE", CONFIG_STRING, "", 0,  \
      1024, NULL, 0, "JSON file with further issuers of tokens (docs/authentication.md)")          \
    X(auth_cache_s, "auth", "cache_seconds", "ATOLL_AUTH_CACHE", CONFIG_INTEGER, "10", 0, 20,      \
      NULL, 1, "For so long a revoked key or suspended tenant may go unnoticed")                   \
    X(state_dir, "state", "dir", "ATOLL_STATE_DIR", CONFIG_STRING, "/var/lib/atoll", 1, 255, NULL, \
      0, "Images, logs and the private database live here")                                        \
    X(state_run_dir, "state", "run_dir", "ATOLL_RUN_DIR", CONFIG_STRING, "/run/atoll", 1, 40,      \
      NULL, 0, "Sockets live here; short, because a socket's path may have 107 bytes only")        \
    X(state_user, "state", "user", "ATOLL_USER", CONFIG_STRING, "atoll", 1, 32, NULL, 0,           \
      "The user the unprivileged daemons run as; only it and root may call the launcher")          \
    X(state_uid_base, "state", "uid_base", "ATOLL_UID_BASE", CONFIG_INTEGER, "1073741824", 65536,  \
      2147418112, NULL, 0, "First host uid given to sandboxes, 65,536 each; a multiple of 65,536") \
    X(monitor_interval_ms, "monitor", "interval_ms", "ATOLL_MONITOR_INTERVAL_MS", CONFIG_INTEGER,  \
      "5000", 100, 3600000, NULL, 1, "How often the monitor samples live sandboxes")               \
    X(monitor_retention_s, "monitor", "retention_seconds", "ATOLL_MONITOR_RETENTION",              \
      CONFIG_INTEGER, "86400", 60, 31536000, NULL, 1, "How long samples and tombstones are kept")  \
    X(events_retention_s, "events", "retention_seconds", "ATOLL_EVENTS_RETENTION", CONFIG_INTEGER, \
      "7776000", 60, 315360000, NULL, 1,                                                           \
      "How long events and ended executions are kept: usage is counted from them")                 \
    X(webhooks_timeout_ms, "webhooks", "timeout_ms", "ATOLL_WEBHOOKS_TIMEOUT_MS", CONFIG_INTEGER,  \
      "10000", 100, 60000, NULL, 0, "Time limit of one delivery, from the name's look-up on")      \
    X(webhooks_max_attempts, "webhooks", "max_attempts", "ATOLL_WEBHOOKS_MAX_ATTEMPTS",            \
      CONFIG_INTEGER, "8", 1, 100, NULL, 0, "A delivery that fails so often is dead")              \
    X(webhooks_retry_ms, "webhooks", "retry_delay_ms", "ATOLL_WEBHOOKS_RETRY_DELAY_MS",            \
      CONFIG_INTEGER, "10000", 10, 3600000, NULL, 0,                                               \
      "Longest wait before the second attempt; doubled for each one after it, up to an hour")      \
    X(webhooks_max_pending, "webhooks", "max_pending", "ATOLL_WEBHOOKS_MAX_PENDING",               \
      CONFIG_INTEGER, "10000", 1, 1000000, NULL, 0,                                                \
      "Deliveries of one webhook that wait at once; what happens meanwhile is a dead one")         \
    X(webhooks_max_age_s, "webhooks", "max_age_seconds", "ATOLL_WEBHOOKS_MAX_AGE", CONFIG_INTEGER, \
      "259200", 60, 31536000, NULL, 1, "A delivery that has waited for so long is dead")           \
    X(webhooks_allow_private, "webhooks", "allow_private", "ATOLL_WEBHOOKS_ALLOW_PRIVATE",         \
      CONFIG_BOOL, "false", 0, 0, NULL, 0,                                                         \
      "Deliver to private, loopback and link-local addresses too; for development only")

/* Which C type a config_type is. */
#define CONFIG_C_TYPE_CONFIG_STRING  char *
#define CONFIG_C_TYPE_CONFIG_INTEGER int64_t
#define CONFIG_C_TYPE_CONFIG_BOOL    bool

/* The effective values. Strings are owned by the struct and never NULL. */
struct config {
#define CONFIG_MEMBER(member, section, key, env, type, def, min, max, choices, reload, meaning)    \
    CONFIG_C_TYPE_##type member;
    CONFIG_KEYS(CONFIG_MEMBER)
#undef CONFIG_MEMBER
};

#endif
