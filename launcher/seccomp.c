#include "launcher/seccomp.h"

#include "launcher/seccomp_policy.h"

#include "lib/base/util.h"

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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROGRAM_MAX = 512,  /* instructions */
    NUMBERS_MAX = 1024, /* above the system calls of any machine that Linux runs on */
    SPANS_MAX = NUMBERS_MAX + 3,
};

/* A jump of BPF skips so many instructions at most. */
#define JUMP_MAX UINT8_MAX

/* x32 calls have this bit (linux/arch/x86: __X32_SYSCALL_BIT). */
#define X32_BIT 0x40000000u

/* X(symbol, what the kernel does) */
#define ANSWERS(X)                                                                                 \
    X(ANSWER_ALLOW, SECCOMP_RET_ALLOW)                                                             \
    X(ANSWER_EPERM, SECCOMP_RET_ERRNO | EPERM)                                                     \
    X(ANSWER_ENOSYS, SECCOMP_RET_ERRNO | ENOSYS)                                                   \
    X(ANSWER_KILL, SECCOMP_RET_KILL_PROCESS)

enum answer {
#define ANSWER_ENUM(symbol, action) symbol,
    ANSWERS(ANSWER_ENUM)
#undef ANSWER_ENUM
        ANSWER_COUNT
};

static const uint32_t actions[] = {
#define ANSWER_ACTION(symbol, action) [symbol] = (action),
    ANSWERS(ANSWER_ACTION)
#undef ANSWER_ACTION
};

static void set_rows(enum answer answers[static NUMBERS_MAX], enum answer answer,
                     const struct seccomp_row *rows, size_t count, unsigned scope)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(rows[i].name);

        /* Another machine's call, or one that this libseccomp does not know: refused anyway. */
        if ((rows[i].scope & scope) && number >= 0 && number < NUMBERS_MAX)
            answers[number] = answer;
    }
}

static void set_answers(enum answer answers[static NUMBERS_MAX], unsigned scope)
{
    bool launcher = scope & SECCOMP_LAUNCHER;

    for (size_t i = 0; i < NUMBERS_MAX; i++)
        answers[i] = ANSWER_ENOSYS;
    set_rows(answers, ANSWER_ALLOW, seccomp_allowed, seccomp_allowed_count, scope);
    set_rows(answers, ANSWER_EPERM, seccomp_refused, seccomp_refused_count,
             launcher ? SECCOMP_LAUNCHER : scope);
    if (launcher)
        answers[SYS_clone] = ANSWER_ALLOW;
}

/* The system calls from `first` up to the next span have one answer. */
struct span {
    uint32_t first;
    enum answer answer;
};

struct spans {
    struct span items[SPANS_MAX];
    size_t count;
};

static void add_span(struct spans *spans, uint32_t first, enum answer answer)
{
    if (spans->count == 0 || spans->items[spans->count - 1].answer != answer)
        spans->items[spans->count++] = (struct span){first, answer};
}

static void find_spans(const enum answer answers[static NUMBERS_MAX], struct spans *spans)
{
    spans->count = 0;
    for (uint32_t number = 0; number < NUMBERS_MAX; number++)
        add_span(spans, number, answers[number]);
    add_span(spans, NUMBERS_MAX, ANSWER_ENOSYS);
#ifdef __x86_64__
    add_span(spans, X32_BIT, ANSWER_KILL);
    add_span(spans, UINT32_MAX, ANSWER_ENOSYS); /* no call at all, as a tracer leaves it */
#endif
}

/*
 * The program: the machine; the calls that are judged by an argument; a binary search for the span
 * of any other call; one return for each answer. The kernel checks, translates and emulates every
 * instruction anew for each sandbox, so there are few: libseccomp's own tree, with a leaf for each
 * call, has 449 where this has some 140, and takes 105 us to load instead of 40. It also compares
 * 64 bits of an argument where the kernel reads 32, so that an ioctl request with high bits set
 * would pass (CVE-2019-10063).
 */
struct program {
    struct sock_filter code[PROGRAM_MAX];
    size_t used;
};

static void emit(struct program *program, unsigned code, uint32_t value, size_t if_true,
                 size_t if_false)
{
    program->code[program->used++] = (struct sock_filter)BPF_JUMP(
        (unsigned short)code, value, (unsigned char)if_true, (unsigned char)if_false);
}

static void emit_load(struct program *program, size_t offset)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Loads the low half of an argument. */
static void emit_load_argument(struct program *program, size_t index)
{
    const size_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;

    emit_load(program, offsetof(struct seccomp_data, args) + index * sizeof(uint64_t) + low);
}

static void emit_return(struct program *program, uint32_t action)
{
    emit(program, BPF_RET | BPF_K, action, 0, 0);
}

static void emit_return_if(struct program *program, uint32_t value, uint32_t action)
{
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    emit_return(program, action);
}

static void ioctl_body(struct program *program)
{
    emit_load_argument(program, 1);
    for (size_t i = 0; i < seccomp_ioctl_refused_count; i++)
        emit_return_if(program, seccomp_ioctl_refused[i], SECCOMP_RET_ERRNO | EPERM);
    emit_return(program, SECCOMP_RET_ALLOW);
}

