/*
 * Values in the bodies of /v1/sandboxes that take more than a table: sizes, command lines,
 * environments, labels, ports, capabilities. Each is checked and becomes what the store keeps, JSON
 * text where it is JSON. Results are the caller's to free; complaints name `field`.
 */
#ifndef SERVER_HANDLERS_V1_SANDBOX_VALUES_H
#define SERVER_HANDLERS_V1_SANDBOX_VALUES_H

#include "lib/json/json.h"

enum { V1_PORTS_MAX = 32, V1_LABELS_MAX = 64, V1_CAPABILITIES_MAX = 32 };

extern const struct json_table v1_port_table; /* an entry of ports */

/* A copy of `text`; NULL stays NULL. */
int v1_value_text(const char *text, char **ret_copy, struct error *err);

/* Fails with ERR_NOT_SUPPORTED. */
int v1_value_not_supported(const char *field, const char *what, struct error *err);

/* False for a value that asks for nothing: not given, null, false, "", [] and {}. */
bool v1_value_asks(const cJSON *value);

/*
 * MiB, from an integer or a text like "512m" or "2g"; `min` and `max` in MiB. Leaves *ret_mb as it
 * is when the value is not given.
 */
int v1_value_size(const cJSON *value, const char *field, uint64_t min, uint64_t max,
                  uint32_t *ret_mb, struct error *err);

/*
 * A JSON array of arguments. A text is for the shell, as in a Dockerfile. Nothing, "" and [] are
 * none: *ret_json stays as it is.
 */
int v1_value_arguments(const cJSON *value, const char *field, char **ret_json, struct error *err);

/* A map of variables; null values only when `nullable`. */
int v1_value_environment(const cJSON *environment, bool nullable, char **ret_json,
                         struct error *err);

int v1_value_labels(const cJSON *labels, char **ret_json, struct error *err);

/*
 * The filter "name=value", or "name:value", as a JSON object. ERR_INVALID_FIELD (field label) when
 * it is none.
 */
int v1_value_label(const char *text, char **ret_labels, struct error *err);

/* A JSON array of {port, protocol}, each port once. */
int v1_value_ports(const cJSON *ports, char **ret_json, struct error *err);

/* Names that the launcher can give (LAUNCHER_CAPABILITIES). */
int v1_value_cap_add(const cJSON *names, char **ret_json, struct error *err);

/* There is nothing to drop but what is added: a name in both lists is a contradiction. */
int v1_value_cap_drop(const cJSON *names, const cJSON *added, char **ret_json, struct error *err);

#endif
