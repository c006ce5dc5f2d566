"""Which crew is asked for."""

from __future__ import annotations

from ..cells.request import Request
from ..errors import ConfigError
from ..progress import Progress
from .crew import Crew, Here

__all__ = ["crew"]


def crew(
    request: Request,
    progress: Progress,
    *,
    on: str = "local",
    jobs: int | None = None,
    threads: int | None = None,
    gpus: float | None = None,
    timeout: float | None = None,
) -> Crew:
    """Processes of this machine, this process itself (no jobs), or tasks on a cluster of Ray.

    Arguments:
        on: 'local', 'ray', 'auto', 'HOST:PORT' or 'ray://HOST:PORT'.
        jobs: cells at once.
        threads: of each cell.
        gpus: of each cell, on a cluster.
        timeout: seconds for a cell.

    Raises ConfigError for what does not go together.
    """
    if on != "local":
        from .cluster import Cluster

        if jobs == 0:
            raise ConfigError(f"--jobs 0 is this process, --on {on} a cluster: choose one")
        return Cluster(request, progress, on, jobs=jobs, cpus=threads or 1, gpus=gpus, timeout=timeout)
    if gpus is not None:
        raise ConfigError("--gpus-per-cell is for a cluster: add --on ray")
    if jobs == 0:
        if timeout:
            raise ConfigError("--timeout needs a process for each cell: leave --jobs 0 away")
        return Here(request, progress, threads)
    from .processes import Processes

    return Processes(request, progress, jobs or 1, timeout, threads)