static void socket_body(struct program *program)
{
    emit_load_argument(program, 0);
    for (size_t i = 0; i < seccomp_families_count; i++)
        emit_return_if(program, (uint32_t)seccomp_families[i], SECCOMP_RET_ALLOW);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0);
    emit_return(program, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
    emit_load_argument(program, 2);
    emit_return_if(program, NETLINK_ROUTE, SECCOMP_RET_ALLOW);
    emit_return(program, SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
}

static void clone_body(struct program *program)
{
    uint32_t refused = 0;

    for (size_t i = 0; i < seccomp_clone_refused_count; i++)
        refused |= seccomp_clone_refused[i];
    emit_load_argument(program, 0);
    emit(program, BPF_JMP | BPF_JSET | BPF_K, refused, 0, 1);
    emit_return(program, SECCOMP_RET_ERRNO | EPERM);
    emit_return(program, SECCOMP_RET_ALLOW);
}

/* The kernel reads the low half of the family, too. */
static void socketpair_body(struct program *program)
{
    emit_load_argument(program, 0);
    emit_return_if(program, AF_UNIX, SECCOMP_RET_ALLOW);
    emit_return(program, SECCOMP_RET_ERRNO | ENOSYS);
}

static void setsockopt_body(struct program *program)
{
    emit_load_argument(program, 1);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 1, 0);
    emit_return(program, SECCOMP_RET_ALLOW);
    emit_load_argument(program, 2);
    for (size_t i = 0; i < seccomp_socket_options_refused_count; i++)
        emit_return_if(program, (uint32_t)seccomp_socket_options_refused[i],
                       SECCOMP_RET_ERRNO | EPERM);
    emit_return(program, SECCOMP_RET_ALLOW);
}

static void emit_machine(struct program *program)
{
    emit_load(program, offsetof(struct seccomp_data, arch));
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0);
    emit_return(program, SECCOMP_RET_KILL_PROCESS);
}

/* Leaves the call's number loaded. */
static void emit_judged(struct program *program, unsigned scope)
{
    static const struct {
        uint32_t number;
        unsigned scope;
        void (*body)(struct program *program);
    } calls[] = {
        {SYS_ioctl, SECCOMP_ALL, ioctl_body},
        {SYS_socket, SECCOMP_ALL, socket_body},
        {SYS_socketpair, SECCOMP_ALL, socketpair_body},
        {SYS_clone, SECCOMP_SANDBOX, clone_body},
        {SYS_setsockopt, SECCOMP_SANDBOX, setsockopt_body},
    };

    emit_load(program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        size_t test = program->used;

        if (scope & SECCOMP_LAUNCHER && !(calls[i].scope & SECCOMP_LAUNCHER))
            continue;
        /* The jump past the body is known when that is there. */
        emit(program, BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 0);
        calls[i].body(program);
        program->code[test].jf = (unsigned char)(program->used - test - 1);
    }
}

/* Where the search goes on for the spans from `from` up to `to`, whose code begins at `at`. */
static size_t search_target(const struct spans *spans, size_t from, size_t to, size_t at,
                            size_t returns)
{
    return to - from == 1 ? returns + spans->items[from].answer : at;
}

/* One comparison less than there are spans, in preorder. Its depth is the logarithm of that. */
static void emit_search(struct program *program, const struct spans *spans, size_t from, size_t to,
                        size_t returns)
{
    size_t middle = from + (to - from) / 2;
    size_t below = program->used + 1;
    size_t above = below + (middle - from - 1);

    if (to - from == 1)
        return;
    emit(program, BPF_JMP | BPF_JGE | BPF_K, spans->items[middle].first,
         search_target(spans, middle, to, above, returns) - below,
         search_target(spans, from, middle, below, returns) - below);
    emit_search(program, spans, from, middle, returns);
    emit_search(program, spans, middle, to, returns);
}

static int keep_program(const struct program *program, struct seccomp_program *ret_program,
                        struct error *err)
{
    size_t bytes = program->used * sizeof(program->code[0]);
    struct sock_filter *code = malloc(bytes);

    if (!code)
        return error_set_errno(err, ENOMEM, "cannot keep a filter");
    memcpy(code, program->code, bytes);
    ret_program->code.len = (unsigned short)program->used;
    ret_program->code.filter = code;
    return 0;
}

/* What sandbox and launcher have in common, with the rows of `scope`. */
static int build(unsigned scope, struct seccomp_program *ret_program, struct error *err)
{
    enum answer answers[NUMBERS_MAX];
    struct program program = {.used = 0};
    struct spans spans;

    set_answers(answers, scope);
    find_spans(answers, &spans);
    /* A return is reached by one jump. */
    if (spans.count + ANSWER_COUNT > JUMP_MAX)
        return error_set(err, ERR_INTERNAL, "the system-call policy is too long");
    emit_machine(&program);
    emit_judged(&program, scope);
    emit_search(&program, &spans, 0, spans.count, program.used + spans.count - 1);
    for (size_t i = 0; i < ANSWER_COUNT; i++)
        emit_return(&program, actions[i]);
    return keep_program(&program, ret_program, err);
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
