"""Parses SQL text into an expression. What is not supported gets an error with a hint.

sqlglot reads the text and is imported on first use. Only the kinds of node named in `_READERS`
become expressions, each with only the arguments named there; anything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pyarrow as pa

from muntin.base.durations import EPOCH_UNITS
from muntin.base.durations import parse as parse_duration
from muntin.base.errors import ExpressionError, MissingExtra, MuntinError, did_you_mean, with_hint
from muntin.expr.tree import Case, Column, Expr, Literal, call, literal
from muntin.values.fitting import column
from muntin.values.literals import Value
from muntin.values.protocols import type_word

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

Node: TypeAlias = "Expression"

_UNREADABLE = "is of another type"


class _Refused(Exception):
    """Why a node is not supported, and what to write; `parse` adds the text and the place."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint


class _Reader(NamedTuple):
    arguments: frozenset[str]
    read: Callable[[Any], Expr]


def sql(code: str) -> Expr:
    """SQL text as an expression.

    It may have columns (`"double quotes"` for odd names), literals (`'text'`, numbers, `true`,
    `null`, `timestamp '...'`, `date '...'`, `interval '10 minutes'`), `and or not`, comparisons,
    `+ - * / %`, `is [not] null`, `[not] in (...)`, `[not] between`, `[not] like` with `%` at the
    ends only, `case`, `cast` and `::`, and the functions `coalesce abs lower upper length is_nan
    starts_with ends_with contains is_late arrival epoch_s epoch_ms epoch_us epoch_ns`.

    Raises `ExpressionError` for anything else, with a hint.

    >>> sql("amount > 500 and country in ('FR', 'DE')")
    (col("amount") > 500) & col("country").is_in(["FR", "DE"])
    """
    return parse(code, "sql()")


def parse(code: str, place: str) -> Expr:
    """SQL text as an expression; `place` names it in errors.

    Raises:
        ExpressionError: it does not parse, or is not supported.
        MissingExtra: sqlglot is not installed.
    """
    try:
        return _read(_tree(code))
    except _Refused as refused:
        raise ExpressionError(with_hint(f"{place}: {refused} in {code!r}", refused.hint)) from None
    except RecursionError:
        raise ExpressionError(f"{place}: {code[:40]!r}... nests too deeply") from None


def _tree(code: str) -> Node:
    if not isinstance(code, str) or not code.strip():
        raise _Refused("no expression")
    try:
        import sqlglot
    except ModuleNotFoundError as error:
        hint = 'pip install "muntin[sql]", or write it with col()'
        raise MissingExtra(with_hint(f"SQL text needs sqlglot: {code!r}", hint)) from error
    from sqlglot.errors import SqlglotError

    try:
        trees: list[Any] = list(sqlglot.parse(code))
    except SqlglotError as error:
        raise _syntax(code, error) from None
    if ";" in _outside_quotes(code):
        raise _Refused("a semicolon", "one expression, no statements")
    tree: Node | None = trees[0] if trees else None
    if tree is None:
        raise _Refused("no expression")
    if any(node.comments for node in tree.walk()):
        raise _Refused("a comment", "-- and /* start comments; write - -1 or -(-1) for a sign")
    return tree


def _syntax(code: str, error: Exception) -> _Refused:
    details = getattr(error, "errors", None) or [{}]
    bare = _outside_quotes(code)
    near = details[0].get("highlight")
    what = f"the syntax is wrong near {near!r}" if near else "the syntax is wrong"
    for wrong, hint in _SIGNS.items():
        if wrong in bare:
            return _Refused(what, hint)
    return _Refused(what, 'write a column of an odd name in double quotes: "unit price"')


_SIGNS = {
    "&&": "and is written and",
    "||": "or is written or",
    "//": "the whole part of a division: cast(a / b as i64)",
    "==": "equality is written =",
    "!": "negation is written not, inequality <> or !=",
    "^": "there is no power operator",
}


def _outside_quotes(code: str) -> str:
    kept, quote = [], ""
    for char in code:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            kept.append(char)
    return "".join(kept)


