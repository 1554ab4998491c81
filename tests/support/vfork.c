/* A parent that waits for its vfork(2) child, in state D, while that sleeps in state S.
 *
 * It has a session of its own and is nobody's child: only its environment leads to it.
 * It speaks before, as planted programs do, and dies with the other end of standard input.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    struct pollfd leash = {.fd = STDIN_FILENO};
    if (fork())
        return 0;
    setsid();
    if (!vfork()) {
        dprintf(atoi(getenv("PLANT_VOICE")), "parent %d 0\n", getppid());
        poll(&leash, 1, -1);
        _exit(0);
    }
    return 0;
}
