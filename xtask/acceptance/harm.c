/* Threads in every kind of blocking call, from C: each checks, round by round, that nobody disturbs
 * it. A call that returns early, late, with an error, or a peer that sees no end of file, is
 * counted in the thread's slot. Built as a shared library that harm.py loads. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct slot {
    char name[32];
    unsigned long rounds, errors, shorts, longs;
    char text[96]; /* the first complaint */
    int quiet;     /* parked: has no child and starts none */
};

static volatile int *stop, *quiesce;

#define TIMEOUT_MS 20
#define LONG_MS 3000

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void complain(struct slot *slot, const char *what, long result, int error) {
    slot->errors++;
    if (!slot->text[0])
        snprintf(slot->text, sizeof slot->text, "%s: %ld %s", what, result, error ? strerror(error) : "");
}

/* A call with a timeout of TIMEOUT_MS that began at `began` and should have run into it. */
static void timed(struct slot *slot, double began) {
    double took = now_ms() - began;
    if (took < TIMEOUT_MS - 0.5) {
        slot->shorts++;
        if (!slot->text[0]) snprintf(slot->text, sizeof slot->text, "only %.3f ms", took);
    }
    if (took > TIMEOUT_MS + LONG_MS) slot->longs++;
    slot->rounds++;
}

static const struct timespec timeout = {0, TIMEOUT_MS * 1000000L};

static void nap(int ms) {
    struct timespec t = {0, ms * 1000000L};
    while (nanosleep(&t, &t) && errno == EINTR);
}

/* Held while there is a child, and while the end of a pipe or lock is looked for: a child that has
 * not got through its exec (a vfork's parent goes on earlier) rightly holds a copy of every
 * descriptor. */
static pthread_mutex_t descriptors = PTHREAD_MUTEX_INITIALIZER;

void harm_lock(void) { pthread_mutex_lock(&descriptors); }
void harm_unlock(void) { pthread_mutex_unlock(&descriptors); }

#define THREAD(name) static void *name(void *argument)
#define SLOT struct slot *slot = argument
#define FOREVER while (!*stop)

THREAD(c_nanosleep) {
    SLOT;
    FOREVER {
        double began = now_ms();
        int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL);
        if (error) complain(slot, "clock_nanosleep", error, error);
        timed(slot, began);
    }
    return NULL;
}

THREAD(c_select) {
    SLOT;
    int ends[2];
    if (pipe(ends)) return NULL;
    FOREVER {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(ends[0], &set);
        struct timeval t = {0, TIMEOUT_MS * 1000};
        double began = now_ms();
        int ready = select(ends[0] + 1, &set, NULL, NULL, &t);
        if (ready) complain(slot, "select", ready, errno);
        timed(slot, began);
    }
    return NULL;
}

THREAD(c_poll) {
    SLOT;
    int ends[2];
    if (pipe(ends)) return NULL;
    FOREVER {
        struct pollfd one = {ends[0], POLLIN, 0};
        double began = now_ms();
        int ready = poll(&one, 1, TIMEOUT_MS);
        if (ready) complain(slot, "poll", ready, errno);
        timed(slot, began);
    }
    return NULL;
}

THREAD(c_epoll) {
    SLOT;
    int all = epoll_create1(0);
    FOREVER {
        struct epoll_event event;
        double began = now_ms();
        int ready = epoll_wait(all, &event, 1, TIMEOUT_MS);
        if (ready) complain(slot, "epoll_wait", ready, errno);
        timed(slot, began);
    }
    return NULL;
}

THREAD(c_futex) {
    SLOT;
    int word = 0;
    FOREVER {
        double began = now_ms();
        long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
        if (result != -1 || errno != ETIMEDOUT) complain(slot, "futex", result, errno);
        timed(slot, began);
    }
    return NULL;
}

static int numbers[2];

THREAD(c_pipe_read) {
    SLOT;
    unsigned long expected = 0, got;
    FOREVER {
        long length = read(numbers[0], &got, sizeof got);
        if (length != sizeof got) complain(slot, "read of a pipe", length, errno);
        else if (got != expected) complain(slot, "wrong number in a pipe", got, 0);
        expected = got + 1;
        slot->rounds++;
    }
    return NULL;
}

THREAD(c_pipe_write) {
    SLOT;
    unsigned long number = 0;
    FOREVER {
        nap(3);
        long length = write(numbers[1], &number, sizeof number);
        if (length != sizeof number) complain(slot, "write to a pipe", length, errno);
        number++;
        slot->rounds++;
    }
    number = write(numbers[1], &number, sizeof number);
    return NULL;
}