def _read(node: Node) -> Expr:
    reader = _readers().get(type(node))
    if reader is None:
        raise _unknown(node)
    for name, value in node.args.items():
        if value not in (None, False, []) and name not in reader.arguments:
            raise _Refused(f"{name} of {_name(node)} is not supported")
    try:
        return reader.read(node)
    except MuntinError as error:
        what, _, hint = str(error).partition("\nhint: ")
        raise _Refused(what, hint) from None


def _unknown(node: Node) -> _Refused:
    from sqlglot import exp

    if isinstance(node, exp.AggFunc):
        hint = 'write aggregates in .agg(), as in .sliding("1h", by="card").agg(n=mt.count())'
        return _Refused(f"the aggregate {_name(node)}", hint)
    if isinstance(node, exp.Query | exp.Exists):
        return _Refused("a query", "an expression reads the columns of one row")
    if isinstance(node, exp.Alias):
        return _Refused(
            "two words beside each other, or a name with as",
            'write a column of an odd name as col("unit price"), or in double quotes; '
            "names are given by keyword: with_columns(name=...)",
        )
    for kind, what, hint in (
        (exp.ArrayOverlaps, "&&", _SIGNS["&&"]),
        (exp.DPipe, "||", "|| would join texts; or is written or"),
        (exp.ILike, "ilike", "write lower(x) like '...'"),
        (exp.Escape, "escape", "write starts_with(x, '...'), ends_with or contains"),
        (exp.Star, "*", "name the columns"),
        (exp.If, "if()", "write case when ... then ... else ... end"),
        (exp.CurrentTimestamp, "the present time", "a result must not depend on the clock"),
        (exp.NullSafeNEQ, "is distinct from", "write x <> y or x is null"),
    ):
        if isinstance(node, kind):
            return _Refused(what, hint)
    return _Refused(f"{_name(node)} is not supported", "help(mt.sql) lists what is")


def _name(node: Node) -> str:
    if node.is_type("unknown") or not hasattr(node, "sql_name"):
        return str(node.key)
    return str(node.sql_name()).lower()


@cache
def _readers() -> dict[type[Node], _Reader]:
    from sqlglot import exp

    def reader(read: Callable[[Any], Expr], *arguments: str) -> _Reader:
        return _Reader(frozenset(arguments), read)

    def calls(fn: str, *arguments: str) -> _Reader:
        return reader(lambda n: call(fn, *(_read(n.args[a]) for a in arguments)), *arguments)

    two = ("this", "expression")
    found: dict[type[Node], _Reader] = {
        kind: reader(_comparison(fn), *two)
        for kind, fn in (
            *((exp.EQ, "eq"), (exp.NEQ, "ne"), (exp.LT, "lt"), (exp.LTE, "le")),
            *((exp.GT, "gt"), (exp.GTE, "ge")),
        )
    }
    infix = ((exp.And, "and"), (exp.Or, "or"), (exp.Add, "add"), (exp.Sub, "sub"))
    found |= {kind: calls(fn, *two) for kind, fn in (*infix, (exp.Mul, "mul"), (exp.Mod, "mod"))}
    unary = ((exp.Abs, "abs"), (exp.Lower, "lower"), (exp.Upper, "upper"), (exp.IsNan, "is_nan"))
    found |= {kind: calls(fn, "this") for kind, fn in unary}
    searches = ((exp.StartsWith, "starts_with"), (exp.EndsWith, "ends_with"))
    found |= {
        kind: reader(_search(fn), *two) for kind, fn in (*searches, (exp.Contains, "contains"))
    }
    found |= {
        exp.Column: reader(_column, "this", "table", "db", "catalog"),
        exp.Literal: reader(_literal, "this", "is_string"),
        exp.Boolean: reader(lambda n: _lit(bool(n.this)), "this"),
        exp.Null: reader(lambda n: _lit(None)),
        exp.Paren: reader(lambda n: _read(n.this), "this"),
        exp.Not: reader(_not, "this"),
        exp.Neg: reader(_negative, "this"),
        # `typed` and `safe` are for other engines; here / is always true division.
        exp.Div: calls("div", *two)._replace(arguments=frozenset((*two, "typed", "safe"))),
        exp.Length: calls("length", "this"),
        exp.Coalesce: reader(_coalesce, "this", "expressions", "is_nvl", "is_null"),
        exp.Is: reader(_is, *two),
        exp.In: reader(_in, "this", "expressions", "query", "field", "unnest"),
        exp.Between: reader(_between, "this", "low", "high"),
        exp.Like: reader(_like, *two, "negate"),
        exp.Case: reader(_case, "this", "ifs", "default"),
        exp.Cast: reader(_cast, "this", "to"),
        exp.Interval: reader(_interval, "this", "unit"),
        exp.Anonymous: reader(_function, "this", "expressions"),
    }
    return found


