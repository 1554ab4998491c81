/* Run COMMAND and reap the orphans below it at once, as a good init does: ./reap COMMAND ... */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t child = argc > 1 ? fork() : -1;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* the command ends with us, whatever ended us */
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (child > 0 && wait(NULL) != child)
        continue;
    return 0;
}
