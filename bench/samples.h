/*
 * Durations in microseconds, kept whole so that percentiles are exact. A zeroed struct is empty;
 * samples_free releases it.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct samples {
    int64_t *values;
    size_t count;
    size_t capacity;
};

static inline void samples_free(struct samples *samples)
{
    free(samples->values);
    *samples = (struct samples){0};
}

/* False when memory is short. */
static inline bool samples_add(struct samples *samples, int64_t usec)
{
    if (samples->count == samples->capacity) {
        size_t capacity = samples->capacity ? samples->capacity * 2 : 1024;
        int64_t *values = reallocarray(samples->values, capacity, sizeof(*values));
        if (!values)
            return false;
        samples->values = values;
        samples->capacity = capacity;
    }
    samples->values[samples->count++] = usec;
    return true;
}

static inline int samples_compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Call before samples_percentile. */
static inline void samples_sort(struct samples *samples)
{
    if (samples->count > 1)
        qsort(samples->values, samples->count, sizeof(*samples->values), samples_compare);
}

/* Nearest-rank percentile, 1..100, of sorted samples; 0 when there are none. */
static inline int64_t samples_percentile(const struct samples *samples, size_t percent)
{
    if (samples->count == 0)
        return 0;
    size_t rank = (samples->count * percent + 99) / 100;
    return samples->values[rank ? rank - 1 : 0];
}

/* Sorts, and prints `"p50_us":…,"p95_us":…,"p99_us":…,"n":…` to stdout. */
static inline void samples_print(struct samples *samples)
{
    samples_sort(samples);
    printf("\"p50_us\":%lld,\"p95_us\":%lld,\"p99_us\":%lld,\"n\":%zu",
           (long long)samples_percentile(samples, 50), (long long)samples_percentile(samples, 95),
           (long long)samples_percentile(samples, 99), samples->count);
}

#endif
