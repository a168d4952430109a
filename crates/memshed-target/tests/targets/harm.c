/*
 * A program whose threads sit in every kind of call that a stop could disturb, and which counts
 * every disturbance. Build: cc -O1 -pthread harm.c -o harm. Conversation, line by line:
 *   it says   "ready PID"            once every thread has been round once
 *   told      "report"               it says one line per kind, then "end"
 *   told      "turns N"              it says "turned" when N more turns are over, of whatever kind
 *   told      "round"                it says "turned" when a whole turn of every kind is over
 *   told      "quit" or end of file  it ends
 * A report line: KIND rounds=N eintr=N short=N other=N late_ms=N gap_us=N
 *   short: a timeout that ended early, or a transfer that was cut short
 *   late_ms: the most that a timeout ended too late
 *   gap_us: (spin only) the longest time in which the thread did not run
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 150

typedef struct kind {
    const char *name;
    void (*turn)(struct kind *);
    atomic_long rounds, eintr, shorter, other, late_ms, gap_us;
    int fd[2];
    long id;
} kind;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static struct timespec span(int ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    return t;
}

/* A wait that should have taken `due` ms took `took`. */
static void came(kind *k, double took, double due) {
    long late = (long)(took - due);
    if (late > k->late_ms) k->late_ms = late;
}

/* A wait of TIMEOUT_MS that began at `start` is over; `ok`: it ended as a timeout should. */
static void timed(kind *k, double start, int ok) {
    int error = errno;
    double took = now_ms() - start;
    if (!ok) {
        if (error == EINTR) k->eintr++;
        else k->other++;
    } else if (took < TIMEOUT_MS - 1) k->shorter++;
    came(k, took, TIMEOUT_MS);
}

/* A transfer of `want` bytes gave `got`. */
static void moved(kind *k, ssize_t got, ssize_t want) {
    if (got == want) return;
    if (got >= 0) k->shorter++;
    else if (errno == EINTR) k->eintr++;
    else k->other++;
}