THREAD(c_recv_timeout) {
    SLOT;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return NULL;
    struct timeval t = {0, TIMEOUT_MS * 1000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    FOREVER {
        char byte;
        double began = now_ms();
        long length = recv(ends[0], &byte, 1, 0);
        if (length != -1 || errno != EAGAIN) complain(slot, "recv with SO_RCVTIMEO", length, errno);
        timed(slot, began);
    }
    return NULL;
}

static struct sockaddr_in address;
static int listening;

/* Accepts, and must see the end of each connection soon after its peer has closed it. */
THREAD(c_accept) {
    SLOT;
    FOREVER {
        int peer = accept(listening, NULL, NULL);
        if (peer < 0) {
            complain(slot, "accept", peer, errno);
            continue;
        }
        char text[8];
        long length = recv(peer, text, sizeof text, MSG_WAITALL);
        if (length != sizeof text) complain(slot, "recv", length, errno);
        struct pollfd one = {peer, POLLIN, 0};
        int ready = poll(&one, 1, 2000);
        if (ready != 1 || recv(peer, text, 1, 0) != 0) complain(slot, "a closed connection was kept open", ready, errno);
        close(peer);
        slot->rounds++;
    }
    return NULL;
}

THREAD(c_connect) {
    SLOT;
    do {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&address, sizeof address)) complain(slot, "connect", -1, errno);
        nap(2);
        long length = send(s, "12345678", 8, MSG_NOSIGNAL);
        if (length != 8) complain(slot, "send", length, errno);
        nap(2);
        close(s);
        slot->rounds++;
    } while (!*stop);
    return NULL;
}

/* A pipe's reader and a socket's peer see the end at once when the other end is closed here. */
THREAD(c_close) {
    SLOT;
    FOREVER {
        int ends[2];
        int made = slot->rounds % 2 ? pipe2(ends, O_CLOEXEC)
                                      : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
        if (made) {
            complain(slot, "pipe", made, errno);
            continue;
        }
        nap(3);
        harm_lock();
        close(ends[1]);
        struct pollfd one = {ends[0], POLLIN, 0};
        int ready = poll(&one, 1, 0);
        harm_unlock();
        if (ready != 1 || !(one.revents & POLLHUP)) complain(slot, "a closed pipe was kept open", ready, errno);
        close(ends[0]);
        slot->rounds++;
    }
    return NULL;
}

static void park(struct slot *slot) {
    while (*quiesce && !*stop) {
        slot->quiet = 1;
        nap(2);
    }
    slot->quiet = 0;
}

THREAD(c_vfork) {
    SLOT;
    static char *const arguments[] = {"true", NULL};
    static char *const environment[] = {NULL};
    FOREVER {
        park(slot);
        int late = slot->rounds % 8 == 0;
        harm_lock();
        pid_t child = vfork();
        if (child == 0) {
            if (late) syscall(SYS_nanosleep, &timeout, NULL);
            execve("/bin/true", arguments, environment);
            _exit(77);
        }
        int status = 0;
        pid_t ended = waitpid(child, &status, 0);
        harm_unlock();
        if (child < 0 || ended != child || status) complain(slot, "vfork, exec, waitpid", ended < 0 ? ended : status, errno);
        slot->rounds++;
        nap(2);
    }
    return NULL;
}

THREAD(c_file) {
    SLOT;
    char name[] = "/tmp/memshed-harm-XXXXXX", wrote[4096], got[4096];
    int file = mkostemp(name, O_CLOEXEC);
    int again = open(name, O_RDWR | O_CLOEXEC);
    FOREVER {
        memset(wrote, (int)slot->rounds, sizeof wrote);
        long length = pwrite(file, wrote, sizeof wrote, 0);
        if (length != sizeof wrote) complain(slot, "pwrite", length, errno);
        if (slot->rounds % 16 == 0 && fsync(file)) complain(slot, "fsync", -1, errno);
        length = pread(again, got, sizeof got, 0);
        if (length != sizeof got || memcmp(wrote, got, sizeof got)) complain(slot, "pread", length, errno);
        /* A lock goes with the last descriptor of its open file. */
        int locked = open(name, O_RDWR | O_CLOEXEC);
        if (flock(locked, LOCK_EX)) complain(slot, "flock", -1, errno);
        nap(1);
        harm_lock();
        close(locked);
        if (flock(again, LOCK_EX | LOCK_NB)) complain(slot, "a lock was kept", -1, errno);
        harm_unlock();
        flock(again, LOCK_UN);
        slot->rounds++;
    }
    unlink(name);
    return NULL;
}

