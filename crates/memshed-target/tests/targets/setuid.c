/*
 * A program whose file is root's and set-user-ID: becomes user 65534, says "ready", and told "exec"
 * executes itself again; then it says "user N", the user that it is, and ends when told anything.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

int main(int count, char **args) {
    char line[64];
    if (count > 1) {
        printf("user %d\n", (int)geteuid());
        fflush(stdout);
        return !fgets(line, sizeof line, stdin);
    }
    int file = open(args[0], O_RDONLY);
    char *again[] = {args[0], "again", NULL};
    if (file < 0 || setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        abort();
    printf("ready\n");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin)) fexecve(file, again, environ);
    return 1;
}
