/* Fork as fast as described, with a bounded number of live processes.
 *
 *   storm KIND FORKS
 *
 * KIND is one of
 *   growing     each process forks a child every 5 ms
 *   workers     two workers fork a lasting child each, every 5 ms
 *   sessions    the same, and each child leads a session of its own
 *   successors  each process forks its successor and exits within 3 ms
 *   fugitives   the same, and each successor leads a session of its own
 *
 * After so many FORKS the storm writes the pid of its root to the descriptor PLANT_PIPE.
 *
 * The first process is no part of the storm: it is the subreaper of its orphans, so that the init
 * of the machine is not flooded with zombies, and exits when the last of them is dead.
 * Its child is the root, and leads a session.
 *
 * A live process holds a record lock on one byte of a file without a name, so the kernel itself
 * counts the living, however they die (fcntl(2)); a process that finds no free byte exits at once.
 * No process is forked after LIFETIME seconds or once the other end of standard input, a pipe, is
 * closed, and every process ends after LIFETIME seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_MOST = 300, LIFETIME = 60 };

static struct shared {
    long forks, wanted;
    time_t end;
    pid_t root;
} *shared;
static int seats;

static time_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec;
}

static int input_is_closed(void)
{
    struct pollfd input = {.fd = STDIN_FILENO};
    return poll(&input, 1, 0);
}

static void nap(long microseconds)
{
    struct timespec span = {0, microseconds * 1000};
    nanosleep(&span, NULL);
    while (input_is_closed())
        pause();
}

static void report(void)
{
    dprintf(atoi(getenv("PLANT_PIPE")), "storm %d 0\n", shared->root);
}

static int try_seat(int number, int command, struct flock *seat)
{
    *seat = (struct flock){.l_type = F_WRLCK, .l_start = number % AT_MOST, .l_len = 1};
    return fcntl(seats, command, seat);
}

/* Looks at one seat: the fuller it is, the fewer are forked. */
static int there_is_room(void)
{
    struct flock seat;
    return !try_seat(random(), F_GETLK, &seat) && seat.l_type == F_UNLCK;
}

static void take_a_seat(void)
{
    struct flock seat;
    for (int i = 0; i < AT_MOST; i++)
        if (!try_seat(getpid() + i, F_SETLK, &seat))
            return;
    _exit(0);
}

static void begin(void)
{
    time_t left = shared->end - now();
    if (left <= 0 || input_is_closed())
        _exit(0);
    alarm(left);
    take_a_seat();
    srandom(getpid());
    if (__atomic_add_fetch(&shared->forks, 1, __ATOMIC_RELAXED) == shared->wanted)
        report();
}

static void grow(int new_sessions)
{
    for (;;) {
        nap(5000);
        if (there_is_room() && !fork()) {
            begin();
            if (new_sessions)
                setsid();
        }
    }
}

static void work(int new_sessions)
{
    for (;;) {
        if (there_is_room() && !fork()) {
            begin();
            if (new_sessions)
                setsid();
            for (;;)
                pause();
        }
        nap(5000);
    }
}

static void succeed(int new_sessions)
{
    for (;;) {
        nap(random() % 2500);
        pid_t successor = fork();
        if (successor > 0)
            _exit(0);
        if (!successor) {
            begin();
            if (new_sessions)
                setsid();
        }
    }
}

static const struct kind {
    const char *name;
    void (*play)(int);
    int new_sessions, first;
} kinds[] = {
    {"growing", grow, 0, 1},
    {"workers", work, 0, 2},
    {"sessions", work, 1, 2},
    {"successors", succeed, 0, 8},
    {"fugitives", succeed, 1, 8},
    {NULL},
};

static void storm(const struct kind *kind)
{
    setsid();
    shared->root = getpid();
    alarm(LIFETIME);
    for (int i = 0; i < kind->first; i++)
        if (!fork()) {
            begin();
            kind->play(kind->new_sessions);
        }
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const struct kind *kind = kinds;
    while (argc == 3 && kind->name && strcmp(kind->name, argv[1]))
        kind++;
    if (argc != 3 || !kind->name)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    seats = memfd_create("seats", 0);
    if (shared == MAP_FAILED || seats < 0 || ftruncate(seats, AT_MOST))
        return 2;
    shared->wanted = atol(argv[2]);
    shared->end = now() + LIFETIME;
    signal(SIGCHLD, SIG_IGN);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1))
        return 2;
    if (!fork())
        storm(kind);
    close(atoi(getenv("PLANT_PIPE")));
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    return 0;
}
