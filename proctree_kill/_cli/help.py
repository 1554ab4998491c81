"""The help texts of the command line."""

from __future__ import annotations

from typing import NamedTuple


class Help(NamedTuple):
    """The texts of a command: its line in the list, what it does, exit codes and examples."""

    summary: str
    description: str
    epilog: str


_EXIT_CODES = """\
exit codes:
  0    all processes are gone, also if there was nothing to do
  1    a process that should have ended is alive
  2    wrong arguments, a port or a name that does not say which process is
       meant, or a no to a question; nothing was touched
  3    a target is refused, and not touched; the others are gone
  130  interrupted by Ctrl-C; a kill that had begun was finished by force
"""

_FIRST_STEPS = """\
examples:
  proctree-kill demo             see what it does, on a tree of its own
  proctree-kill tree 4711        see what `kill` would end, and why
  proctree-kill kill 4711        end process 4711 and all that it started
  proctree-kill kill :8000       end what listens on port 8000
  proctree-kill run -- make      run a command that leaves no process behind
  proctree-kill doctor           see what this machine offers
"""

MAIN = Help(
    "",
    """\
End process trees: all processes of a tree, politely if possible, by force if
not, and no other process.
""",
    f"""\
{_EXIT_CODES}
{_FIRST_STEPS}
`proctree-kill help COMMAND` describes each command.
""",
)

START = f"""\
{_FIRST_STEPS}
`proctree-kill help` lists all commands.
`proctree-kill help kill` describes a command.
"""