def _comparison(fn: str) -> Callable[[Any], Expr]:
    def read(node: Any) -> Expr:
        from sqlglot import exp

        chain = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
        if isinstance(node.this, chain) or isinstance(node.expression, chain):
            hint = "write 1 < x and x < 5, or x between 1 and 5 with both ends included"
            raise _Refused("a chain of comparisons", hint)
        if isinstance(node.this, exp.Null) or isinstance(node.expression, exp.Null):
            raise _Refused("a comparison with null is never true", "write x is null")
        return call(fn, _read(node.this), _read(node.expression))

    return read


def _search(fn: str) -> Callable[[Any], Expr]:
    def read(node: Any) -> Expr:
        return call(fn, _read(node.this), _string(node.expression, f"{fn}()"))

    return read


def _column(node: Any) -> Expr:
    if node.args.get("table") is not None:
        raise _Refused("a dot between names", 'write a name with a dot in double quotes: "a.b"')
    return Column(node.name, quoted=bool(node.this.args.get("quoted")))


def _literal(node: Any) -> Expr:
    return _lit(node.this) if node.is_string else _lit(_number(node.this))


def _number(code: str) -> int | float:
    try:
        return int(code)
    except ValueError:
        pass
    try:
        number = float(code)
    except ValueError:
        raise _Refused(f"{code!r} is not a number") from None
    if number in (float("inf"), float("-inf")):
        raise _Refused(f"{code} does not fit into a float")
    return number


def _not(node: Any) -> Expr:
    from sqlglot import exp

    if isinstance(node.this, exp.Is) and isinstance(node.this.expression, exp.Null):
        return _read(node.this.this).is_not_null()
    return ~_read(node.this)


def _negative(node: Any) -> Expr:
    from sqlglot import exp

    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return _lit(-_number(node.this.this))
    return -_read(node.this)


def _coalesce(node: Any) -> Expr:
    return call("coalesce", _read(node.this), *map(_read, node.expressions))


def _is(node: Any) -> Expr:
    from sqlglot import exp

    if not isinstance(node.expression, exp.Null):
        raise _Refused("is without null", "write x = true, or not x")
    return _read(node.this).is_null()


def _in(node: Any) -> Expr:
    if not node.expressions or any(node.args.get(a) for a in ("query", "field", "unnest")):
        raise _Refused("in without a list of literals", "write x in ('a', 'b')")
    values = [_read(e) for e in node.expressions]
    if not all(isinstance(v, Literal) for v in values):
        raise _Refused("in with something that is not a literal", "write x = a or x = b")
    return call("in", _read(node.this), *values)


def _lit(value: Value) -> Literal:
    return literal(value, "sql()")


def _between(node: Any) -> Expr:
    return _read(node.this).between(_read(node.args["low"]), _read(node.args["high"]))


def _like(node: Any) -> Expr:
    pattern = str(_string(node.expression, "like").value)
    core = pattern.removeprefix("%") if len(pattern) > 1 else pattern
    core = core.removesuffix("%")
    if "%" in core or "_" in core:
        hint = "a % at the start, at the end or both; no _: 'abc%', '%abc', '%abc%'"
        raise _Refused(f"the pattern '{pattern}'", hint)
    head, tail = pattern.endswith("%"), len(pattern) > 1 and pattern.startswith("%")
    fn = "contains" if head and tail else "starts_with" if head else "ends_with" if tail else "eq"
    found = call(fn, _read(node.this), _lit(core))
    return ~found if node.args.get("negate") else found


def _string(node: Any, place: str) -> Literal:
    found = _read(node)
    if not isinstance(found, Literal) or found.word != "str":
        raise _Refused(f"{place} without a text", "write the text in single quotes: 'abc'")
    return found