THREAD(c_sigtimedwait) {
    SLOT;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    FOREVER {
        double began = now_ms();
        int got = sigtimedwait(&set, NULL, &timeout);
        if (got != -1 || errno != EAGAIN) complain(slot, "sigtimedwait", got, errno);
        timed(slot, began);
    }
    return NULL;
}

THREAD(c_semtimedop) {
    SLOT;
    int semaphore = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf take = {0, -1, 0};
    FOREVER {
        double began = now_ms();
        int result = semtimedop(semaphore, &take, 1, &timeout);
        if (result != -1 || errno != EAGAIN) complain(slot, "semtimedop", result, errno);
        timed(slot, began);
    }
    semctl(semaphore, 0, IPC_RMID);
    return NULL;
}

static int messages;
struct message { long kind; unsigned long number; };

THREAD(c_msgrcv) {
    SLOT;
    unsigned long expected = 0;
    FOREVER {
        struct message got;
        long length = msgrcv(messages, &got, sizeof got.number, 1, 0);
        if (length != sizeof got.number) complain(slot, "msgrcv", length, errno);
        else if (got.number != expected++) complain(slot, "wrong message", got.number, 0);
        slot->rounds++;
    }
    msgctl(messages, IPC_RMID, NULL);
    return NULL;
}

THREAD(c_msgsnd) {
    SLOT;
    struct message one = {1, 0};
    do {
        nap(5);
        if (msgsnd(messages, &one, sizeof one.number, 0)) complain(slot, "msgsnd", -1, errno);
        one.number++;
        slot->rounds++;
    } while (!*stop);
    nap(50);
    if (msgsnd(messages, &one, sizeof one.number, 0)) return NULL;
    return NULL;
}

/* Real-time signals, numbered; each must arrive once and in order. */
static pthread_t receiver;
static volatile unsigned long signals_sent, signals_received;
static struct slot *signal_slot;

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if ((unsigned long)info->si_value.sival_ptr != signals_received)
        complain(signal_slot, "signal out of order", (long)info->si_value.sival_ptr, 0);
    signals_received++;
}

THREAD(c_signal_receive) {
    SLOT;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    volatile unsigned long work = 0;
    while (!*stop || signals_received != signals_sent) {
        for (int i = 0; i < 200000; i++) work += i;
        nap(1);
        slot->rounds++;
    }
    return NULL;
}

THREAD(c_signal_send) {
    SLOT;
    nap(50);
    FOREVER {
        union sigval number = {.sival_ptr = (void *)signals_sent};
        int error = pthread_sigqueue(receiver, SIGRTMIN + 1, number);
        if (error == 0) signals_sent++;
        else if (error != EAGAIN) complain(slot, "sigqueue", error, error);
        nap(1);
        slot->rounds++;
    }
    return NULL;
}

static const struct { const char *name; void *(*body)(void *); } kinds[] = {
    {"C nanosleep", c_nanosleep}, {"C select", c_select}, {"C poll", c_poll}, {"C epoll", c_epoll},
    {"C futex", c_futex}, {"C pipe read", c_pipe_read}, {"C pipe write", c_pipe_write},
    {"C recv timeout", c_recv_timeout}, {"C accept", c_accept}, {"C connect", c_connect},
    {"C close", c_close}, {"C vfork", c_vfork}, {"C file", c_file}, {"C sigtimedwait", c_sigtimedwait},
    {"C semtimedop", c_semtimedop}, {"C msgrcv", c_msgrcv}, {"C msgsnd", c_msgsnd},
    {"C signal receive", c_signal_receive}, {"C signal send", c_signal_send},
};

/* Starts the threads, each with a slot; returns how many. */
int harm_start(struct slot *slots, int *stop_flag, int *quiesce_flag) {
    stop = stop_flag;
    quiesce = quiesce_flag;
    if (pipe(numbers)) return -1;
    messages = msgget(IPC_PRIVATE, 0600);
    listening = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listening, (struct sockaddr *)&address, length) || listen(listening, 16)) return -1;
    getsockname(listening, (struct sockaddr *)&address, &length);

    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN + 1, &action, NULL);
    /* Nothing but what memshed does may interrupt these threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int count = sizeof kinds / sizeof *kinds;
    for (int i = 0; i < count; i++) {
        strcpy(slots[i].name, kinds[i].name);
        slots[i].quiet = kinds[i].body != c_vfork;
        if (kinds[i].body == c_signal_receive) signal_slot = &slots[i];
        pthread_t thread;
        if (pthread_create(&thread, NULL, kinds[i].body, &slots[i])) return -1;
        if (kinds[i].body == c_signal_receive) receiver = thread;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count;
}

void harm_signals(unsigned long *sent, unsigned long *received) {
    *sent = signals_sent;
    *received = signals_received;
}
