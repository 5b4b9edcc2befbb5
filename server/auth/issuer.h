/*
 * One issuer at run time: what its tokens must say, its keys, and where they come from. Internal to
 * the keyring, whose thread alone changes it.
 */
#ifndef SERVER_AUTH_ISSUER_H
#define SERVER_AUTH_ISSUER_H

#include "lib/auth/issuers.h"
#include "lib/auth/token.h"

#include <atoll/config.h>
#include <sys/stat.h>

/* What tells that a file is another one than before. All zero: it is not there. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

/* Reads the stamp of a file; "" and NULL have none. */
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

enum { ISSUER_FILES_MAX = 3 };

struct issuer {
    struct auth_issuer definition; /* owned; the own issuer's has no source */
    struct auth_policy policy;     /* borrows from the definition */
    struct auth_key_files files;   /* borrowed paths */
    const char *url;               /* NULL: its keys are in files */
    struct auth_keys *keys;        /* NULL: none yet, or none any more */
    struct file_stamp stamps[ISSUER_FILES_MAX];
    int64_t fetched_usec; /* monotonic: the last success; 0: never */
    bool is_failing;      /* and that was logged */
    /* Under the keyring's `lock`: */
    int64_t attempted_usec; /* monotonic: the last fetch began; 0: never */
    bool is_fetching;
    bool is_wanted; /* a token named an unknown key */
};

/* The issuer of the configuration's own keys; NULL in *ret_issuer when it has none. */
int issuer_create_own(const struct config *config, struct issuer **ret_issuer, struct error *err);

/* Takes over the definition, which is empty afterwards, also on failure. Its files are loaded. */
int issuer_create(struct auth_issuer *definition, const struct config *config,
                  struct issuer **ret_issuer, struct error *err);

/* NULL is allowed. */
void issuer_free(struct issuer *issuer);

DEFINE_CLEANUP(struct issuer *, issuer, issuer_free)

/* True when both have the same keys by definition, so that one's keys serve the other. */
bool issuer_same_source(const struct issuer *a, const struct issuer *b);

/* True when a file of its keys is another one than when it was loaded; remembers the new stamps. */
bool issuer_files_changed(struct issuer *issuer);

/* Loads the keys from its files. */
int issuer_load_files(const struct issuer *issuer, struct auth_keys **ret_keys, struct error *err);

/* Loads the keys from a set that was fetched from its URL. */
int issuer_load_set(const char *text, size_t size, struct auth_keys **ret_keys, struct error *err);

/* True when its URL is due: never fetched, wanted, older than the refresh time, or failing. */
bool issuer_fetch_due(const struct issuer *issuer, int64_t now_usec);

/* True when an unknown key may cause a fetch now. */
bool issuer_may_refetch(const struct issuer *issuer, int64_t now_usec);

/* True when its keys were fetched too long ago to serve. */
bool issuer_is_stale(const struct issuer *issuer, int64_t now_usec);

#endif
