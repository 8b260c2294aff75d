"""Start a server the safe way: `launch.py USER COMMAND…` drops root to USER (empty: stay), dies with its parent, execs.

Runs as a script of its own rather than as `preexec_fn`, which is not safe in a program with threads.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(user: str, command: list[str]) -> None:
    """Become `user`, tie our life to the parent's, turn into `command`."""
    parent = os.getppid()
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.environ["HOME"] = account.pw_dir
    # After the change of user: the kernel forgets the setting when the credentials change.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)  # the caller gives an absolute path


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
