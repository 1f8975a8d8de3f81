"""Give every committed row of the study its id anew, as the config in its columns has it.

    python data/renew_ids.py [FOLDER]

Run once, in November 2026, when an id came to cover only what differs from the defaults. Columns of
options that are gone go, where no row had used them; everything else stays as it was, digit for
digit. On rows whose ids are those of this code it changes nothing.
"""

import sys
from pathlib import Path

import pandas as pd

from ssf import folders
from ssf.config import Failed, RunConfig

GONE = {"data.split": "file_order", "ticket.scope": "global", "ticket.rewind": "weights"}


def renewed(rows):
    """Rows as text, without the columns that are gone, with the ids that their configs have."""
    for column, only in GONE.items():
        if column in rows and not rows[column].isin(("", only)).all():
            raise Failed(
                f"{column} is not {only} in every row: these are networks of another code."
            )
    rows = rows.drop(columns=list(GONE), errors="ignore")
    return rows.assign(id=[RunConfig.from_flat(row).hash() for row in rows.to_dict("records")])


def main(folder):
    for path in sorted(Path(folder).glob("study_*.csv")):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "id" in rows:  # the manifest has none
            renewed(rows).to_csv(path, index=False)
            print(f"{path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else folders.shipped() / "results")
