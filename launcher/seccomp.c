#include "launcher/seccomp.h"

#include "launcher/seccomp_policy.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/launcher_proto.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PROGRAM_BYTES_MAX = 64 * 1024, PREFIX_MAX = 64 };

DEFINE_CLEANUP(scmp_filter_ctx, seccomp, seccomp_release)
#define _cleanup_seccomp_ _cleanup_(cleanup_seccomp)

/* Rules return 0 or a negative errno, as libseccomp's functions do. */
static int add_rows(scmp_filter_ctx filter, uint32_t action, const struct seccomp_row *rows,
                    size_t count, unsigned scope)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(rows[i].name);
        int failure;

        /* Another machine's call, or one that this libseccomp does not know: refused anyway. */
        if (!(rows[i].scope & scope) || number < 0)
            continue;
        failure = seccomp_rule_add(filter, action, number, 0);
        if (failure < 0)
            return failure;
    }
    return 0;
}

/*
 * The calls that are judged by an argument stand in front of libseccomp's program; jumps in BPF are
 * relative, so that a program may be put in front of another. libseccomp compares 64 bits where the
 * kernel reads 32, so that an ioctl request with high bits set would pass (CVE-2019-10063), and it
 * knows no "none of these" but a rule for each value: half of all instructions, which the kernel
 * would translate anew for each sandbox.
 */
struct prefix {
    struct sock_filter code[PREFIX_MAX];
    size_t used;
};

static void emit(struct prefix *prefix, unsigned code, uint32_t value, size_t if_true,
                 size_t if_false)
{
    prefix->code[prefix->used++] = (struct sock_filter)BPF_JUMP(
        (unsigned short)code, value, (unsigned char)if_true, (unsigned char)if_false);
}

