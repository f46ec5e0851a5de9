"""Tables as records, as HTML and as data frames."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplitude_async import ConfigurationError
from amplitude_async.frames import Table, table

from . import answers

MIXED = Table(
    {
        "flag": [True, None],
        "whole": [1, 2],
        "gap": [1, None],
        "number": [1, 2.5],
        "text": ["é", None],
        "day": [date(2026, 2, 2), None],
        "instant": [datetime(2026, 2, 2, 10, 30), None],
        "nested": [{"a": [1]}, "b"],
        "huge": [2**70, 1],
        "nothing": [None, None],
    },
    kind="user_activity",
)
PLAIN = [
    {
        "flag": True,
        "whole": 1,
        "gap": 1,
        "number": 1.0,
        "text": "é",
        "day": date(2026, 2, 2),
        "instant": datetime(2026, 2, 2, 10, 30),
        "nested": '{"a": [1]}',
        "huge": str(2**70),
        "nothing": None,
    },
    {
        "flag": None,
        "whole": 2,
        "gap": None,
        "number": 2.5,
        "text": None,
        "day": None,
        "instant": None,
        "nested": "b",
        "huge": "1",
        "nothing": None,
    },
]


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is the user's own, and not installed here")


def test_a_table_is_small() -> None:
    """Its columns by name, its length, its rows as mappings with Python's own values."""
    assert MIXED.columns[:2] == ("flag", "whole")
    assert len(MIXED) == 2
    assert MIXED["gap"] == (1, None)
    assert MIXED.to_records()[1]["nested"] == "b"
    assert MIXED.to_records()[0]["nested"] == {"a": [1]}
    with pytest.raises(KeyError):
        _ = MIXED["absent"]
    assert repr(table(answers.LENGTHS)) == "<Table of session_lengths: 3 rows of length, from_seconds, to_seconds, sessions>"


def test_arrow() -> None:
    """Each column has one type; nested values are JSON text, whole numbers beyond 64 bits text."""
    pa = package("pyarrow")
    made = MIXED.to_arrow()
    assert made.to_pylist() == PLAIN
    assert [str(field.type) for field in made.schema][:7] == [
        "bool",
        "int64",
        "int64",
        "double",
        "string",
        "date32[day]",
        "timestamp[us]",
    ]
    assert pa.table(MIXED).equals(made)


def test_polars() -> None:
    """The same in polars, which also takes the table as it is."""
    pl = package("polars")
    made = MIXED.to_polars()
    assert made.to_dicts() == PLAIN
    assert made.schema["day"] == pl.Date
    assert pl.DataFrame(MIXED).to_dicts() == PLAIN


def test_pandas() -> None:
    """The same in pandas, with its nullable types where there are gaps."""
    pd = package("pandas")
    made = MIXED.to_pandas()
    kinds = made.dtypes.astype(str).to_dict()
    assert (kinds["flag"], kinds["whole"], kinds["gap"], kinds["number"]) == ("boolean", "int64", "Int64", "float64")
    assert kinds["day"].startswith("datetime64")
    assert made["gap"].isna().tolist() == [False, True]
    assert made["text"][0] == "é"
    assert made["instant"][0] == pd.Timestamp(2026, 2, 2, 10, 30)
    assert made["nested"].tolist() == ['{"a": [1]}', "b"]


@pytest.mark.parametrize("kind", answers.ALL)
@pytest.mark.parametrize("name", ["polars", "pandas", "pyarrow"])
def test_every_answer_makes_a_frame(kind: str, name: str) -> None:
    """No answer of Amplitude's page is too much for any of them; rows and columns are those of the table."""
    package(name)
    made = table(answers.ALL[kind])
    frame = {"polars": made.to_polars, "pandas": made.to_pandas, "pyarrow": made.to_arrow}[name]()
    assert frame.shape == (len(made), len(made.columns))


@pytest.mark.parametrize("name", ["polars", "pandas", "pyarrow"])
def test_an_empty_answer_makes_an_empty_frame(name: str) -> None:
    """Nobody found is a frame with columns and no rows."""
    package(name)
    made = table(answers.NOBODY)
    frame = {"polars": made.to_polars, "pandas": made.to_pandas, "pyarrow": made.to_arrow}[name]()
    assert frame.shape == (0, 2)


@pytest.mark.parametrize(("method", "name"), [("to_polars", "polars"), ("to_pandas", "pandas"), ("to_arrow", "pyarrow")])
def test_a_package_that_is_absent_is_named(method: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the library's own, and says what to install."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=f"pip install {name}"):
        getattr(MIXED, method)()


def test_arrows_interface_takes_whatever_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow polars hands the table over; without both the error names what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with monkeypatch.context() as without_polars:
        without_polars.setitem(sys.modules, "polars", None)
        with pytest.raises(ConfigurationError, match="pip install pyarrow"):
            MIXED.__arrow_c_stream__()
    pl = package("polars")
    assert pl.DataFrame(MIXED).to_dicts() == PLAIN


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """Making a table, its records and its HTML loads none of the packages, nor the client."""
    program = (
        "import sys\nfrom amplitude_async.frames import table\n"
        "made = table({'data': {'series': [[1]], 'xValues': ['0s-60s']}})\n"
        "made.to_records(), made._repr_html_(), repr(made)\n"
        "assert not {'polars', 'pandas', 'pyarrow', 'numpy', 'msgspec', 'amplitude_async.client'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


class Page(HTMLParser):
    """Reads a table back: its tags, and the texts of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not attrs
        self.tags.add(tag)
        if tag in {"td", "th"}:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "br"}


def test_a_notebook_shows_the_first_rows() -> None:
    """Twenty of them, and how many there are."""
    text = Table({"n": range(1000)}, kind="users", title="A <b>title</b>")._repr_html_()
    assert text.count("<tr>") == 21
    assert "users: 1,000 rows; the first 20 are shown" in text
    assert "A &lt;b&gt;title&lt;/b&gt;<br>" in text
    assert "<td></td>" in MIXED._repr_html_()
    assert "first" not in MIXED._repr_html_()


@given(
    st.lists(st.text("<>&\"'/ab\n", max_size=8) | st.none() | st.integers(), min_size=1, max_size=5), st.text("<>&\"'ab", min_size=1)
)
def test_nothing_in_an_answer_is_html(values: list[Any], name: str) -> None:
    """Whatever labels, values and column names hold, a page shows it as text."""
    page = Page()
    page.feed(Table({name: values}, kind="users")._repr_html_())
    page.close()
    assert page.tags <= TAGS
    assert page.texts == [name, *("" if value is None else str(value) for value in values)]


def test_a_long_cell_is_cut() -> None:
    """A value of a megabyte does not fill the page."""
    assert len(Table({"x": ["a" * 1_000_000]}, kind="users")._repr_html_()) < 500
