/* The same work in C, as a worker: the cost of the system itself.
 *
 *   walk          reads the children files, opens a pidfd for each, SIGKILL, one poll each
 *   walk cgroup   writes to cgroup.kill and waits until it is empty
 *
 * A request is a line "PID GRACE CGROUP", an answer "START END CPU ALIVE", in seconds of the monotonic clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 65536, PATIENCE_MS = 5000 };

struct member {
    int pid, pidfd;
};

static struct member tree[MOST];

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int add(int size, int pid) {
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || size == MOST)
        return size;
    tree[size] = (struct member){pid, pidfd};
    return size + 1;
}

static int add_children(int size, int pid) {
    static char text[1 << 19];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    int file = open(path, O_RDONLY);
    if (file < 0)
        return size;
    size_t length = 0;
    for (ssize_t got; (got = read(file, text + length, sizeof text - 1 - length)) > 0;)
        length += got;
    close(file);
    text[length] = 0;
    char *next = text;
    for (int child; (child = strtol(next, &next, 10)) > 0;)
        size = add(size, child);
    return size;
}

static int kill_tree(int root) {
    int alive = 0, size = add(0, root);
    double deadline = seconds() + PATIENCE_MS / 1e3;
    for (int at = 0; at < size; at++)
        size = add_children(size, tree[at].pid);
    for (int at = size - 1; at >= 0; at--)
        syscall(SYS_pidfd_send_signal, tree[at].pidfd, SIGKILL, NULL, 0);
    for (int at = size - 1; at >= 0; at--) {
        struct pollfd death = {tree[at].pidfd, POLLIN, 0};
        double left = deadline - seconds();
        alive += poll(&death, 1, left > 0 ? left * 1e3 : 0) != 1;
        close(tree[at].pidfd);
    }
    return alive;
}

static int populated(int events) {
    char text[256];
    ssize_t length = pread(events, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = 0;
    return strstr(text, "populated 0") == NULL;
}

static int open_in(const char *folder, const char *name, int flags) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags);
}

/* cgroup.events announces a change at most once in 10 ms, so it is read again, ever more slowly. */
static int kill_cgroup(const char *folder) {
    int events = open_in(folder, "cgroup.events", O_RDONLY), order = open_in(folder, "cgroup.kill", O_WRONLY);
    struct timespec nap = {0, 50000};
    double deadline = seconds() + PATIENCE_MS / 1e3;
    int alive = write(order, "1", 1) != 1;
    close(order);
    while (!alive && populated(events)) {
        alive = seconds() > deadline;
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < 1000000)
            nap.tv_nsec += nap.tv_nsec / 4;
    }
    close(events);
    return alive;
}

int main(int argc, char **argv) {
    char cgroup[3072];
    int root;
    int contained = argc > 1 && strcmp(argv[1], "cgroup") == 0;
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    while (scanf("%d %*s %3071s", &root, cgroup) == 2) {
        double start = seconds(), used = cpu();
        int alive = contained ? kill_cgroup(cgroup) : kill_tree(root);
        printf("%.9f %.9f %.9f %d\n", start, seconds(), cpu() - used, alive);
        fflush(stdout);
    }
    return 0;
}