static void emit_load(struct prefix *prefix, size_t offset)
{
    emit(prefix, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Loads the low half of an argument. */
static void emit_load_argument(struct prefix *prefix, size_t index)
{
    const size_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;

    emit_load(prefix, offsetof(struct seccomp_data, args) + index * sizeof(uint64_t) + low);
}

static void emit_return(struct prefix *prefix, uint32_t action)
{
    emit(prefix, BPF_RET | BPF_K, action, 0, 0);
}

static void emit_return_if(struct prefix *prefix, uint32_t value, uint32_t action)
{
    emit(prefix, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    emit_return(prefix, action);
}

static void ioctl_body(struct prefix *prefix)
{
    emit_load_argument(prefix, 1);
    for (size_t i = 0; i < seccomp_ioctl_refused_count; i++)
        emit_return_if(prefix, seccomp_ioctl_refused[i], SECCOMP_RET_ERRNO | EPERM);
    emit_return(prefix, SECCOMP_RET_ALLOW);
}

static void socket_body(struct prefix *prefix)
{
    emit_load_argument(prefix, 0);
    for (size_t i = 0; i < seccomp_families_count; i++)
        emit_return_if(prefix, (uint32_t)seccomp_families[i], SECCOMP_RET_ALLOW);
    emit(prefix, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0);
    emit_return(prefix, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
    emit_load_argument(prefix, 2);
    emit_return_if(prefix, NETLINK_ROUTE, SECCOMP_RET_ALLOW);
    emit_return(prefix, SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
}

static void clone_body(struct prefix *prefix)
{
    uint32_t refused = 0;

    for (size_t i = 0; i < seccomp_clone_refused_count; i++)
        refused |= seccomp_clone_refused[i];
    emit_load_argument(prefix, 0);
    emit(prefix, BPF_JMP | BPF_JSET | BPF_K, refused, 0, 1);
    emit_return(prefix, SECCOMP_RET_ERRNO | EPERM);
    emit_return(prefix, SECCOMP_RET_ALLOW);
}

static void build_prefix(unsigned scope, struct prefix *prefix)
{
    static const struct {
        uint32_t number;
        unsigned scope;
        void (*body)(struct prefix *prefix);
    } calls[] = {
        {SYS_ioctl, SECCOMP_ALL, ioctl_body},
        {SYS_socket, SECCOMP_ALL, socket_body},
        {SYS_clone, SECCOMP_SANDBOX, clone_body},
    };

    /* The jumps past a body and past everything are known when that is there. */
    emit_load(prefix, offsetof(struct seccomp_data, arch));
    emit(prefix, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 0);
    emit_load(prefix, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        size_t test = prefix->used;

        if (scope & SECCOMP_LAUNCHER && !(calls[i].scope & SECCOMP_LAUNCHER))
            continue;
        emit(prefix, BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 0);
        calls[i].body(prefix);
        prefix->code[test].jf = (unsigned char)(prefix->used - test - 1);
    }
    prefix->code[1].jf = (unsigned char)(prefix->used - 2);
}

static int export_program(scmp_filter_ctx filter, const struct prefix *prefix,
                          struct seccomp_program *ret_program, struct error *err)
{
    _cleanup_close_ int file = memfd_create("seccomp", MFD_CLOEXEC);
    struct sock_filter *code;
    size_t prefix_bytes = prefix->used * sizeof(*code);
    struct stat status;
    size_t bytes;
    int failure;

    if (file < 0)
        return error_set_errno(err, errno, "cannot make a file for a filter");
    failure = seccomp_export_bpf(filter, file);
    if (failure < 0)
        return error_set_errno(err, -failure, "cannot export a filter");
    if (fstat(file, &status) < 0 || status.st_size <= 0 || status.st_size > PROGRAM_BYTES_MAX)
        return error_set(err, ERR_INTERNAL, "an exported filter has an impossible size");
    bytes = (size_t)status.st_size;
    code = malloc(prefix_bytes + bytes);
    if (!code)
        return error_set_errno(err, ENOMEM, "cannot keep a filter");
    memcpy(code, prefix->code, prefix_bytes);
    if (pread(file, (char *)code + prefix_bytes, bytes, 0) != status.st_size) {
        free(code);
        return error_set_errno(err, EIO, "cannot read a filter back");
    }
    ret_program->code.len = (unsigned short)((prefix_bytes + bytes) / sizeof(*code));
    ret_program->code.filter = code;
    return 0;
}

/* What sandbox and launcher have in common, with the rows of `scope`. */
static int build(unsigned scope, struct seccomp_program *ret_program, struct error *err)
{
    _cleanup_seccomp_ scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    struct prefix prefix = {.used = 0};
    int failure;

    if (!filter)
        return error_set(err, ERR_INTERNAL, "cannot start a filter");
    failure = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (failure == 0) /* a binary tree: loading emulates the filter for every system call */
        failure = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (failure == 0)
        failure = add_rows(filter, SCMP_ACT_ALLOW, seccomp_allowed, seccomp_allowed_count, scope);
    if (failure == 0)
        failure = add_rows(filter, SCMP_ACT_ERRNO(EPERM), seccomp_refused, seccomp_refused_count,
                           scope & SECCOMP_LAUNCHER ? SECCOMP_LAUNCHER : scope);
    if (failure == 0 && scope & SECCOMP_LAUNCHER)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0);
    if (failure == 0)
        failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                   SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (failure < 0)
        return error_set_errno(err, -failure, "cannot build a system-call filter");
    build_prefix(scope, &prefix);
    return export_program(filter, &prefix, ret_program, err);
}

int seccomp_build_sandbox(unsigned profile, struct seccomp_program *ret_program, struct error *err)
{
    return build(profile == LAUNCHER_PROFILE_DEV ? SECCOMP_DEV : SECCOMP_STRICT, ret_program, err);
}

int seccomp_build_launcher(struct seccomp_program *ret_program, struct error *err)
{
    /* Sandboxes inherit it, and the strictest of two filters decides: so all that either profile
     * may do is in it. */
    return build(SECCOMP_LAUNCHER | SECCOMP_SANDBOX, ret_program, err);
}

int seccomp_load_program(const struct seccomp_program *program)
{
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program->code);
}

void seccomp_program_free(struct seccomp_program *program)
{
    free(program->code.filter);
    program->code.filter = NULL;
}
