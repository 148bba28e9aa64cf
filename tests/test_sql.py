"""SQL text: what is understood gives the same tree as operators; the rest is refused."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muntin.base.errors import ExpressionError
from muntin.expr.build import Expr, col, lit, when
from muntin.expr.functions import arrival, epoch, is_late
from muntin.expr.sql import sql

a, b, x = col("a"), col("b"), col("x")


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("x", x),
        ('"unit price" > 3', col("unit price") > 3),
        ("x = 1 and a <> 'it''s' or not b", (x == 1) & (a != "it's") | ~b),
        ("x == 1 and x != 2", (x == 1) & (x != 2)),
        ("a + b * 2 - -3 % x / 4", a + b * 2 - lit(-3) % x / 4),
        ("(a + b) * 2", (a + b) * 2),
        ("mod(a, 2)", a % 2),
        ("-9223372036854775808", lit(-(2**63))),
        ("1.5e3", lit(1500.0)),
        ("x is null", x.is_null()),
        ("x is not null", x.is_not_null()),
        ("x in (1, -2, 'c')", x.is_in([1, -2, "c"])),
        ("x not in (1)", ~x.is_in([1])),
        ("x between 1 and 2", x.between(1, 2)),
        ("x not between a and b", ~x.between(a, b)),
        ("x like 'ab%'", x.starts_with("ab")),
        ("x like '%ab'", x.ends_with("ab")),
        ("x like '%ab%'", x.contains("ab")),
        ("x like 'ab'", x == "ab"),
        ("x like '%'", x.starts_with("")),
        ("x not like 'ab%'", ~x.starts_with("ab")),
        ("starts_with(x, 'a') or ends_with(x, 'b')", x.starts_with("a") | x.ends_with("b")),
        ("contains(x, 'a')", x.contains("a")),
        (
            "case when a then 1 when b then 2 else 3 end",
            when(a).then(1).when(b).then(2).otherwise(3),
        ),
        ("case x when 1 then 'a' end", when(x == 1).then(lit("a"))),
        ("cast(x as double) > x::bigint", x.cast("f64") > x.cast("i64")),
        ("x::i64 + cast(x as u8)", x.cast("i64") + x.cast("u8")),
        ("x::decimal(10,2)", x.cast("decimal(10, 2)")),
        ("x::varchar", x.cast("str")),
        ("x::timestamptz", x.cast("timestamp[us, UTC]")),
        ("coalesce(a, b, 1)", a.fill_null(b).fill_null(1)),
        ("abs(x) + length(lower(upper(a)))", x.abs() + a.upper().lower().length()),
        ("is_nan(x)", x.is_nan()),
        ("x > timestamp '2024-01-02 03:04:05'", x > datetime(2024, 1, 2, 3, 4, 5)),
        ("x > timestamptz '2024-01-02'", x > datetime(2024, 1, 2, tzinfo=UTC)),
        ("x > date '2024-01-02'", x > date(2024, 1, 2)),
        ("x - a > interval '10 minutes'", x - a > timedelta(minutes=10)),
        ("x - a > interval 1 day", x - a > timedelta(days=1)),
        ("is_late() and arrival() > x", is_late() & (arrival() > x)),
        ("epoch_ms(x)", epoch("ms", "x")),
        ("true and not false", lit(True) & ~lit(False)),
        (
            "user = 'u' and date > 1 and count > 2",
            (col("user") == "u") & (col("date") > 1) & (col("count") > 2),
        ),
        ("(a < b) = (b < x)", (a < b) == (b < x)),
    ],
)
def test_same_tree_as_operators(text: str, expr: Expr) -> None:
    assert sql(text).key() == expr.key()


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("a && b", "syntax", "and is written and"),
        ("a || b", "||", "or is written or"),
        ("x // 2", "syntax", "cast"),
        ("1 < x < 5", "chain of comparisons", "between"),
        ("a = b = x", "chain of comparisons", "between"),
        ("x = null", "null is never true", "is null"),
        ("null <> x", "null is never true", "is null"),
        ("x > 1; drop table x", "semicolon", "one expression"),
        ("x in (select 1)", "without a list", "in ("),
        ("x in (a)", "not a literal", "or"),
        ("(select 1)", "", None),
        ("exists(select 1)", "query", "one row"),
        ("select 1", "query", "one row"),
        ("sum(x) > 1", "aggregate sum", ".agg()"),
        ("count(*) > 1", "aggregate count", ".agg()"),
        ("x like 'a_c'", "pattern", "'abc%'"),
        ("x like 'a%c'", "pattern", "'abc%'"),
        ("x like a", "without a text", "single quotes"),
        ("x like 'a%' escape '!'", "escape", "starts_with"),
        ("x ilike 'a'", "ilike", "lower"),
        ("a.b = 1", "dot", '"a.b"'),
        ("x as y", "as", "keyword"),
        ("x is true", "is without null", "x = true"),
        ("x between symmetric 1 and 2", "symmetric", None),
        ("x --1", "comment", "sign"),
        ("x /* c */ > 1", "comment", None),
        ("lenght(x)", "unknown function", "length"),
        ("is_late(1)", "no arguments", None),
        ("current_timestamp > x", "present time", "clock"),
        ("interval '1 month'", "no fixed length", "30d"),
        ("x::geometry", "cast", "types are"),
        ("x::varchar(3)", "cast", "types are"),
        ("try_cast(x as int)", "not supported", None),
        ("date '2024-13-01'", "is not a date", "date '2024-12-31'"),
        ("9223372036854775808", "64 bits", None),
        ("1e400", "float", None),
        ("x[1]", "not supported", None),
        ("x ? 'a'", "not supported", None),
        ("row_number() over (order by x)", "not supported", None),
        ("unit price > 3", "", '"unit price"'),
        ("", "no expression", None),
        ("*", "*", "name the columns"),
    ],
)
def test_refused_with_a_hint(text: str, what: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as error:
        sql(text)
    message, _, said = str(error.value).partition("\nhint: ")
    assert what in message and repr(text) in message
    assert hint is None or hint in said


@given(st.text(alphabet="abx123.'\"()<>=+-*/%,;:_ andornotisnullincaseend", max_size=40))
def test_any_text_gives_a_tree_or_an_expression_error(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert isinstance(sql(text), Expr)


@given(
    st.recursive(
        st.sampled_from([a, b, x, lit(1), lit(-2.5), lit("c")]),
        lambda e: st.one_of(
            st.builds(lambda p, q: p + q, e, e),
            st.builds(lambda p, q: p * q, e, e),
            st.builds(lambda p, q: p < q, e, e),
            st.builds(lambda p, q: p & q, e, e),
            st.builds(lambda p, q: p | q, e, e),
            st.builds(lambda p: ~p, e),
            st.builds(lambda p: p.is_null(), e),
        ),
        max_leaves=12,
    )
)
def test_written_as_sql_it_reads_back(expr: Expr) -> None:
    assert sql(_sql(expr.to_json())).key() == expr.key()


def _sql(tree: object) -> str:
    assert isinstance(tree, dict)
    if "col" in tree:
        return str(tree["col"])
    if "lit" in tree:
        return f"'{tree['lit']}'" if tree["type"] == "str" else str(tree["lit"])
    args = [f"({_sql(arg)})" for arg in tree["args"]]
    signs = {"add": "+", "mul": "*", "lt": "<", "and": "and", "or": "or"}
    if tree["fn"] == "not":
        return f"not {args[0]}"
    return f"{args[0]} is null" if tree["fn"] == "is_null" else f" {signs[tree['fn']]} ".join(args)


def test_sqlglot_is_imported_on_first_use() -> None:
    code = "import sys, muntin; assert 'sqlglot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
