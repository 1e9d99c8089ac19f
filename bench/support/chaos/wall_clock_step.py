"""Steps the wall clock of one program in mid-run, without touching the machine's: a small library loaded before it.

The library answers for ``clock_gettime``, ``gettimeofday`` and ``time``, which Python and the C++ libraries call; the
monotonic clock is left alone, as a real step leaves it. The machine's own clock is everybody's.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Seconds to add to the wall clock now: STEP_S from the monotonic second STEP_AT on. */
static long step(void) {
    static long after = -1, seconds = 0;
    struct timespec now;
    if (after < 0) {
        const char *s = getenv("STEP_S"), *a = getenv("STEP_AT");
        seconds = s ? atol(s) : 0;
        after = a ? atol(a) : 0;
    }
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return after && now.tv_sec >= after ? seconds : 0;
}

int clock_gettime(clockid_t which, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, which, t);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) t->tv_sec += step();
    return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, t, zone);
    if (!failed && t) t->tv_sec += step();
    return failed;
}

time_t time(time_t *where) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (where) *where = t.tv_sec;
    return t.tv_sec;
}
"""


def compiled_step(folder: Path) -> Path | None:
    """Compile the library in ``folder``; return it, None where there is no C compiler.

    To be loaded with LD_PRELOAD. ``STEP_S``: by how much, s. ``STEP_AT``: monotonic second from which on.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, library = folder / "step.c", folder / "step.so"
    source.write_text(SOURCE, encoding="utf-8")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, source], capture_output=True, check=False
    )
    return library if done.returncode == 0 else None
