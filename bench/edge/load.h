/* What both loads have in common: the file of prepared requests, the clocks, the line of figures. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct request { const unsigned char *bytes; int size; };

static struct request *requests;
static int request_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* The file is one request after the other, each after its length in four bytes, big-endian. */
static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    fseek(file, 0, SEEK_END);
    long size = ftell(file), at = 0;
    unsigned char *all = malloc(size);
    rewind(file);
    if (!all || fread(all, 1, size, file) != (size_t)size) { perror(path); exit(2); }
    fclose(file);
    requests = malloc(sizeof *requests * (size / 5 + 1));
    while (at + 4 <= size) {
        int length = all[at] << 24 | all[at + 1] << 16 | all[at + 2] << 8 | all[at + 3];
        requests[request_count++] = (struct request){all + at + 4, length};
        at += 4 + length;
    }
    if (!request_count) { fprintf(stderr, "%s: no requests\n", path); exit(2); }
}

static const struct request *next_request(void) {
    static int next;
    const struct request *found = requests + next;
    next = (next + 1) % request_count;
    return found;
}

/* replies/s, bytes a reply, failures, lost, and which part of a core the load itself took */
static void print_figures(double began, long replies, double bytes, long failures, long lost) {
    struct rusage used;
    double took = now() - began;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1e-6 * (used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("%.0f %.0f %ld %ld %.2f\n", replies / took, replies ? bytes / replies : 0, failures, lost, cpu / took);
}
