"""The expression tree: columns, constants, calls and casts, and the operators on them.

Logic has three values as in SQL: a comparison with null is null, and a filter keeps only what is
true. Integers compute in 64 bits, `/` is true division, and `x / 0` is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NoReturn, TypeVar

from muntin.base.errors import ExpressionError, with_hint
from muntin.values.literals import Json, Value, encode, quote, show, text, word_of
from muntin.values.protocols import type_word

E = TypeVar("E", bound="Expr")

DEPTH_MAX = 50
_COMPARE, _OR, _AND, _ADD, _MUL, _UNARY, ATOM = range(1, 8)
_INFIX = {
    **{"eq": ("==", _COMPARE), "ne": ("!=", _COMPARE), "lt": ("<", _COMPARE)},
    **{"le": ("<=", _COMPARE), "gt": (">", _COMPARE), "ge": (">=", _COMPARE)},
    **{"or": ("|", _OR), "and": ("&", _AND), "add": ("+", _ADD), "sub": ("-", _ADD)},
    **{"mul": ("*", _MUL), "div": ("/", _MUL), "mod": ("%", _MUL)},
}


class Expr:
    """An expression over the columns of a row: frozen and hashable.

    Made by `col`, `lit`, `sql`, `when`, and by operators on these: `== != < <= > >=`,
    `& | ~` for and, or, not, and `+ - * / %`. The other operand may be a plain value; a plain
    `str` is text there, not a column. `==` makes an expression; to compare two expressions,
    compare their `key()`.

    >>> from muntin import col
    >>> (col("amount") > 500) & col("card").is_not_null()
    (col("amount") > 500) & col("card").is_not_null()
    >>> twice = col("amount") * 2
    >>> twice.depth, twice.children(), twice.render()[0]
    (1, (col("amount"), lit(2)), 'col("amount") * 2')
    >>> twice.to_json()
    {'fn': 'mul', 'args': [{'col': 'amount'}, {'lit': 2, 'type': 'i64'}]}
    """

    __slots__ = ()

    @property
    def depth(self) -> int:
        """How many levels of calls it nests."""
        raise NotImplementedError

    def to_json(self) -> Json:
        """The tree as JSON values, which is how it enters a plan."""
        raise NotImplementedError

    def render(self) -> tuple[str, int]:
        """Its text as a user would type it, and how tightly that binds."""
        raise NotImplementedError

    def children(self) -> tuple[Expr, ...]:
        """The expressions it is made of."""
        return ()

    def key(self) -> str:
        """Its canonical form: two expressions are the same if their keys are equal.

        >>> from muntin import col, sql
        >>> (col("n") > 5).key() == sql("n > 5").key()
        True
        """
        return json.dumps(self.to_json(), separators=(",", ":"))

    def columns(self) -> tuple[Column, ...]:
        """The columns it reads, in order of appearance; repeated where they are.

        >>> from muntin import sql
        >>> sql("price * quantity > 10").columns()
        (col("price"), col("quantity"))
        """
        return tuple(c for child in self.children() for c in child.columns())

    def __repr__(self) -> str:
        return self.render()[0]

    def __hash__(self) -> int:
        return hash(self.key())

    def __bool__(self) -> NoReturn:
        raise ExpressionError(
            with_hint(
                f"an expression has no truth value of its own: {self!r}",
                "use & | ~ in place of and, or, not, each side in parentheses, and "
                "x.between(1, 5) in place of 1 <= x <= 5",
            )
        )

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return call("eq", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return call("ne", self, other)

    def __lt__(self, other: Expr | Value) -> Expr:
        return call("lt", self, other)

    def __le__(self, other: Expr | Value) -> Expr:
        return call("le", self, other)

    def __gt__(self, other: Expr | Value) -> Expr:
        return call("gt", self, other)

    def __ge__(self, other: Expr | Value) -> Expr:
        return call("ge", self, other)

    def __and__(self, other: Expr | Value) -> Expr:
        return call("and", self, other)

    def __rand__(self, other: Value) -> Expr:
        return call("and", other, self)

    def __or__(self, other: Expr | Value) -> Expr:
        return call("or", self, other)

    def __ror__(self, other: Value) -> Expr:
        return call("or", other, self)

    def __invert__(self) -> Expr:
        return call("not", self)

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __add__(self, other: Expr | Value) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: Value) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Expr | Value) -> Expr:
        return call("sub", self, other)

    def __rsub__(self, other: Value) -> Expr:
        return call("sub", other, self)

    def __mul__(self, other: Expr | Value) -> Expr:
        return call("mul", self, other)

    def __rmul__(self, other: Value) -> Expr:
        return call("mul", other, self)

    def __truediv__(self, other: Expr | Value) -> Expr:
        return call("div", self, other)

    def __rtruediv__(self, other: Value) -> Expr:
        return call("div", other, self)

    def __mod__(self, other: Expr | Value) -> Expr:
        return call("mod", self, other)

    def __rmod__(self, other: Value) -> Expr:
        return call("mod", other, self)

    def is_null(self) -> Expr:
        """Whether it is null; never null itself.

        >>> from muntin import col
        >>> col("card").is_null() | (col("amount") < 0)
        col("card").is_null() | (col("amount") < 0)
        """
        return call("is_null", self)

    def is_not_null(self) -> Expr:
        """Whether it is not null; never null itself.

        >>> from muntin import col, sql
        >>> sql("card is not null")
        col("card").is_not_null()
        """
        return call("is_not_null", self)

    def is_nan(self) -> Expr:
        """Whether a float is NaN.

        >>> from muntin import col
        >>> ~col("celsius").is_nan()
        ~col("celsius").is_nan()
        """
        return call("is_nan", self)

    def is_in(self, values: Iterable[Value]) -> Expr:
        """Whether it equals one of the literal values, as SQL `IN`: null if it is null.

        >>> from muntin import col
        >>> col("country").is_in(["FR", "DE"])
        col("country").is_in(["FR", "DE"])
        """
        if isinstance(values, str | bytes):
            raise ExpressionError(
                with_hint(f"is_in() takes a list, not {values!r}", f"write is_in([{values!r}])")
            )
        return call("in", self, *(literal(v, "is_in()") for v in values))

    def between(self, low: Expr | Value, high: Expr | Value) -> Expr:
        """Whether it is between two values, both included.

        >>> from muntin import col
        >>> col("hour").between(9, 17)
        (col("hour") >= 9) & (col("hour") <= 17)
        """
        return (self >= low) & (self <= high)

    def starts_with(self, part: str) -> Expr:
        """Whether a string starts with the text.

        >>> from muntin import col, sql
        >>> sql("page like '/cart%'")
        col("page").starts_with("/cart")
        """
        return call("starts_with", self, text(part, "starts_with()"))

    def ends_with(self, part: str) -> Expr:
        """Whether a string ends with the text.

        >>> from muntin import col
        >>> col("mail").ends_with("@example.com")
        col("mail").ends_with("@example.com")
        """
        return call("ends_with", self, text(part, "ends_with()"))

    def contains(self, part: str) -> Expr:
        """Whether a string contains the text, letter by letter: no pattern.

        >>> from muntin import col
        >>> col("agent").contains("bot")
        col("agent").contains("bot")
        """
        return call("contains", self, text(part, "contains()"))

    def lower(self) -> Expr:
        """The string in lower case.

        >>> from muntin import col
        >>> col("country").lower() == "fr"
        col("country").lower() == "fr"
        """
        return call("lower", self)

    def upper(self) -> Expr:
        """The string in upper case.

        >>> from muntin import col
        >>> col("country").upper().is_in(["FR", "DE"])
        col("country").upper().is_in(["FR", "DE"])
        """
        return call("upper", self)

    def length(self) -> Expr:
        """The number of characters of a string.

        >>> from muntin import col
        >>> col("card").length() == 16
        col("card").length() == 16
        """
        return call("length", self)

    def abs(self) -> Expr:
        """The absolute value of a number.

        >>> from muntin import col
        >>> (col("paid") - col("owed")).abs() > 0.01
        (col("paid") - col("owed")).abs() > 0.01
        """
        return call("abs", self)

    def cast(self, word: str) -> Expr:
        """The value as another type, given as a type word (`"f64"`, `"timestamp[us, UTC]"`).

        Raises `SchemaError` for an unknown word.

        >>> from muntin import col
        >>> col("amount").cast("decimal(10, 2)")
        col("amount").cast("decimal(10, 2)")
        """
        return Cast(self, type_word(word, "cast()"))

    def fill_null(self, value: Expr | Value) -> Expr:
        """The value, or the other one where it is null (SQL `coalesce`).

        >>> from muntin import col
        >>> col("discount").fill_null(0.0)
        col("discount").fill_null(0.0)
        """
        return call("coalesce", self, value)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Column(Expr):
    """A column by name; `quoted` if SQL text had it in double quotes."""

    name: str
    quoted: bool = False

    @property
    def depth(self) -> int:
        return 0

    def to_json(self) -> Json:
        return {"col": self.name}

    def render(self) -> tuple[str, int]:
        return f"col({quote(self.name)})", ATOM

    def columns(self) -> tuple[Column, ...]:
        return (self,)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Literal(Expr):
    """A constant, with its type word."""

    value: Value
    word: str

    @property
    def depth(self) -> int:
        return 0

    def to_json(self) -> Json:
        return {"lit": encode(self.value), "type": self.word}

    def render(self) -> tuple[str, int]:
        return f"lit({show(self.value)})", ATOM


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Call(Expr):
    """A function or an operator over arguments."""

    fn: str
    args: tuple[Expr, ...]

    @property
    def depth(self) -> int:
        levels = (len(self.args) - 1).bit_length() if self.fn in ("and", "or") else 1
        return levels + max((arg.depth for arg in self.args), default=0)

    def children(self) -> tuple[Expr, ...]:
        return self.args

    def to_json(self) -> Json:
        return _nest(self.fn, self.args) if self.fn in ("and", "or") else _fn(self.fn, self.args)

    def render(self) -> tuple[str, int]:
        if self.fn in _INFIX:
            sign, level = _INFIX[self.fn]
            first = level + 1 if level == _COMPARE else level
            parts = [_operand(self.args[0], first, bare=False)]
            parts += (_operand(arg, level + 1, bare=True) for arg in self.args[1:])
            return f" {sign} ".join(parts), level
        if self.fn in ("not", "neg"):
            sign = "~" if self.fn == "not" else "-"
            return sign + _operand(self.args[0], _UNARY, bare=False), _UNARY
        if self.fn.startswith("epoch_"):
            return f'epoch("{self.fn[6:]}", {self.args[0]!r})', ATOM
        if not self.args:
            return f"{self.fn}()", ATOM
        first_text = _operand(self.args[0], ATOM, bare=False)
        rest = [_operand(arg, 0, bare=True) for arg in self.args[1:]]
        if self.fn == "in":
            return f"{first_text}.is_in([{', '.join(rest)}])", ATOM
        if self.fn == "coalesce":
            return first_text + "".join(f".fill_null({arg})" for arg in rest), ATOM
        return f"{first_text}.{self.fn}({', '.join(rest)})", ATOM


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Cast(Expr):
    """A value as another type."""

    arg: Expr
    word: str

    @property
    def depth(self) -> int:
        return self.arg.depth + 1

    def children(self) -> tuple[Expr, ...]:
        return (self.arg,)

    def to_json(self) -> Json:
        return {"fn": "cast", "args": [self.arg.to_json()], "to": self.word}

    def render(self) -> tuple[str, int]:
        return f'{_operand(self.arg, ATOM, bare=False)}.cast("{self.word}")', ATOM


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Case(Expr):
    """The value of the first condition that is true, else the other value, else null."""

    branches: tuple[tuple[Expr, Expr], ...]
    other: Expr | None = None

    @property
    def depth(self) -> int:
        return 1 + max(child.depth for child in self.children())

    def children(self) -> tuple[Expr, ...]:
        flat = tuple(e for branch in self.branches for e in branch)
        return flat if self.other is None else (*flat, self.other)

    def to_json(self) -> Json:
        other = None if self.other is None else self.other.to_json()
        return {"case": [[c.to_json(), v.to_json()] for c, v in self.branches], "else": other}

    def render(self) -> tuple[str, int]:
        said = ".".join(f"when({c!r}).then({v!r})" for c, v in self.branches)
        return said if self.other is None else f"{said}.otherwise({self.other!r})", ATOM


class Unfinished:
    """An incomplete expression; using it raises an error that says what is missing."""

    __slots__ = ()
    missing: ClassVar[str]


def call(fn: str, *args: object) -> Call:
    """A call by its name in the plan; nested `and`, `or` and `coalesce` become one.

    Raises `ExpressionError` for a comparison with null, or an argument that is not a value.
    """
    place = _INFIX[fn][0] if fn in _INFIX else f"{fn}()"
    exprs = tuple(a if isinstance(a, Expr) else literal(a, place) for a in args)
    if fn in ("eq", "ne") and any(isinstance(e, Literal) and e.value is None for e in exprs):
        raise ExpressionError(
            with_hint(f"{place} with null is never true", "write .is_null() or .is_not_null()")
        )
    if fn in ("and", "or", "coalesce"):
        exprs = tuple(
            part for e in exprs for part in (e.args if isinstance(e, Call) and e.fn == fn else (e,))
        )
    return checked(Call(fn, exprs))


def checked(expr: E) -> E:
    """The expression itself; `ExpressionError` if it nests too deeply."""
    if expr.depth > DEPTH_MAX:
        raise ExpressionError(
            with_hint(
                f"an expression nests deeper than {DEPTH_MAX} levels",
                "give parts of it a name with with_columns() before",
            )
        )
    return expr


def literal(value: object, place: str) -> Literal:
    """A constant; raises `ExpressionError`, with the place, for any other value."""
    if isinstance(value, Unfinished):
        raise ExpressionError(f"{place}: {value.missing}")
    word = word_of(value, place)
    return Literal(value, word)  # type: ignore[arg-type]


def _operand(expr: Expr, level: int, *, bare: bool) -> str:
    if bare and isinstance(expr, Literal):
        return show(expr.value)
    shown, binds = expr.render()
    return shown if binds >= level else f"({shown})"


def _fn(fn: str, args: Iterable[Expr]) -> Json:
    return {"fn": fn, "args": [arg.to_json() for arg in args]}


def _nest(fn: str, args: tuple[Expr, ...]) -> Json:
    # A long chain as a balanced tree of pairs stays shallow for whoever reads it.
    if len(args) == 1:
        return args[0].to_json()
    half = (len(args) + 1) // 2
    return {"fn": fn, "args": [_nest(fn, args[:half]), _nest(fn, args[half:])]}
