"""A sweep: one notebook executed by papermill at every point of a grid of parameters, on Dask.

sweeps/<notebook>-<digest of its text and of the results' version>/ keeps an executed notebook for
every point, named by its parameters; a point that has one is done. A point that failed leaves
`….failed.ipynb` and is tried again.
"""

import hashlib
import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from ssf import folders
from ssf.config import RESULTS_VERSION, Refused, demand

STARTS = 3  # of a kernel that dies before it answers
PATIENCE = 5  # seconds for a scheduler to answer


def value_of(text):
    """What a parameter's text means to papermill: True, False, None, a whole number, a number."""
    words = {"True": True, "False": False, "None": None}
    for meaning in (words.__getitem__, int, float):
        with suppress(KeyError, ValueError):
            return meaning(text)
    return text


def points_of(parameters):
    """[{name: value}] of every combination of {name: [values]}."""
    combinations = itertools.product(*parameters.values())
    return [dict(zip(parameters, values, strict=True)) for values in combinations]


def folder_of(notebook, out):
    text = Path(notebook).read_bytes() + str(RESULTS_VERSION).encode()
    return Path(out) / f"{Path(notebook).stem}-{hashlib.sha256(text).hexdigest()[:8]}"


def name_of(point):
    """A point's file name: seed=0,rounds=1; a digest where that is long or has odd characters."""
    name = ",".join(f"{k}={v}" for k, v in point.items()) or "defaults"
    plain = all(c.isalnum() or c in "=,._-+" for c in name) and len(name) < 100
    return name if plain else hashlib.sha256(name.encode()).hexdigest()[:16]


def refuse_unknown(notebook, parameters):
    """Raise Refused for a notebook that can't be read, or a parameter that it does not have."""
    import papermill

    try:
        known = papermill.inspect_notebook(notebook)
    except Exception as error:  # no file, no JSON, no notebook: papermill has an error for each
        reason = f"{notebook} is no notebook that can be read ({type(error).__name__})."
        raise Refused(reason) from None
    for name in parameters:
        allowed = ", ".join(known) or "none, there is no parameters cell"
        demand(name in known, "a parameter", name, allowed)


def execute(notebook, target, point, gpus):
    """Execute a point in this process; {"point", "error": None or a sentence}."""
    import papermill
    from distributed import get_worker

    target = Path(target)
    if target.exists():  # Dask may give a point to a second worker
        return {"point": point, "error": None}
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(get_worker().name) % len(gpus)]
    about = {"cwd": folders.home(), "progress_bar": False, "log_output": False}
    with tempfile.TemporaryDirectory() as folder:
        executed = Path(folder) / target.name
        for _ in range(STARTS):
            error = None
            try:
                papermill.execute_notebook(notebook, executed, point, **about)
            except papermill.exceptions.PapermillExecutionError as failure:
                error = f"{failure.ename}: {failure.evalue}"
            except Exception as failure:  # a kernel that died, a full disk: other points go on
                error = f"{type(failure).__name__}: {failure}"
            if "Kernel died before replying" not in str(error):
                break  # else two kernels, started side by side, had picked the same port
        if executed.exists():
            part = target.with_name(f".{target.name}.{Path(folder).name}")
            shutil.copyfile(executed, part)
            os.replace(part, target.with_suffix(".failed.ipynb") if error else target)
    return {"point": point, "error": error}


@contextmanager
def cluster(scheduler=None, workers=None):
    """(Dask client, GPUs to share).

    Without a scheduler's address, of this machine: one worker a GPU where there are some, else
    `workers` that share the cores. Raises Refused for a scheduler that does not answer.
    """
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=PATIENCE)
        except Exception as error:  # OSError, ValueError, a timeout: by the kind of address
            reason = f"no scheduler answers at {scheduler} ({type(error).__name__})."
            raise Refused(reason) from None
        with client:
            yield client, []
        return
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    workers = workers or len(gpus) or max(1, CPU_COUNT // 2)
    silent = {"dashboard_address": None, "silence_logs": "ERROR"}
    threads = {"distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": max(1, CPU_COUNT // workers)}
    with dask.config.set(threads), LocalCluster(workers, threads_per_worker=1, **silent) as local:
        with Client(local) as client:
            yield client, gpus


def sweep(notebook, parameters, out="sweeps", scheduler=None, workers=None):
    """Execute the notebook at every point that is not done; (points done before, [outcomes]).

    Args:
        parameters: {name: [values]}.
        scheduler: a Dask scheduler's address, tcp://host:8786; its workers see the same files.

    Raises Refused before anything is executed. A point that fails does not stop the others; after
    Ctrl-C the same call goes on with what is not done. For outcomes see `execute`.
    """
    refuse_unknown(notebook, parameters)
    folder = folder_of(notebook, out).resolve()
    points = {folder / f"{name_of(point)}.ipynb": point for point in points_of(parameters)}
    todo = {target: point for target, point in points.items() if not target.exists()}
    if not todo:
        return len(points), []
    from distributed import as_completed

    folder.mkdir(parents=True, exist_ok=True)
    outcomes, source = [], str(Path(notebook).resolve())
    with cluster(scheduler, workers) as (client, gpus):
        futures = {}
        for target, point in todo.items():
            task = client.submit(execute, source, str(target), point, gpus, pure=False)
            futures[task] = point
        for task in tqdm(as_completed(futures), total=len(futures), desc="points", disable=None):
            if task.status == "finished":
                outcomes.append(task.result())
            else:
                lost = "its workers died" if task.status == "error" else "the scheduler was lost"
                error = f"given up, {lost}; the same command goes on"
                outcomes.append({"point": futures[task], "error": error})
    return len(points) - len(todo), outcomes
