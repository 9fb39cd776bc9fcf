"""`avnir sweep` on a SLURM cluster, by dask-jobqueue: pip install "avnir[distributed]" dask-jobqueue

    python slurm_sweep.py model.pt --weight-bits 2 --weight-bits 4 --weight-bits 8 --out results.jsonl

Run it where `sbatch` is, with the arguments of `avnir sweep`. It asks for JOBS jobs, sweeps on those that
have started, and gives them back. Python and avnir must be found under the same path on the nodes; the model,
its inputs and the results need not. A job that ends at its time limit loses nothing: others do its work
again. After a break the same command goes on with the same file.
"""

from __future__ import annotations

import subprocess
import sys

from dask_jobqueue import SLURMCluster

JOBS = 8
JOB = {
    "queue": "cpu",  # a partition of your cluster; some want account="..." too
    "cores": 16,
    "processes": 16,  # one for each core
    "memory": "64GB",
    "walltime": "02:00:00",
    "scheduler_options": {"dashboard_address": ":0"},  # any free port
}


def main() -> int:
    with SLURMCluster(**JOB) as cluster:
        cluster.scale(jobs=JOBS)
        sweep = [sys.executable, "-m", "avnir", "sweep", *sys.argv[1:]]
        return subprocess.call([*sweep, "--scheduler", cluster.scheduler_address])


if __name__ == "__main__":
    sys.exit(main())
