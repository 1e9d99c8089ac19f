"""Where tasks are carried out: on this machine's cores, or on a Ray cluster that is there already.

Both yield results as they come, each task's once. They know nothing of what a task is about.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from station.batch.task import Graded, Task, carry_out
from station.build_info import ROOT
from station.errors import InputError, MissingExtraError

LOOK_S = 1.0
RETRIES = 5
"""Of a task whose machine or process is gone."""


def here(tasks: Sequence[Task], workers: int) -> Iterator[Graded]:
    """Carry out tasks on this machine, so many at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix="grade") as pool:
        open_ = {pool.submit(carry_out, task) for task in tasks}
        try:
            while open_:
                done, open_ = wait(open_, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            _cancel(open_)


def on_cluster(tasks: Sequence[Task], address: str) -> Iterator[Graded]:
    """Carry out tasks on a Ray cluster, one core each; those of a machine that is gone are carried out again.

    The program, the model and the recordings must be found under the same paths there. Raises MissingExtraError, and
    InputError where no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing here reports home
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError('--ray needs ray; install it: pip install ".[cluster]"') from error
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = (str(error).splitlines() or ["no reason given"])[0]
        raise InputError(f"--ray {address}: no cluster answers ({why}); give auto, or HOST:PORT of its head") from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(carry_out)
        open_ = {remote.remote(task): task for task in tasks}
        while open_:
            ready, _ = ray.wait(list(open_), num_returns=1, timeout=LOOK_S)
            for reference in ready:
                task = open_.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    why = (str(error).splitlines() or ["no reason given"])[0]
                    yield Graded(task.key, b"", f"the cluster gave it up ({why[:200]})")
    finally:
        ray.shutdown()


def _cancel(futures: set[Future[Graded]]) -> None:
    for future in futures:
        future.cancel()
