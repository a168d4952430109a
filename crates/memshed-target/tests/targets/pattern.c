/*
 * Memory with known contents. Says where: "ready", then lines "NAME ADDRESS BYTES", then "end".
 *   pattern   8-byte words, each its own address times 0x9e3779b97f4a7c15
 *   sparse    64 GB reserved, one word written at the start of each GB
 *   word      one 8-byte word, 0; 1 for most of the time once told "flicker"
 * Told "change" it overwrites the pattern and says "changed"; "exit": ends at once; "seccomp KIND"
 * (errno or kill): forbids itself clone and its like, says "sealed"; "dontfork": the pattern is
 * not copied by fork from then on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATTERN (64UL << 20)
#define SPARSE (64UL << 30)
static volatile uint64_t word;

static void *map(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

static void *flicker(void *none) {
    for (;;) {
        word = 1;
        usleep(1500);
        word = 0;
        usleep(500);
    }
    return none;
}

static void seal(int action) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, action),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program)) abort();
}

int main(void) {
    char line[64];
    uint64_t *pattern = map(PATTERN);
    char *sparse = map(SPARSE);
    for (size_t i = 0; i < PATTERN / 8; i++)
        pattern[i] = (uint64_t)(uintptr_t)(pattern + i) * 0x9e3779b97f4a7c15UL;
    for (size_t at = 0; at < SPARSE; at += 1UL << 30) *(uint64_t *)(sparse + at) = at + 1;
    printf("ready\npattern %lu %lu\nsparse %lu %lu\nword %lu 8\nend\n", (unsigned long)pattern,
           PATTERN, (unsigned long)sparse, SPARSE, (unsigned long)&word);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        pthread_t thread;
        if (!strcmp(line, "change\n")) {
            memset(pattern, 0x55, PATTERN);
            printf("changed\n");
        } else if (!strcmp(line, "flicker\n")) {
            pthread_create(&thread, NULL, flicker, NULL);
            printf("flickers\n");
        } else if (!strcmp(line, "dontfork\n")) {
            madvise(pattern, PATTERN, MADV_DONTFORK);
            printf("kept\n");
        } else if (!strcmp(line, "seccomp errno\n")) {
            seal(SECCOMP_RET_ERRNO | EPERM);
            printf("sealed\n");
        } else if (!strcmp(line, "seccomp kill\n")) {
            seal(SECCOMP_RET_KILL_PROCESS);
            printf("sealed\n");
        } else if (!strcmp(line, "exit\n")) {
            _exit(0);
        }
        fflush(stdout);
    }
    return 0;
}
