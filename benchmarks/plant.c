/* Plants a tree of sleeping processes, and cleans up.
 *
 *   plant REPORT COUNT DEPTH LINGER_MS MODE CGROUP [STOP]
 *
 * REPORT is an inherited descriptor: each process of the tree writes a byte to it when it runs, and
 * holds it until it dies. So its reader sees the end of the file when the last process has died.
 * LINGER_MS is the time from SIGTERM to the exit of a process without children; the others exit at once.
 * MODE is a word of letters: s: the root leads a session; z: a dead root is not reaped;
 * i: the tree hangs below init, as a daemon does; p: each process is the Python that PLANT_PYTHON names.
 * CGROUP is a cgroup.procs file to enter, or "-".
 * STOP is an inherited descriptor of the stop pipe: with it the program is a process of the tree itself.
 * The pid of the root is printed. At the end of standard input the program cleans up and exits.
 *
 * No pid is used that could mean another process by now.  Each process sleeps in a read of the stop
 * pipe.  Its only writer is the planter, so all exit with the planter, whatever ended it.
 * The planter is also a subreaper, and kills only its own children that are not yet reaped.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int report, stop[2], linger_ms;
static char **words;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* How many children a process has, so that COUNT fit below it in DEPTH levels of equal width. */
static int branches(int count, int depth) {
    for (int width = 1;; width++) {
        long room = 1;
        for (int level = 0; level < depth && room <= count; level++)
            room *= width + 1;
        if (room > count)
            return width;
    }
}

static void linger(int number) {
    (void)number;
    struct itimerval later = {.it_value = {linger_ms / 1000, linger_ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &later, NULL);
}

static void become_python(void) {
    char numbers[2][16];
    snprintf(numbers[0], sizeof numbers[0], "%d", report);
    snprintf(numbers[1], sizeof numbers[1], "%d", stop[0]);
    const char *python = getenv("PLANT_PYTHON");
    const char *source = "import os, sys; os.write(int(sys.argv[1]), b'.'); os.read(int(sys.argv[2]), 1)";
    execl(python, python, "-I", "-S", "-c", source, numbers[0], numbers[1], NULL);
    fail(python);
}

static void sleep_until_stop(int leaf) {
    char byte;
    if (strchr(words[5], 'p'))
        become_python();
    if (leaf && linger_ms > 0)
        signal(SIGTERM, linger);
    if (write(report, "", 1) != 1)
        _exit(1);
    while (read(stop[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    _exit(0);
}

/* Fork the children of a process with *count in its tree; true in a child, with its own share there. */
static int fork_children(int *count, int *depth) {
    int below = *count - 1;
    int width = *depth > 0 && below > 0 ? branches(below, *depth) : 0;
    for (int child = 0; child < width; child++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0) {
            *count = below / width + (child < below % width);
            *depth -= 1;
            return 1;
        }
    }
    return 0;
}

/* A parent starts anew: without an exec each level of forks slows down the next, and their deaths. */
static void start_anew(int count, int depth) {
    char numbers[3][16];
    snprintf(numbers[0], sizeof numbers[0], "%d", count);
    snprintf(numbers[1], sizeof numbers[1], "%d", depth);
    snprintf(numbers[2], sizeof numbers[2], "%d", stop[0]);
    char *again[] = {words[0], words[1], numbers[0], numbers[1], words[4], words[5], words[6], numbers[2], NULL};
    execv("/proc/self/exe", again);
    fail("execv");
}

static void grow(int count, int depth) {
    int child = fork_children(&count, &depth);
    if (child && count > 1 && depth > 0)
        start_anew(count, depth);
    sleep_until_stop(child);
}

static void enter_cgroup(const char *path) {
    if (strcmp(path, "-") == 0)
        return;
    int procs = open(path, O_WRONLY);
    if (procs < 0 || write(procs, "0", 1) != 1)
        fail(path);
    close(procs);
}

static pid_t plant(int count, int depth, const char *mode, const char *cgroup) {
    pid_t root = fork();
    if (root < 0)
        fail("fork");
    if (root > 0)
        return root;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(stop[1]);
    if (strchr(mode, 's'))
        setsid();
    enter_cgroup(cgroup);
    if (strchr(mode, 'i') && fork() > 0)
        _exit(0);
    grow(count, depth);
    return -1;
}

static void kill_own_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *children = fopen(path, "r");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    if (children)
        fclose(children);
}

/* The children of the dead become ours, until none is left. */
static void clean_up(void) {
    close(stop[1]);
    for (;;) {
        kill_own_children();
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
}

static void wait_for_end(int reaping) {
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    struct pollfd events[2] = {{0, POLLIN, 0}, {signalfd(-1, &chld, SFD_CLOEXEC), POLLIN, 0}};
    struct signalfd_siginfo info;
    char byte;
    for (;;) {
        if (poll(events, reaping ? 2 : 1, -1) < 0)
            fail("poll");
        if (events[0].revents && read(0, &byte, 1) == 0)
            return;
        if (reaping && events[1].revents && read(events[1].fd, &info, sizeof info) > 0)
            while (waitpid(-1, NULL, WNOHANG) > 0)
                continue;
    }
}

int main(int argc, char **argv) {
    if (argc < 7)
        return 2;
    words = argv;
    report = atoi(argv[1]);
    linger_ms = atoi(argv[4]);
    if (argc == 8) {
        stop[0] = atoi(argv[7]);
        grow(atoi(argv[2]), atoi(argv[3]));
    }
    const char *mode = argv[5];
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    if (pipe(stop) < 0)
        fail("pipe");
    if (!strchr(mode, 'i') && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        fail("prctl");
    pid_t root = plant(atoi(argv[2]), atoi(argv[3]), mode, argv[6]);
    close(report);
    printf("%d\n", root);
    fflush(stdout);
    fclose(stdout);
    wait_for_end(!strchr(mode, 'z'));
    clean_up();
    return 0;
}
