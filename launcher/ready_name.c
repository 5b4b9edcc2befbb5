#include "launcher/ready_name.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "ready."

void ready_name_format(const struct id *id, char name[static SANDBOX_NAME_SIZE])
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    (void)snprintf(name, SANDBOX_NAME_SIZE, PREFIX "%s", text);
}

bool ready_name_valid(const char *name)
{
    char again[SANDBOX_NAME_SIZE];
    struct id id;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || !id_parse(name + strlen(PREFIX), &id))
        return false;
    ready_name_format(&id, again);
    return strcmp(again, name) == 0;
}
