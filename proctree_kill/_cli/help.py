"""What the command line says of itself: descriptions and epilogs."""

from __future__ import annotations

_EXIT_CODES = """\
exit codes:
  0    all are gone, also when nothing was left to do
  1    somebody who was meant to die lives
  2    the arguments are wrong; nothing was touched
  3    the target is refused; nothing was touched
  130  interrupted by Ctrl-C; what had begun was finished by force
"""


_MAIN = """\
End process trees: all of a tree, soon, politely if possible, and never
anything else.
"""


_MAIN_EPILOG = f"""\
{_EXIT_CODES}
examples:
  proctree-kill demo             see what it does, on a tree of its own
  proctree-kill tree 4711        see who would be ended, and why
  proctree-kill kill 4711        end them
  proctree-kill run -- make      run a command that leaves nothing behind
  proctree-kill doctor           see what this machine offers

`proctree-kill COMMAND --help` says more about each command.
"""


_KILL = """\
End processes and everything that they started, and say what became of each.

Everybody is asked first (SIGTERM, children before parents).
Who is alive after the grace is frozen, killed and looked for again until
nobody is left. Several processes share one deadline.
Whoever holds this command itself, init and the kernel's own are refused.
"""


_KILL_EPILOG = f"""\
{_EXIT_CODES}
examples:
  proctree-kill kill 4711                     ask, wait two seconds, force
  proctree-kill kill 4711 4720 --grace 10     two trees, ten seconds to leave
  proctree-kill kill 4711 --force             no questions asked
  proctree-kill kill 4711 --spare 4713        all but 4713 and its children
  proctree-kill kill 4711 --marker APP_RUN=7  daemons with APP_RUN=7 as well
  proctree-kill kill 4711 --json | jq '.results[].outcomes[].fate'
"""


_RUN = """\
Run a command, and end all that it started when it ends, or when its time is
over: a timeout(1) that means it.

Its input and its output are its own. What it leaves behind (children,
orphans, daemons that keep their environment) is asked to leave, and killed
after the grace. Signals are handed on; after one that asks to leave (TERM,
HUP, INT, QUIT) the command has the grace, and a second one kills at once.
On a terminal Ctrl-C and Ctrl-Z reach the command as they do in a shell.
"""


_RUN_EPILOG = """\
exit codes:
  124  the time was over
  125  the arguments are wrong, the command could not be run, or somebody who
       was meant to die lives
  126  the command is found and cannot be executed
  127  the command is not found
  128  and the number of the signal: it asked us to leave (130 for Ctrl-C), or
       ended the command
  any other is that of the command

examples:
  proctree-kill run --timeout 60 -- make test   a minute, then all of it ends
  proctree-kill run -- ./start-servers.sh       nothing stays when it is over
  proctree-kill run -v --grace 10 -- npm start  and a word about who was left
"""


_TREE = """\
Show whom `kill` would end, in which order and why, and touch nobody.

ORDER counts those who would be asked; children come before their parents.
EVIDENCE says why a process belongs to the tree, or why it is not touched.
Users and command lines are read now and kept nowhere: --json has none.
"""


_TREE_EPILOG = """\
exit codes:
  0    `kill` would act, or nobody is there
  2    the arguments are wrong
  3    `kill` would refuse

examples:
  proctree-kill tree 4711
  proctree-kill tree 4711 --spare 4713 --marker APP_RUN=7
  proctree-kill tree $$                       why your own shell is refused
"""


_DOCTOR = """\
Show what this machine offers to end trees, and why not more: how processes
are held, cgroups and where, delegation, limits, the guard.

A cgroup is made and removed again, and a guard is started and ended.
"""


_DOCTOR_EPILOG = """\
exit codes:
  0    always, but for
  2    the arguments are wrong

examples:
  proctree-kill doctor
  proctree-kill doctor --json | jq '.containment.available'
"""


_DEMO = """\
Plant a stubborn tree, show it, end it, and prove that nobody is left.

The tree is of real processes: a wrapper shell, one that ignores SIGTERM, one
that is stopped, an orphan, one with a session of its own, and a daemon.
Nothing else on this machine is touched, and whatever happens, nothing stays.
"""


_DEMO_EPILOG = f"""\
{_EXIT_CODES}"""


_SESSIONS = """\
List the sessions that are written down in a folder, and touch nobody.

STATE is what is known now: starting, running or exited where their owner
lives, orphaned where it is dead and somebody of the tree lives; gone,
recycled, foreign, unreadable, untrusted and bare are what `recover` would
call them.
"""


_SESSIONS_EPILOG = """\
exit codes:
  0    the folder could be read
  2    the arguments are wrong, or the folder cannot be read

examples:
  proctree-kill sessions ./sessions
  proctree-kill sessions ./sessions --json | jq '.sessions[].state'
"""


_STOP = """\
End a session by its record: all of its tree, also where its owner lives.

The process must be the very one that was written down; the number of a
process alone ends nobody. The record goes when nobody is left.
"""


_STOP_EPILOG = """\
exit codes:
  0    nobody is left, also when nothing was left to do
  1    somebody lives, or the record may not be acted upon
  2    the arguments are wrong; nothing was touched

examples:
  proctree-kill stop ./sessions chat-7
  proctree-kill stop ./sessions chat-7 --force
"""


_RECOVER = """\
End every tree in a folder whose owner is dead, as an application does when
it starts. Whatever is in doubt is kept, and nobody is touched for it.

A file that another user may have written is untrusted: it is reported, kept
and never acted upon. Root acts upon the files of an ordinary user with that
user's rights alone: only processes with its real uid are touched.
"""


_RECOVER_EPILOG = """\
exit codes:
  0    nobody who was meant to die lives
  1    somebody does
  2    the arguments are wrong, or the folder cannot be read

examples:
  proctree-kill recover ./sessions --dry-run
  proctree-kill recover ./sessions
"""