COMMANDS = {
    "kill": Help(
        "end trees",
        """\
End processes and all processes that they started, and show what became of
each.

First all are asked to exit (SIGTERM), from the top down: a child after its
parent, which may pass the request on, and at the latest in the middle of the
grace. After the grace the rest is frozen, killed and looked for again until
no process is left. Several targets share one deadline.

A TARGET is a pid; PID:INODE, which is never a later process with that pid;
:PORT, the topmost process that listens there (TCP or UDP, in this network
namespace; outside Linux psutil names one holder of several); or the exact
name of a program. Before a name ends a process, a question is asked on
a terminal; elsewhere --yes is needed. If several unrelated processes, a
service manager or another user's process hold a port, they are listed only.
A tree that contains this command is refused, and so are init and the
processes of the kernel.

What starts a process anew (a service manager, a loop of a shell) is above its
tree, and goes on: end that instead. What a process left behind before this
command looked is found by its session, its group or --marker only.
""",
        f"""\
{_EXIT_CODES}
examples:
  sleep 60 & proctree-kill kill $!            end what you just started
  proctree-kill kill 4711                     ask, wait two seconds, force
  proctree-kill kill 4711 4720 --grace 10     two trees, ten seconds to exit
  proctree-kill kill :8000 :8080              what listens on these ports
  proctree-kill kill node                     ask which node processes to end
  proctree-kill kill 4711 --force             do not ask
  proctree-kill kill 4711 --signal INT        ask as Ctrl-C does
  proctree-kill kill 4711 --teardown "INT 3s, TERM 2s"  two requests
  proctree-kill kill 4711 --spare 4713        all but 4713 and its children
  proctree-kill kill 4711 --spare sccache --spare KEEP=1  all but such ones
  proctree-kill kill 4711 --marker APP_RUN=7  daemons with APP_RUN=7 as well
  proctree-kill kill 4711 --json | jq '.results[].outcomes[].fate'
""",
    ),
    "run": Help(
        "run a command and end its tree",
        """\
Run a command, and end its whole tree when it ends or its time is over: a
timeout(1) that leaves no process behind.

Input and output belong to the command. Processes that it leaves behind
(children, orphans, daemons that keep its environment) have a second to finish
(--linger), are asked to exit, and killed after the grace. Signals are passed
on. One that means exit (TERM, HUP, INT, QUIT, BREAK) asks the whole tree by
that signal, from the top down; after the grace the rest is killed, at a second
one at once. On a terminal Ctrl-C and Ctrl-Z reach the command as they do in a
shell. If it goes on, a second Ctrl-C asks the whole tree and a third kills it;
in raw mode (an editor, a prompt) all keys are the command's.
""",
        """\
exit codes:
  123  standard input ended (--die-with-stdin), and the command did not
  124  the time was over
  125  wrong arguments, the command could not be started, or a process that
       should have ended is alive; --die-with-stdin without a standard input
  126  the command was found and cannot be executed
  127  the command was not found
  128  plus the number of the signal that ended this command (130 for Ctrl-C),
       or the command that it ran
  any other code is the command's own

examples:
  proctree-kill run --timeout 1 -- sleep 60     exit code 124 after a second
  proctree-kill run --timeout 60 -- make test   end all of it after a minute
  proctree-kill run --timeout 1h -s INT -- jupyter lab   as Ctrl-C would
  proctree-kill run -- ./start-servers.sh       the servers end with the script
  proctree-kill run --leftovers leave -- ./up   the servers go on
  proctree-kill run --spare adb -- make         adb goes on
  proctree-kill run -v --grace 10 -- npm start  show which processes were left
  ssh host proctree-kill run --die-with-stdin -- make
                            nothing stays on host when the connection breaks
""",
    ),
    "tree": Help(
        "show what `kill` would end",
        """\
Show which processes `kill` would end, in which order and why. Nothing is
touched.

ORDER is the order in which they would be killed, children before parents.
EVIDENCE says why a process belongs to the tree, or why it is spared.
USER, AGE and COMMAND are read now and stored nowhere: --json has none.
""",
        """\
exit codes:
  0    `kill` would act, or there is no process
  2    wrong arguments, or a port that does not say which process is meant
  3    `kill` would refuse

examples:
  proctree-kill tree 4711
  proctree-kill tree :8000                    what listens there
  proctree-kill tree 4711 --spare 4713 --marker APP_RUN=7
  proctree-kill tree $$                       why your own shell is refused
  proctree-kill tree 4711 --json | jq '.target[].inode'   for PID:INODE
""",
    ),
    "wait": Help(
        "wait for the end of trees",
        """\
Wait until processes and all that they started have ended: what they start
later as well, and orphans as far as the tree is known by its sessions and
groups. Nothing is touched; Ctrl-C ends the wait only.

A TARGET is as for `kill`; a name means all processes of that name. What still
lives at the timeout may not be found again by the pid of a root that has ended:
name the pids that are listed, or start the tree with `run --timeout`.
""",
        """\
exit codes:
  0    no process is left, also if there was none
  2    wrong arguments, or a port that does not say which process is meant
  3    the target is refused: it would wait for this command, or for init
  124  the time was over; what still lives is listed
  130  interrupted by Ctrl-C

examples:
  sleep 2 & proctree-kill wait $!             two seconds
  proctree-kill wait 4711
  proctree-kill wait :8000 --timeout 60 || echo "still running"
  proctree-kill wait 4711 --timeout 60 --json | jq '.living[].name'
""",
    ),
    "doctor": Help(
        "show what this machine offers",
        """\
Show what this machine offers for ending trees, and why something is missing:
process descriptors, cgroups, delegation, limits, the guard.

A cgroup is made and removed, and a guard is started and ended.
""",
        """\
exit codes:
  0    always, except for
  2    wrong arguments

examples:
  proctree-kill doctor
  proctree-kill doctor --json | jq '.containment.available'
""",
    ),
    "demo": Help(
        "end a tree of its own",
        """\
Start a stubborn tree, show it, end it, and prove that no process is left.

The processes are real: a shell as a wrapper, a process that ignores SIGTERM,
a stopped one, an orphan, one with a session of its own, and a daemon.
No other process is touched, and in any case none of the tree stays.
""",
        f"""\
{_EXIT_CODES}
examples:
  proctree-kill demo
  proctree-kill demo --grace 3                three seconds to exit
""",
    ),
    "sessions": Help(
        "list the recorded sessions",
        """\
List the sessions that are recorded in a folder. Nothing is touched.

STATE is the state now. If the owner lives: starting, running or exited. If
it is dead and a process of the tree lives: orphaned. The other states are
those of `recover`: gone, recycled, foreign, unreadable, untrusted, bare.
""",
        """\
exit codes:
  0    the folder could be read
  2    wrong arguments, or the folder cannot be read

examples:
  proctree-kill sessions .                    those in this folder
  proctree-kill sessions ./sessions --json | jq '.sessions[].state'
""",
    ),
    "stop": Help(
        "end a session by its record",
        """\
End the whole tree of a recorded session, also if its owner lives.

The process must be the very one that was recorded; an equal pid is not
enough. The record is removed when no process is left.
""",
        """\
exit codes:
  0    no process is left
  1    a process lives, or the record may not be acted upon
  2    wrong arguments, or the folder cannot be read; nothing was touched
  4    no such session: it never was, or has ended

examples:
  proctree-kill stop . chat-7 || echo "exit code $?"
  proctree-kill stop ./sessions chat-7 --force
""",
    ),
    "recover": Help(
        "end what dead owners left",
        """\
End every tree in a folder whose owner is dead, as an application does when
it starts. A record in doubt is kept, and its processes are not touched.

A file that another user may have written is untrusted: it is reported, kept
and never acted upon. Root acts upon the files of an ordinary user with that
user's rights alone: only processes with its real uid are touched.
""",
        """\
exit codes:
  0    no process that should have ended lives
  1    such a process lives
  2    wrong arguments, or the folder cannot be read

examples:
  proctree-kill recover . --dry-run           what would be ended
  proctree-kill recover ./sessions
""",
    ),
    "help": Help(
        "describe a command",
        "Describe a command, as its --help does, or list all commands.\n",
        """\
exit codes:
  0    always, except for
  2    wrong arguments

examples:
  proctree-kill help run
""",
    ),
}
