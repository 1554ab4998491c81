/* Be COUNT sleepers in three generations: ./crowd COUNT
 *
 * Each writes a byte to descriptor 9 when it runs, and sleeps until it is killed.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void sleep_for_good(void)
{
    if (write(9, "!", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    int left = (argc == 2 ? atoi(argv[1]) : 1) - 1, width = 1;
    while (width * width < left)
        width++;
    signal(SIGCHLD, SIG_IGN);
    while (left > 0) {
        int below = left < width ? left : width;
        left -= below;
        if (!fork()) {
            while (--below > 0)
                if (!fork())
                    sleep_for_good();
            sleep_for_good();
        }
    }
    sleep_for_good();
}