def _case(node: Any) -> Expr:
    subject = None if node.this is None or node.this == "" else _read(node.this)
    branches = []
    for branch in node.args["ifs"]:
        condition = _read(branch.this)
        if subject is not None:
            condition = call("eq", subject, condition)
        branches.append((condition, _read(branch.args["true"])))
    other = node.args.get("default")
    return Case(tuple(branches), None if other is None else _read(other))


def _cast(node: Any) -> Expr:
    word = _cast_word(node.to)
    inner = node.this
    if getattr(inner, "is_string", False) and word.startswith(("timestamp", "date")):
        return _lit(_moment(inner.this, word))
    return _read(inner).cast(word)


def _cast_word(kind: Any) -> str:
    name = str(kind.this.value if hasattr(kind.this, "value") else kind.this).lower()
    parameters = [str(p.this) for p in kind.expressions]
    if name == "user-defined":
        return type_word(str(kind.args.get("kind")), "cast")
    if name == "decimal" and len(parameters) == 2:
        return type_word(f"decimal({parameters[0]}, {parameters[1]})", "cast")
    if name not in _SQL_TYPES or parameters:
        raise _Refused(
            f"cast to {kind.sql().lower()}",
            "the types are bool, i8 to i64, u8 to u64, f32, f64, str, binary, date, timestamp, "
            "timestamptz and decimal(p, s)",
        )
    return _SQL_TYPES[name]


_SQL_TYPES = {
    **{"boolean": "bool", "tinyint": "i8", "smallint": "i16", "int": "i32", "bigint": "i64"},
    **{"utinyint": "u8", "usmallint": "u16", "uint": "u32", "ubigint": "u64"},
    **{"float": "f32", "double": "f64", "varchar": "str", "text": "str", "date": "date"},
    **{"binary": "binary", "varbinary": "binary"},
    **{"timestamp": "timestamp[us]", "timestampntz": "timestamp[us]"},
    **{"datetime": "timestamp[us]", "timestamptz": "timestamp[us, UTC]"},
}


def _moment(code: str, word: str) -> date | datetime:
    kind = pa.date32() if word == "date" else pa.timestamp("us", "UTC")
    found, misfits = column([code], "literal", kind)
    if misfits:
        said = f"'{code}' is not a {word.partition('[')[0]}"
        if misfits[0].said != _UNREADABLE:
            said = f"'{code}' {misfits[0].said}"
        raise _Refused(said, "write date '2024-12-31' or timestamp '2024-12-31 23:59:59'")
    try:
        moment: date | datetime = found[0].as_py()
    except (ValueError, OverflowError):
        raise _Refused(f"'{code}' is outside the years 1 to 9999") from None
    if isinstance(moment, datetime):
        moment = moment.replace(tzinfo=UTC)
        return moment if word.endswith("UTC]") or _has_zone(code) else moment.replace(tzinfo=None)
    return moment


def _has_zone(code: str) -> bool:
    clock = code.strip()[10:]
    return any(mark in clock for mark in "Zz+-")


def _interval(node: Any) -> Expr:
    unit = str(node.args.get("unit") or "").lower().removesuffix("s")
    unit = _UNITS.get(unit, unit)
    count = getattr(node.this, "this", None)
    if not isinstance(count, str):
        raise _Refused("an interval without a number", "write interval '10 minutes'")
    span = parse_duration(f"{count}{unit}", "interval", zero=True, negative=True)
    return _lit(timedelta(microseconds=span.us))


_UNITS = {
    **{"week": "w", "day": "d", "hour": "h", "minute": "m", "second": "s"},
    **{"millisecond": "ms", "microsecond": "us", "month": "mo", "quarter": "q", "year": "y"},
}


def _function(node: Any) -> Expr:
    name = str(node.this).lower()
    wanted = _FUNCTIONS.get(name)
    if wanted is None:
        known = (*_FUNCTIONS, "coalesce", "abs", "lower", "upper", "length", "starts_with")
        raise _Refused(f"unknown function {name}()", did_you_mean(name, (*known, "contains")))
    if len(node.expressions) != wanted:
        raise _Refused(f"{name}() takes {wanted or 'no'} argument{'s' * (wanted != 1)}")
    return call(name, *map(_read, node.expressions))


_FUNCTIONS = {"is_late": 0, "arrival": 0, **{f"epoch_{unit}": 1 for unit in EPOCH_UNITS}}
