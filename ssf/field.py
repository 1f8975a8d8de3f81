"""What the fields of a config are made of: their limits and their help, checked by pydantic."""

import ast
from dataclasses import fields
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError


class Refused(ValueError):
    """A wrong argument, in one sentence: what it is called, what it is, what is allowed."""

    def _render_traceback_(self):
        # IPython, and so a notebook, shows the sentence without the frames
        return [f"ValueError: {self}"]


class Failed(Refused):
    """What was right to ask for and could not be done, in one sentence."""


def demand(ok, name, value, allowed):
    """Raise Refused unless ok."""
    if not ok:
        raise Refused(f"{name} is {value!r}; allowed: {allowed}.")


def part(cls):
    """A frozen dataclass that pydantic checks by its annotations; a wrong value is Refused."""
    cls = dataclass(cls, frozen=True, config=ConfigDict(strict=True, extra="forbid"))
    checked = cls.__init__

    def __init__(self, *args, **kwargs):
        values = dict(zip((f.name for f in fields(cls)), args, strict=False)) | kwargs
        try:
            checked(self, **values)
        except ValidationError as error:
            raise refusal(cls, values, error) from None

    cls.__init__ = __init__
    return cls


def refusal(cls, values, error):
    """A ValidationError of pydantic's as Refused: the first field at fault, its value, its help."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # by a part's own __post_init__
        return first["ctx"]["error"]
    field = first["loc"][0]
    name = getattr(cls, "prefix", f"{cls.__name__.lower()}.") + field
    known = cls.__pydantic_fields__
    allowed = known[field].description if field in known else f"{', '.join(known)} as fields"
    return Refused(f"{name} is {values[field]!r}; allowed: {allowed}.")


def count(help_text="a positive whole number", least=1, most=None, of=None):
    return Annotated[int, Field(ge=least, le=most, multiple_of=of, description=help_text)]


def number(help_text, **limits):
    """limits: gt, ge, lt, le. -0.0 becomes 0.0, which is the same number and has the same id."""
    finite = Field(allow_inf_nan=False, description=help_text, **limits)
    return Annotated[float, finite, AfterValidator(lambda value: value + 0.0)]


def choice(**meanings):
    """One of some words, each with its meaning, "" where it needs none."""
    words = [f"{word} ({meaning})" if meaning else word for word, meaning in meanings.items()]
    help_text = f"{', '.join(words[:-1])} or {words[-1]}"
    return Annotated[Literal[tuple(meanings)], Field(description=help_text)]


def flag(help_text):
    return Annotated[bool, Field(description=f"True or False: {help_text}")]


def from_text(value):
    """A table's "(1, 2)" as a tuple; anything else as it is."""
    return ast.literal_eval(value) if isinstance(value, str) and value.startswith("(") else value


def places(help_text, fits):
    """A tuple of whole numbers of at least 0, of which `fits` says whether it will do."""

    def checked(values):
        if not fits(values):
            raise PydanticCustomError("places", "does not fit")
        return values

    place = Annotated[int, Field(strict=True, ge=0)]
    tuples = tuple[place, ...], Field(strict=False, description=help_text)
    return Annotated[*tuples, BeforeValidator(from_text), AfterValidator(checked)]


Positive = number("a positive number", gt=0)
NotNegative = number("a number of at least 0", ge=0)


def whole(cls, optional=False):
    """A part of a config, as it is."""
    if optional:
        return Annotated[cls | None, Field(description=f"a {cls.__name__} or None")]
    return Annotated[cls, Field(description=f"a {cls.__name__}")]
