/* A thread that watches the clock and remembers the longest gap between two looks at it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static atomic_int spinning;
static _Atomic double longest;
static atomic_int again;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void *spin(void *nothing) {
    /* Where it is permitted, other programs are kept from taking the processor away, which would
     * look like a stop. */
    setpriority(PRIO_PROCESS, gettid(), -20);
    double last = now_ms();
    while (spinning) {
        double now = now_ms();
        if (atomic_exchange(&again, 0)) longest = 0;
        else if (now - last > longest) longest = now - last;
        last = now;
    }
    return nothing;
}

static pthread_t thread;

int spin_start(void) {
    spinning = 1;
    return pthread_create(&thread, 0, spin, 0);
}

void spin_stop(void) {
    spinning = 0;
    pthread_join(thread, 0);
}

void spin_reset(void) {
    again = 1;
    while (again) {}
}

double spin_longest_ms(void) { return longest; }