static void turn_nanosleep(kind *k) {
    double s = now_ms();
    struct timespec t = span(TIMEOUT_MS);
    timed(k, s, nanosleep(&t, NULL) == 0);
}
static void turn_clock_nanosleep(kind *k) {
    double s = now_ms();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += TIMEOUT_MS * 1000000L;
    if (t.tv_nsec >= 1000000000L) t.tv_nsec -= 1000000000L, t.tv_sec++;
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    timed(k, s, errno == 0);
}
static void turn_poll(kind *k) {
    double s = now_ms();
    timed(k, s, poll(NULL, 0, TIMEOUT_MS) == 0);
}
static void turn_ppoll(kind *k) {
    double s = now_ms();
    struct timespec t = span(TIMEOUT_MS);
    sigset_t none;
    sigemptyset(&none);
    sigaddset(&none, SIGRTMIN);
    timed(k, s, ppoll(NULL, 0, &t, &none) == 0);
}
static void turn_select(kind *k) {
    double s = now_ms();
    struct timeval t = {0, TIMEOUT_MS * 1000};
    timed(k, s, select(0, NULL, NULL, NULL, &t) == 0);
}
static void turn_epoll(kind *k) {
    double s = now_ms();
    struct epoll_event e;
    if (!k->fd[0]) k->fd[0] = epoll_create1(0);
    timed(k, s, epoll_wait(k->fd[0], &e, 1, TIMEOUT_MS) == 0);
}
static void turn_epoll_pwait2(kind *k) {
    double s = now_ms();
    struct epoll_event e;
    struct timespec t = span(TIMEOUT_MS);
    if (!k->fd[0]) k->fd[0] = epoll_create1(0);
    long r = syscall(441, k->fd[0], &e, 1, &t, NULL, 8);
    if (r < 0 && errno == ENOSYS) usleep(TIMEOUT_MS * 1000 + 1000), r = 0;
    timed(k, s, r == 0);
}
/* Woken through an eventfd by a thread of its own, so that it is never for long in one call. */
static void *ring(void *fd) {
    uint64_t one = 1;
    for (;;) {
        usleep(3000);
        if (write((int)(intptr_t)fd, &one, 8) != 8) abort();
    }
    return NULL;
}
static void turn_epoll_forever(kind *k) {
    struct epoll_event e = {EPOLLIN, {0}};
    uint64_t n;
    if (!k->fd[0]) {
        pthread_t t;
        k->fd[0] = epoll_create1(0);
        k->fd[1] = eventfd(0, 0);
        epoll_ctl(k->fd[0], EPOLL_CTL_ADD, k->fd[1], &e);
        pthread_create(&t, NULL, ring, (void *)(intptr_t)k->fd[1]);
    }
    moved(k, epoll_wait(k->fd[0], &e, 1, -1), 1);
    moved(k, read(k->fd[1], &n, 8), 8);
}
static void turn_futex(kind *k) {
    double s = now_ms();
    int word = 0;
    struct timespec t = span(TIMEOUT_MS);
    long r = syscall(SYS_futex, &word, 0, 0, &t, NULL, 0);
    timed(k, s, r < 0 && errno == ETIMEDOUT);
}
static void socket_with_timeout(kind *k) {
    struct timeval t = {0, TIMEOUT_MS * 1000};
    if (k->fd[0]) return;
    socketpair(AF_UNIX, SOCK_STREAM, 0, k->fd);
    setsockopt(k->fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}
static void turn_recv_timeout(kind *k) {
    char c;
    socket_with_timeout(k);
    double s = now_ms();
    timed(k, s, recv(k->fd[0], &c, 1, 0) < 0 && errno == EAGAIN);
}
static void turn_read_timeout(kind *k) {
    char c;
    socket_with_timeout(k);
    double s = now_ms();
    timed(k, s, read(k->fd[0], &c, 1) < 0 && errno == EAGAIN);
}
static void turn_accept_timeout(kind *k) {
    struct timeval t = {0, TIMEOUT_MS * 1000};
    if (!k->fd[0]) {
        struct sockaddr_in a = {.sin_family = AF_INET};
        k->fd[0] = socket(AF_INET, SOCK_STREAM, 0);
        bind(k->fd[0], (void *)&a, sizeof a);
        listen(k->fd[0], 1);
        setsockopt(k->fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    }
    double s = now_ms();
    timed(k, s, accept(k->fd[0], NULL, NULL) < 0 && errno == EAGAIN);
}
static void turn_sigtimedwait(kind *k) {
    sigset_t set;
    struct timespec t = span(TIMEOUT_MS);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 5);
    double s = now_ms();
    timed(k, s, sigtimedwait(&set, NULL, &t) < 0 && errno == EAGAIN);
}
static void turn_semtimedop(kind *k) {
    struct sembuf op = {0, -1, 0};
    struct timespec t = span(TIMEOUT_MS);
    if (!k->id) k->id = semget(IPC_PRIVATE, 1, 0600) + 1;
    double s = now_ms();
    timed(k, s, semtimedop(k->id - 1, &op, 1, &t) < 0 && errno == EAGAIN);
}
static void turn_io_getevents(kind *k) {
    struct io_event e;
    struct timespec t = span(TIMEOUT_MS);
    if (!k->id) {
        aio_context_t c = 0;
        if (syscall(SYS_io_setup, 1, &c) != 0) abort();
        k->id = (long)c;
    }
    double s = now_ms();
    timed(k, s, syscall(SYS_io_getevents, k->id, 1, 1, &e, &t) == 0);
}
/* A writer far ahead of its reader: blocked half-way through a write. */
static void *sip(void *fd) {
    char cup[16384];
    for (;;) {
        if (read((int)(intptr_t)fd, cup, sizeof cup) <= 0) abort();
        usleep(2000);
    }
    return NULL;
}
static char ocean[1 << 20];
static void turn_pipe_write(kind *k) {
    if (!k->fd[0]) {
        pthread_t t;
        if (pipe(k->fd)) abort();
        pthread_create(&t, NULL, sip, (void *)(intptr_t)k->fd[0]);
    }
    moved(k, write(k->fd[1], ocean, sizeof ocean), sizeof ocean);
}
static void turn_send(kind *k) {
    if (!k->fd[0]) {
        pthread_t t;
        socketpair(AF_UNIX, SOCK_STREAM, 0, k->fd);
        pthread_create(&t, NULL, sip, (void *)(intptr_t)k->fd[0]);
    }
    moved(k, send(k->fd[1], ocean, sizeof ocean, 0), sizeof ocean);
}
static void *drip(void *fd) {
    for (;;) {
        if (write((int)(intptr_t)fd, "drop", 4) != 4) abort();
        usleep(2000);
    }
    return NULL;
}
static void turn_recv_all(kind *k) {
    char lake[200];
    if (!k->fd[0]) {
        pthread_t t;
        socketpair(AF_UNIX, SOCK_STREAM, 0, k->fd);
        pthread_create(&t, NULL, drip, (void *)(intptr_t)k->fd[0]);
    }
    moved(k, recv(k->fd[1], lake, sizeof lake, MSG_WAITALL), sizeof lake);
}
static void turn_pipe_read(kind *k) {
    char drop[4];
    if (!k->fd[0]) {
        pthread_t t;
        if (pipe(k->fd)) abort();
        pthread_create(&t, NULL, drip, (void *)(intptr_t)k->fd[1]);
    }
    moved(k, read(k->fd[0], drop, 4), 4);
}
static void turn_wait(kind *k) {
    pid_t child = fork();
    int status = -1;
    if (child == 0) {
        struct timespec t = span(20);
        nanosleep(&t, NULL);
        _exit(7);
    }
    if (child < 0) {
        k->other++;
        return;
    }
    pid_t got = waitpid(child, &status, 0);
    moved(k, got, child);
    if (got == child && (!WIFEXITED(status) || WEXITSTATUS(status) != 7)) k->other++;
}
static void turn_vfork(kind *k) {
    int status = -1;
    char *argv[] = {"sleep", "0.05", NULL};
    pid_t child = vfork();
    if (child == 0) {
        usleep(10000);
        execv("/bin/sleep", argv);
        _exit(1);
    }
    moved(k, waitpid(child, &status, 0), child);
    if (status != 0) k->other++;
}
/* Only alone: a program without children must not be told of any. */
static void turn_childless(kind *k) {
    int status;
    if (waitpid(-1, &status, WNOHANG) != -1 || errno != ECHILD) k->other++;
    usleep(200);
}
static void turn_file(kind *k) {
    char block[4096];
    if (!k->fd[0]) {
        char name[] = "/tmp/memshed-harm-XXXXXX";
        k->fd[0] = mkstemp(name);
        unlink(name);
    }
    long seed = k->rounds;
    memset(block, (int)seed, sizeof block);
    moved(k, pwrite(k->fd[0], block, sizeof block, seed % 64 * 4096), sizeof block);
    memset(block, 0, sizeof block);
    moved(k, pread(k->fd[0], block, sizeof block, seed % 64 * 4096), sizeof block);
    if (block[17] != (char)seed) k->other++;
    usleep(300);
}
static atomic_long signals_seen;
static void on_signal(int s) {
    (void)s;
    signals_seen++;
}
static void turn_signals(kind *k) {
    union sigval v = {0};
    long before = signals_seen;
    pthread_sigqueue(pthread_self(), SIGRTMIN, v);
    pthread_sigqueue(pthread_self(), SIGRTMIN, v);
    if (signals_seen != before + 2) k->other++;
    usleep(500);
}
/* EINTR that is meant to be seen: a real signal ends an epoll_wait. */
static void *knock(void *thread) {
    for (;;) {
        usleep(20000);
        pthread_kill((pthread_t)thread, SIGRTMIN + 1);
    }
    return NULL;
}
static void on_knock(int s) { (void)s; }
static void turn_wanted_eintr(kind *k) {
    struct epoll_event e;
    if (!k->fd[0]) {
        pthread_t t;
        k->fd[0] = epoll_create1(0);
        pthread_create(&t, NULL, knock, (void *)pthread_self());
    }
    double s = now_ms();
    if (epoll_wait(k->fd[0], &e, 1, -1) < 0 && errno == EINTR) k->eintr++;
    else k->other++;
    came(k, now_ms() - s, 20);
}
static void turn_spin(kind *k) {
    double last = now_ms(), end = last + 20;
    while (last < end) {
        double t = now_ms();
        long gap = (long)((t - last) * 1e3);
        if (gap > k->gap_us) k->gap_us = gap;
        last = t;
    }
}

#define KIND(name) {#name, turn_##name, 0, 0, 0, 0, 0, 0, {0, 0}, 0}
static kind kinds[] = {
    KIND(nanosleep), KIND(clock_nanosleep), KIND(poll), KIND(ppoll), KIND(select), KIND(epoll),
    KIND(epoll_pwait2), KIND(epoll_forever), KIND(futex), KIND(recv_timeout), KIND(read_timeout),
    KIND(accept_timeout), KIND(sigtimedwait), KIND(semtimedop), KIND(io_getevents),
    KIND(pipe_write), KIND(send), KIND(recv_all), KIND(pipe_read), KIND(wait), KIND(vfork),
    KIND(childless), KIND(file), KIND(signals), KIND(wanted_eintr), KIND(spin),
};
#define KINDS (sizeof kinds / sizeof *kinds)

static void *run(void *arg) {
    kind *k = arg;
    for (;;) {
        k->turn(k);
        k->rounds++;
    }
    return NULL;
}

/* Lets turns go by: in the threads, or here where there is but one. */
static void let_pass(kind *alone) {
    if (alone) {
        alone->turn(alone);
        alone->rounds++;
    } else usleep(100);
}
static long sum_of_rounds(void) {
    long sum = 0;
    for (size_t i = 0; i < KINDS; i++) sum += kinds[i].rounds;
    return sum;
}
static void wait_for_turns(kind *alone, long turns) {
    long before = sum_of_rounds();
    while (sum_of_rounds() < before + turns) let_pass(alone);
}
static void wait_for_a_round(kind *alone) {
    /* The turn that is under way counts for none. */
    long before[KINDS];
    for (size_t i = 0; i < KINDS; i++) before[i] = kinds[i].rounds;
    for (size_t i = 0; i < KINDS; i++)
        while (before[i] >= 0 && kinds[i].rounds < before[i] + 2) let_pass(alone);
}
static void report(void) {
    for (size_t i = 0; i < KINDS; i++) {
        kind *k = &kinds[i];
        if (k->rounds < 0) continue;
        printf("%s rounds=%ld eintr=%ld short=%ld other=%ld late_ms=%ld gap_us=%ld\n", k->name,
               k->rounds, k->eintr, k->shorter, k->other, k->late_ms, k->gap_us);
    }
    printf("end\n");
    kinds[KINDS - 1].gap_us = 0;
}

/* harm [KIND…]: only these kinds; one kind alone runs in the main thread after "ready". */
int main(int argc, char **argv) {
    char line[64];
    sigset_t set;
    kind *alone = NULL;
    struct sigaction action = {.sa_handler = on_signal}, knocking = {.sa_handler = on_knock};
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGRTMIN + 1, &knocking, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 5);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < KINDS; i++) {
        int wanted = argc < 2 && kinds[i].turn != turn_childless;
        pthread_t t;
        for (int a = 1; a < argc; a++) wanted |= !strcmp(argv[a], kinds[i].name);
        if (!wanted) kinds[i].rounds = -1;
        else if (argc == 2) alone = &kinds[i];
        else pthread_create(&t, NULL, run, &kinds[i]);
    }
    for (size_t i = 0; i < KINDS && !alone; i++)
        while (kinds[i].rounds == 0) usleep(1000);
    printf("ready %d\n", getpid());
    fflush(stdout);
    for (;;) {
        /* The only thread: until there is something to read. */
        struct pollfd input = {0, POLLIN, 0};
        while (alone && poll(&input, 1, 0) == 0) let_pass(alone);
        if (!fgets(line, sizeof line, stdin) || !strcmp(line, "quit\n")) break;
        if (!strcmp(line, "report\n")) report();
        else if (!strcmp(line, "round\n")) wait_for_a_round(alone), printf("turned\n");
        else if (!strncmp(line, "turns ", 6)) wait_for_turns(alone, atol(line + 6)), printf("turned\n");
        fflush(stdout);
    }
    for (size_t i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i].name, "semtimedop") && kinds[i].id)
            semctl(kinds[i].id - 1, 0, IPC_RMID);
    return 0;
}
