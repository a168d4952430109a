/* Allocates and frees in known patterns in several threads, and says what malloc says of itself.
 *
 * Arguments: the number of threads, then any of "aligned", "mapped", "fragmented", "noncontiguous",
 * "foreign". After each line from standard input it does what the line says: "info", "trim", "quit".
 * Nothing is allocated between an answer and the next line. */
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEPT = 400, CACHED = 5, FAST = 9, THREADS = 64 };

static pthread_barrier_t done;

/* Output without a buffer that malloc would have to give. */
static void say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(1, line, length) != length)
        _exit(3);
}

static void say_live(void *p)
{
    say("live %lu %lu\n", (unsigned long)(uintptr_t)p, (unsigned long)malloc_usable_size(p));
}

/* Small and middle-sized chunks; every third is freed, some large ones stay free. */
static void pattern(unsigned seed)
{
    static __thread void *kept[KEPT];
    for (int i = 0; i < KEPT; i++) {
        seed = seed * 1103515245 + 12345;
        size_t size = 1200 + seed / 65536 % 30000;
        kept[i] = malloc(size);
        memset(kept[i], 0x55, size);
    }
    for (int i = 0; i < KEPT; i += 3)
        free(kept[i]);
    for (int i = 0; i < KEPT; i += 40)
        if (i % 3)
            say_live(kept[i]);
    /* A size that nothing else asks for, so that what becomes of it is known. The first seven that
     * are freed stay with the thread (sixteen since glibc 2.43); the rest go to a fast bin. */
    void *small[7 + FAST + 1];
    for (int i = 0; i < 7 + FAST; i++)
        small[i] = malloc(0x58);
    for (int i = 0; i < 7 + FAST; i++) {
        say("freed %lu\n", (unsigned long)(uintptr_t)small[i]);
        free(small[i]);
    }
    void *middle[CACHED];
    for (int i = 0; i < CACHED; i++)
        middle[i] = malloc(0x3c8);
    for (int i = 0; i < CACHED; i++) {
        say("cached %lu\n", (unsigned long)(uintptr_t)middle[i]);
        free(middle[i]);
    }
}

static void *thread(void *seed)
{
    pattern((unsigned)(uintptr_t)seed);
    pthread_barrier_wait(&done);
    for (;;)
        pause();
}

static void mapped(void)
{
    static const size_t sizes[] = {200000, 3000000, 400 << 20, 130 << 10 << 3, 50000000};
    for (int i = 0; i < 5; i++) {
        char *p = malloc(sizes[i]);
        p[0] = 1;
        say_live(p);
    }
    /* Freed ones make the threshold grow, so that such sizes come from the heap afterwards. */
    free(malloc(700000));
    /* What the kernel is told of a part cuts the mapping; its header is alone on a page then. */
    char *cut = malloc(90000000);
    cut[0] = cut[5000000] = 1;
    char *next = cut - 16 + 4096;
    madvise(next, 80000000 / 4096 * 4096, MADV_HUGEPAGE);
    say_live(cut);
    void *p = malloc(600000);
    memset(p, 1, 600000);
    say_live(p);
    p = NULL;
    if (posix_memalign(&p, 1 << 16, 5 << 20) == 0)
        say("inside %lu\n", (unsigned long)(uintptr_t)p + 100);
}

static void info(void)
{
#if __GLIBC_PREREQ(2, 33)
    struct mallinfo2 m = mallinfo2();
#else
    struct mallinfo m = mallinfo();
#endif
    say("info arena=%lu ordblks=%lu fsmblks=%lu smblks=%lu uordblks=%lu fordblks=%lu hblks=%lu "
        "hblkhd=%lu keepcost=%lu\n", (long)m.arena, (long)m.ordblks, (long)m.fsmblks, (long)m.smblks,
        (long)m.uordblks, (long)m.fordblks, (long)m.hblks, (long)m.hblkhd, (long)m.keepcost);
}

/* The break cannot grow any more: something is in the way. */
static void block_break(void)
{
    char *end = (char *)sbrk(0);
    uintptr_t page = ((uintptr_t)end + 4095) & ~(uintptr_t)4095;
    if (mmap((void *)page, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
        == MAP_FAILED)
        _exit(4);
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 0;
    /* Output of malloc_info below, without a buffer of its own. */
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    static pthread_t ids[THREADS];
    pthread_barrier_init(&done, NULL, threads + 1);
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "foreign")) {
            pattern(77);
            char *own = sbrk(100000);
            memset(own, 0x21, 100000);
        }
        if (!strcmp(argv[i], "noncontiguous")) {
            pattern(99);
            block_break();
            pattern(101);
        }
        if (!strcmp(argv[i], "mapped"))
            mapped();
    }
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, thread, (void *)(uintptr_t)(i + 1));
    pattern(1000);
    pthread_barrier_wait(&done);
    info();
    say("ready\n");
    char command[16];
    for (;;) {
        ssize_t got = read(0, command, sizeof command);
        if (got <= 0)
            return 0;
        if (command[0] == 't')
            say("trimmed %d\n", malloc_trim(0));
        if (command[0] == 'i') {
            malloc_info(0, stdout);
            fflush(stdout);
        }
        info();
        say("ready\n");
    }
}
