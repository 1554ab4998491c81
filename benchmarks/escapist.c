/* Daemonize in the first instructions, with nothing that leads back: ./escapist PIPE
 *
 * The daemon has another parent, a session of its own and an environment that was written over.
 * It writes its pid to the descriptor PIPE, and exits when its standard input ends.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv, char **env)
{
    if (fork())
        _exit(0);
    setsid();
    if (fork())
        _exit(0);
    for (; *env; env++)
        memset(*env, 'x', strlen(*env));
    pid_t pid = getpid();
    char rest;
    if (argc != 2 || write(atoi(argv[1]), &pid, sizeof pid) != sizeof pid)
        return 2;
    while (read(STDIN_FILENO, &rest, 1) > 0)
        ;
    return 0;
}
