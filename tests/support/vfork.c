/* A parent that waits for its vfork(2) child, in state D, while that sleeps in state S.
 *
 * It has a session of its own and is an orphan: only its environment leads to it.
 * It reports first, as planted programs do, and dies with the other end of standard input.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    struct pollfd input = {.fd = STDIN_FILENO};
    if (fork())
        return 0;
    setsid();
    if (!vfork()) {
        dprintf(atoi(getenv("PLANT_PIPE")), "parent %d 0\n", getppid());
        poll(&input, 1, -1);
        _exit(0);
    }
    return 0;
}
