/* /v1/images. docs/api/images.md describes them. */
#ifndef SERVER_HANDLERS_V1_IMAGES_H
#define SERVER_HANDLERS_V1_IMAGES_H

#include "server/handlers/call.h"

extern const struct json_table v1_image_table;
extern const struct json_table v1_image_page_table;

int handle_v1_image_list(struct call *call, struct error *err);

#endif
