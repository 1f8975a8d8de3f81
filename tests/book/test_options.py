"""The tables of a config's fields."""

import options

from ssf.config import PARTS, RunConfig
from ssf.datasets.camera import Camera
from ssf.presets import PRESETS


def test_every_field_has_its_meaning_and_its_limits(tmp_path):
    known = [name for name in RunConfig().flat() if "." in name]
    camera = [f"camera.{field}" for field in Camera.__pydantic_fields__]
    assert list(options.MEANINGS) == known + camera
    options.pages(tmp_path)
    for name, part in (PARTS | {"camera": Camera}).items():
        table = (tmp_path / f"_options_{name}.md").read_text().splitlines()
        assert len(table) == 2 + len(part.__pydantic_fields__)
    (line,) = [row for row in options.lines_of("selector") if row["field"] == "`kind`"]
    assert "scores the tokens" in line["what it is"] and "oracle" in line["allowed"]
    presets = (tmp_path / "_presets.md").read_text()
    assert all(f"| `{name}` |" in presets for name in PRESETS)
