#include "server/http/link.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int edge_secret_new(char ret_secret[static EDGE_SECRET_SIZE], struct error *err)
{
    uint8_t bytes[(EDGE_SECRET_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set_errno(err, errno, "cannot make the edge's secret");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(ret_secret + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* Takes the word up to the next space, or to the end. */
static bool take_word(const char **inout_text, char *ret_word, size_t size)
{
    size_t length = strcspn(*inout_text, " ");

    if (length == 0 || length >= size)
        return false;
    memcpy(ret_word, *inout_text, length);
    ret_word[length] = '\0';
    *inout_text += length;
    if (**inout_text == ' ')
        (*inout_text)++;
    return true;
}

/* Takes as long for a wrong secret whatever part of it is right. */
static bool secret_matches(const char *given, const char *secret)
{
    unsigned char difference = 0;

    if (strlen(given) != strlen(secret))
        return false;
    for (size_t i = 0; secret[i]; i++)
        difference |= (unsigned char)(given[i] ^ secret[i]);
    return difference == 0;
}

bool edge_link_parse(const char *value, const char *secret, struct edge_link *ret_link)
{
    char given[EDGE_SECRET_SIZE];
    struct edge_link link = {0};

    if (!take_word(&value, given, sizeof(given)) || !secret_matches(given, secret) ||
        !take_word(&value, link.request_id, sizeof(link.request_id)) ||
        !take_word(&value, link.client, sizeof(link.client)) ||
        !take_word(&value, link.host, sizeof(link.host)) || *value != '\0')
        return false;
    *ret_link = link;
    return true;
}
