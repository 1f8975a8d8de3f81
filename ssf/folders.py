"""Where things lie: what ships with the library, runs, results, data sets, and the user's cache."""

import os
import tempfile
from importlib.resources import files
from pathlib import Path

import platformdirs

BESIDE = Path(__file__).parents[1]  # of a checkout, the repository
IS_CHECKOUT = (BESIDE / "pyproject.toml").exists()


def home():
    """The repository or, of an installed library, the working directory: of runs/ and sweeps/."""
    return BESIDE if IS_CHECKOUT else Path.cwd()


def shipped():
    """data/: the embedded images and the committed results. A wheel carries it inside."""
    return BESIDE / "data" if IS_CHECKOUT else Path(str(files("ssf") / "data"))


def runs():
    """runs/ in `home`, or the folder that the variable SSF_RUNS names."""
    return Path(os.environ.get("SSF_RUNS") or home() / "runs")


def results():
    """The committed results, or the folder that the variable SSF_RESULTS names."""
    return Path(os.environ.get("SSF_RESULTS") or shipped() / "results")


def sets():
    """Where data sets lie that are not embedded: data/sets in `home`, or what SSF_DATA names."""
    return Path(os.environ.get("SSF_DATA") or home() / "data" / "sets").expanduser()


def cache():
    """A folder that is this user's to write, for compiled kernels and decoded sets.

    The system's folder for caches, else one among the temporary files: code is loaded from here,
    so a folder of somebody else's is never taken. Raises OSError where there is neither.
    """
    temporary = Path(tempfile.gettempdir()) / f"ssf-{os.getuid()}"
    for folder in (platformdirs.user_cache_path("ssf"), temporary):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:  # read-only
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise OSError("no folder for caches can be written")
