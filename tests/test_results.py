"""The committed rows and their ids: they re-derive, and survive whatever fields come later."""

import importlib.util

import pandas as pd
import pytest

from ssf import config, field, folders
from ssf.config import Failed, RunConfig

FILES = [
    path
    for path in sorted((folders.home() / "data" / "results").glob("study_*.csv"))
    if "manifest" not in path.name
]


def as_text(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture
def renew_ids():
    """The script data/renew_ids.py."""
    spec = importlib.util.spec_from_file_location("renew_ids", folders.home() / "data/renew_ids.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_id_follows_from_its_row(path):
    rows = as_text(path)
    assert [RunConfig.from_flat(row).hash() for row in rows.to_dict("records")] == list(rows.id)
    assert rows.id.is_unique and len(rows)


@pytest.mark.parametrize("name", config.PARTS)
def test_a_field_that_comes_later_renames_nothing(name, monkeypatch):
    """A field that no row has a column for, its default meaning "as before"."""
    part = config.PARTS[name]
    body = {"__annotations__": {"later": field.count(least=0)}, "later": 0, "__doc__": ""}
    longer = field.part(type(part.__name__, (part,), body))
    monkeypatch.setitem(config.PARTS, name, longer)
    for path in FILES:
        rows = as_text(path)
        assert [RunConfig.from_flat(row).hash() for row in rows.to_dict("records")] == list(rows.id)
    whole = RunConfig(**{name: longer(later=0)})
    assert "later" in {key.rpartition(".")[2] for key in whole.flat()}
    assert RunConfig(**{name: longer(later=1)}).hash() != whole.hash()


def test_the_migration_renames_old_rows_and_leaves_renamed_ones(renew_ids, tmp_path):
    path = FILES[0]
    rows = as_text(path)
    assert renew_ids.renewed(rows.copy()).equals(rows)
    rows.insert(9, "data.split", "file_order")
    rows["ticket.rewind"] = ["weights" if text else "" for text in rows["ticket.round"]]
    rows.assign(id="0123456789abcdef").to_csv(tmp_path / path.name, index=False)
    renew_ids.main(tmp_path)
    assert (tmp_path / path.name).read_text() == path.read_text()
    with pytest.raises(Failed, match="data.split is not file_order in every row"):
        renew_ids.renewed(rows.assign(**{"data.split": "stratified"}))
