"""Explore a design space with the nodes of a SLURM or LSF cluster.

Run it where jobs may be submitted, with accelsim installed for all nodes alike and the workload files on a file system
that they share::

    pip install 'accelsim[explore,dask]' dask-jobqueue
    python -m accelsim.explore.on_cluster slurm --jobs 8 --cores 16 --memory 32GB --walltime 04:00:00 \
        -- space.yaml --trials 5000 --resume

What stands behind ``--`` goes to ``accelsim explore``. This process is the head; it keeps the study in the study's
folder. Keep that folder on a local disk, or give a database with --storage: SQLite does not get on with network file
systems.
When the job of this script ends early, the same command continues the study. ``local`` instead of ``slurm`` starts the
workers on this machine, to try the script.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any


def main() -> int:
    """Start workers, explore with them, and send them home."""
    parser = argparse.ArgumentParser(description="Explore a design space on a cluster.")
    parser.add_argument("scheduler", choices=("slurm", "lsf", "local"))
    parser.add_argument("--jobs", type=int, default=1, help="jobs to submit")
    parser.add_argument("--cores", type=int, default=1, help="cores, and so workers, of a job")
    parser.add_argument("--memory", default="8GB", help="memory of a job; a worker needs about 0.5 GB")
    parser.add_argument("--walltime", default="01:00:00", help="time limit of a job")
    parser.add_argument("--queue", help="queue, or partition, to submit to")
    parser.add_argument("explore", nargs="+", help="what accelsim explore is given")
    options = parser.parse_args()
    with start_cluster(options) as cluster:
        cluster.scale(options.jobs * options.cores)  # jobqueue counts workers and submits as many jobs as they need
        command = ["explore", *options.explore, "--dask", cluster.scheduler_address]
        done = subprocess.run([sys.executable, "-m", "accelsim.cli", *command], check=False)  # noqa: S603 - our own words
        return done.returncode


def start_cluster(options: argparse.Namespace) -> Any:  # noqa: ANN401 - one of three classes without types
    """Build the cluster; each worker is a process with one thread, for simulations do not share one."""
    if options.scheduler == "local":
        from distributed import LocalCluster

        return LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
    from dask_jobqueue import LSFCluster, SLURMCluster

    kind = SLURMCluster if options.scheduler == "slurm" else LSFCluster
    return kind(
        cores=options.cores,
        processes=options.cores,
        memory=options.memory,
        walltime=options.walltime,
        queue=options.queue,
    )


if __name__ == "__main__":
    sys.exit(main())
