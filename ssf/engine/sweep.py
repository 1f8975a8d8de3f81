"""A sweep: one notebook executed by papermill at every point of a grid of parameters, on a Dask cluster.

sweeps/<notebook>-<digest of its text and of the results version>/ keeps an executed notebook for every point, named by
its parameters; where it is there, the point is done. A point that failed leaves `….failed.ipynb` and is tried again.
"""

import hashlib
import itertools
import os
import time
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from ssf import folders
from ssf.config import RESULTS_VERSION, Refused

STARTS = 3  # of a kernel that dies before it answers


def grid(parameters):
    """[{name: value}] of every combination of {name: [values]}."""
    return [
        dict(zip(parameters, values, strict=True))
        for values in itertools.product(*parameters.values())
    ]


def folder_of(notebook, out):
    digest = hashlib.sha256(
        Path(notebook).read_bytes() + str(RESULTS_VERSION).encode()
    ).hexdigest()[:8]
    return Path(out) / f"{Path(notebook).stem}-{digest}"


def name_of(point):
    """A file's name for a point: seed=0,rounds=1, or its digest where that is too long or has odd characters."""
    name = ",".join(f"{k}={v}" for k, v in point.items()) or "defaults"
    plain = all(c.isalnum() or c in "=,._-+" for c in name) and len(name) < 100
    return name if plain else hashlib.sha256(name.encode()).hexdigest()[:16]


def check(notebook, parameters):
    """ValueError, one sentence, for a notebook that can't be read, or a parameter that it does not have."""
    import papermill

    try:
        known = papermill.inspect_notebook(notebook)
    except (
        Exception
    ) as error:  # a missing file, no JSON, no notebook: papermill has an error for each
        raise Refused(
            f"{notebook} is no notebook that can be read ({type(error).__name__})."
        ) from None
    for name in parameters:
        if name not in known:
            raise Refused(
                f"a parameter is {name!r}; allowed: {', '.join(known) or 'none, there is no parameters cell'}."
            )


def execute(notebook, target, point, threads):
    """Execute one point where this runs; returns {"point", "error" (None or a sentence), "seconds"}."""
    import papermill
    from distributed import get_worker

    target, began = Path(target), time.perf_counter()
    if target.exists():  # Dask may give a point to a second worker
        return {"point": point, "error": None, "seconds": 0.0}
    own = target.with_name(
        f".{target.stem}.{os.uname().nodename}-{os.getpid()}.ipynb"
    )  # this execution's alone
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(
            threads
        )  # for the kernel, so that points side by side share the cores
    gpus = os.environ.get("SSF_SWEEP_GPUS", "").split(",")
    if gpus != [""]:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(get_worker().name) % len(gpus)]
    for _ in range(STARTS):
        error = None
        try:
            papermill.execute_notebook(
                notebook, own, point, cwd=folders.home(), progress_bar=False, log_output=False
            )
            os.replace(own, target)
        except papermill.exceptions.PapermillExecutionError as failure:
            error = f"{failure.ename}: {failure.evalue}"
        except Exception as failure:  # a kernel that died, a full disk: the other points go on
            error = f"{type(failure).__name__}: {failure}"
        if "Kernel died before replying" not in str(error):
            break  # else two kernels, started side by side, had picked the same port
    if error and own.exists():
        os.replace(own, target.with_suffix(".failed.ipynb"))
    return {"point": point, "error": error, "seconds": time.perf_counter() - began}


@contextmanager
def cluster(scheduler=None, workers=None):
    """(a Dask client, threads for each point, None for the worker's own): of a scheduler, or of this machine.

    Here, one worker a GPU where there are some, else `workers` that share the cores. ValueError for a scheduler that
    does not answer.
    """
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=5)
        except Exception as error:  # OSError, ValueError, a timeout: by the kind of address
            raise Refused(
                f"no scheduler answers at {scheduler} ({type(error).__name__})."
            ) from None
        with client:
            alone = set(client.nthreads().values()) <= {1}  # then a worker's cores are its point's
            yield client, None if alone else 1
        return
    import torch

    gpus, cores = (
        torch.cuda.device_count(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2,
    )
    workers = workers or gpus or max(1, cores // 2)
    os.environ["SSF_SWEEP_GPUS"] = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(
        map(str, range(gpus))
    )
    here = LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR"
    )
    with here, Client(here) as client:
        yield client, max(1, cores // workers)


def sweep(notebook, parameters, out="sweeps", scheduler=None, workers=None):
    """Execute the notebook at every point that is not done; returns (points done before, [outcome of `execute`]).

    Args:
        parameters: {name: [values]}.
        scheduler: address of a Dask scheduler, e.g. tcp://host:8786; its workers see the same files.

    Raises ValueError, one sentence, before anything is executed. A point that fails does not stop the others; after
    Ctrl-C the same call goes on with what is not done.
    """
    check(notebook, parameters)
    folder = folder_of(notebook, out).resolve()
    points = {folder / f"{name_of(point)}.ipynb": point for point in grid(parameters)}
    todo = {target: point for target, point in points.items() if not target.exists()}
    if not todo:
        return len(points), []
    from distributed import as_completed

    folder.mkdir(parents=True, exist_ok=True)
    outcomes, source = [], str(Path(notebook).resolve())
    with cluster(scheduler, workers) as (client, threads):
        futures = {
            client.submit(execute, source, str(target), point, threads, pure=False): point
            for target, point in todo.items()
        }
        for future in tqdm(as_completed(futures), total=len(futures), desc="points", disable=None):
            if future.status == "finished":
                outcomes.append(future.result())
            else:
                why = (
                    "given up, its workers died"
                    if future.status == "error"
                    else "the scheduler was lost"
                )
                outcomes.append(
                    {
                        "point": futures[future],
                        "error": f"{why}; the same command goes on",
                        "seconds": None,
                    }
                )
    for target in todo:  # what a killed worker left half-written
        if target.exists():
            for left in folder.glob(f".{target.stem}.*.ipynb"):
                left.unlink()
    return len(points) - len(todo), outcomes
