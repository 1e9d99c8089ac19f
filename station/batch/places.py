"""Where tasks are carried out: on this machine's cores, or on a Ray cluster that is there already.

Both yield results as they come, each task's once. They know nothing of what a task is about.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from station.build_info import ROOT
from station.errors import InputError, MissingExtraError

LOOK_S = 1.0
RETRIES = 5
"""Of a task whose machine or process is gone."""
T = TypeVar("T")
Result = TypeVar("Result")


def here(tasks: Sequence[T], carry_out: Callable[[T], Result], workers: int) -> Iterator[Result]:
    """Carry out tasks on this machine, so many at a time; each starts a process of its own."""
    with ThreadPoolExecutor(workers, thread_name_prefix="task") as pool:
        open_ = {pool.submit(carry_out, task) for task in tasks}
        try:
            while open_:
                done, open_ = wait(open_, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            _cancel(open_)


def on_cluster(
    tasks: Sequence[T],
    carry_out: Callable[[T], Result],
    given_up: Callable[[T, str], Result],
    address: str,
    cpus: int = 1,
    gpus: float = 0.0,
) -> Iterator[Result]:
    """Carry out tasks on a Ray cluster; those of a machine that is gone are carried out again.

    The program and all files that tasks name must be found under the same paths there. Raises MissingExtraError, and
    InputError where no cluster answers.

    Args:
        tasks: Plain values.
        carry_out: Does one.
        given_up: Returns what stands for the result of a task that the cluster gave up, and why it did.
        address: Of the cluster: auto, or HOST:PORT.
        cpus: Cores that a task needs.
        gpus: GPUs, or the share of one, that a task needs.
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
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(carry_out)
        open_ = {remote.remote(task): task for task in tasks}
        while open_:
            ready, _ = ray.wait(list(open_), num_returns=1, timeout=LOOK_S)
            for reference in ready:
                task = open_.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    why = (str(error).splitlines() or ["no reason given"])[0]
                    yield given_up(task, f"the cluster gave it up ({why[:200]})")
    finally:
        ray.shutdown()


def _cancel(futures: set[Future[Any]]) -> None:
    for future in futures:
        future.cancel()
