//! The expression tree as the plan carries it: what a user wrote, before any schema is known.

use std::collections::VecDeque;

use arrow_schema::{DataType, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::literal::Literal;
use crate::error::{Error, Result};
use crate::schema::{internal_type, named, parse_type, type_word};

/// An expression over the columns of one row.
///
/// ```text
/// {"fn": "gt", "args": [{"col": "amount"}, {"lit": 500, "type": "i64"}]}      amount > 500
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ExprObject", into = "ExprObject")]
pub enum Expr {
    /// A column, by its name.
    Column(String),
    /// A text: the column of that name if the stream has one, else what it means as SQL.
    Text(String, Box<Expr>),
    /// A constant.
    Literal(Literal),
    /// A function of its arguments.
    Call(Function, Vec<Expr>),
    /// A value as another type; a value that does not fit makes its row invalid.
    Cast(Box<Expr>, DataType),
    /// The value of the first condition that is true, else the last one (null if there is none).
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
}

/// Everything that can stand in the `fn` of a plan, except `cast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Two values beside each other; null where either is.
    Compare(Comparison),
    /// A number or time out of two; null where either is.
    Arithmetic(Operation),
    /// True where all are, false where one is; three-valued.
    And,
    /// True where one is, false where all are; three-valued.
    Or,
    /// The other truth value.
    Not,
    /// The number or duration with the other sign.
    Neg,
    /// The number or duration without its sign.
    Abs,
    /// Whether the value is null; never null itself.
    IsNull,
    /// Whether the value is not null.
    IsNotNull,
    /// Whether a float is not a number.
    IsNan,
    /// Whether the first is equal to one of the others, which are constants.
    In,
    /// Whether the text begins with another.
    StartsWith,
    /// Whether the text ends with another.
    EndsWith,
    /// Whether the text has another in it.
    Contains,
    /// The text in lower case (Unicode).
    Lower,
    /// The text in upper case (Unicode).
    Upper,
    /// Characters of a text, bytes of a binary.
    Length,
    /// The first value that is not null.
    Coalesce,
    /// Whether the row came late to a window before.
    IsLate,
    /// When the row arrived, null where nobody said.
    Arrival,
    /// The instant so many of the unit after 1970-01-01 UTC.
    Epoch(TimeUnit),
}

/// A way to compare; with NaN only `Ne` holds, and -0.0 equals 0.0, as in IEEE 754.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An arithmetic operation; `Div` is true division, `Mod` has the sign of the dividend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

/// Name, least and greatest number of arguments.
const FUNCTIONS: [(Function, &str, usize, usize); 33] = {
    use Comparison::*;
    use Function::*;
    use Operation::*;
    const MANY: usize = usize::MAX;
    [
        (Compare(Eq), "eq", 2, 2),
        (Compare(Ne), "ne", 2, 2),
        (Compare(Lt), "lt", 2, 2),
        (Compare(Le), "le", 2, 2),
        (Compare(Gt), "gt", 2, 2),
        (Compare(Ge), "ge", 2, 2),
        (Arithmetic(Add), "add", 2, 2),
        (Arithmetic(Sub), "sub", 2, 2),
        (Arithmetic(Mul), "mul", 2, 2),
        (Arithmetic(Div), "div", 2, 2),
        (Arithmetic(Mod), "mod", 2, 2),
        (And, "and", 1, MANY),
        (Or, "or", 1, MANY),
        (Not, "not", 1, 1),
        (Neg, "neg", 1, 1),
        (Abs, "abs", 1, 1),
        (IsNull, "is_null", 1, 1),
        (IsNotNull, "is_not_null", 1, 1),
        (IsNan, "is_nan", 1, 1),
        (In, "in", 1, MANY),
        (StartsWith, "starts_with", 2, 2),
        (EndsWith, "ends_with", 2, 2),
        (Contains, "contains", 2, 2),
        (Lower, "lower", 1, 1),
        (Upper, "upper", 1, 1),
        (Length, "length", 1, 1),
        (Coalesce, "coalesce", 1, MANY),
        (IsLate, "is_late", 0, 0),
        (Arrival, "arrival", 0, 0),
        (Epoch(TimeUnit::Second), "epoch_s", 1, 1),
        (Epoch(TimeUnit::Millisecond), "epoch_ms", 1, 1),
        (Epoch(TimeUnit::Microsecond), "epoch_us", 1, 1),
        (Epoch(TimeUnit::Nanosecond), "epoch_ns", 1, 1),
    ]
};

impl Function {
    /// The name in a plan, e.g. `starts_with`.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The function of that name.
    pub fn named(name: &str) -> Result<Function> {
        FUNCTIONS
            .iter()
            .find(|entry| entry.1 == name)
            .map(|entry| entry.0)
            .ok_or_else(|| Error::Expression(format!("unknown function \"{name}\"")))
    }

    /// Whether it takes that many arguments.
    pub fn takes(self, arguments: usize) -> bool {
        let (_, _, least, most) = self.entry();
        (*least..=*most).contains(&arguments)
    }

    fn entry(self) -> &'static (Function, &'static str, usize, usize) {
        FUNCTIONS.iter().find(|entry| entry.0 == self).expect("every function is listed")
    }
}

impl Expr {
    /// The names of the columns it reads, left to right, repeated as they are.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let mut ahead = VecDeque::from([self]);
        std::iter::from_fn(move || {
            while let Some(expr) = ahead.pop_front() {
                if let Expr::Column(name) = expr {
                    return Some(name.as_str());
                }
                for child in expr.children().into_iter().rev() {
                    ahead.push_front(child);
                }
            }
            None
        })
    }

    /// The same where the columns are known: each text is a column or its meaning.
    pub fn settled(&self, schema: &Schema) -> Expr {
        let settle = |expr: &Expr| expr.settled(schema);
        match self {
            Expr::Text(name, _) if schema.index_of(name).is_ok() => Expr::Column(name.clone()),
            Expr::Text(_, meaning) => settle(meaning),
            Expr::Column(_) | Expr::Literal(_) => self.clone(),
            Expr::Call(function, args) => Expr::Call(*function, args.iter().map(settle).collect()),
            Expr::Cast(inner, to) => Expr::Cast(Box::new(settle(inner)), to.clone()),
            Expr::Case(branches, otherwise) => Expr::Case(
                branches.iter().map(|(when, then)| (settle(when), settle(then))).collect(),
                otherwise.as_deref().map(|otherwise| Box::new(settle(otherwise))),
            ),
        }
    }

    /// Whether it, or anything in it, calls `function`.
    pub fn calls(&self, function: Function) -> bool {
        matches!(self, Expr::Call(own, _) if *own == function)
            || self.children().into_iter().any(|child| child.calls(function))
    }

    /// The expressions directly in it, in the order in which they are written.
    fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) => Vec::new(),
            Expr::Text(_, meaning) => vec![&**meaning],
            Expr::Call(_, args) => args.iter().collect(),
            Expr::Cast(inner, _) => vec![&**inner],
            Expr::Case(branches, otherwise) => {
                let pairs = branches.iter().flat_map(|(when, then)| [when, then]);
                pairs.chain(otherwise.as_deref()).collect()
            }
        }
    }
}

/// The JSON object; which of its fields are there says what it is.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExprObject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    col: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<(String, Box<Expr>)>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    lit: Option<Json>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    word: Option<String>,
    #[serde(default, rename = "fn", skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    args: Option<Vec<Expr>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    case: Option<Vec<(Expr, Expr)>>,
    /// Outer none: not written; a case without an else is written with a null.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "present")]
    otherwise: Option<Option<Box<Expr>>>,
}

/// Tells `null` from a field that is not there.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<ExprObject> for Expr {
    type Error = Error;

    fn try_from(raw: ExprObject) -> Result<Expr> {
        let ExprObject { col, text, lit, word, function, args, to, case, otherwise } = raw;
        if let Some((name, meaning)) = text {
            return Ok(Expr::Text(name, meaning));
        }
        match (col, lit, word, function, args, to, case, otherwise) {
            (Some(name), None, None, None, None, None, None, None) => Ok(Expr::Column(name)),
            (None, Some(value), Some(word), None, None, None, None, None) => {
                Ok(Expr::Literal(Literal::from_json(&value, &word)?))
            }
            (None, None, None, Some(name), args, None, None, None) => {
                let (function, args) = (Function::named(&name)?, args.unwrap_or_default());
                if !function.takes(args.len()) {
                    let given = args.len();
                    return Err(Error::Expression(format!("{name} cannot take {given} arguments")));
                }
                Ok(Expr::Call(function, args))
            }
            (None, None, None, Some(name), Some(mut args), Some(word), None, None)
                if name == "cast" && args.len() == 1 =>
            {
                let to = parse_type(&word)?;
                if internal_type(&to)? != to {
                    let hint = format!("cast to {}", named(&internal_type(&to)?));
                    let said = format!("a cast to {word} is not supported\nhint: {hint}");
                    return Err(Error::Expression(said));
                }
                Ok(Expr::Cast(Box::new(args.remove(0)), to))
            }
            (None, None, None, None, None, None, Some(branches), otherwise)
                if !branches.is_empty() =>
            {
                Ok(Expr::Case(branches, otherwise.flatten()))
            }
            (..) => Err(Error::Expression(
                "an expression is one of {col}, {text}, {lit, type}, {fn, args}, {fn: cast, args, to}, \
                 {case, else}"
                    .to_string(),
            )),
        }
    }
}

impl From<Expr> for ExprObject {
    fn from(expr: Expr) -> ExprObject {
        match expr {
            Expr::Column(name) => ExprObject { col: Some(name), ..ExprObject::default() },
            Expr::Text(name, meaning) => {
                ExprObject { text: Some((name, meaning)), ..ExprObject::default() }
            }
            Expr::Literal(literal) => {
                let (value, word) = literal.to_json();
                ExprObject { lit: Some(value), word: Some(word), ..ExprObject::default() }
            }
            Expr::Call(function, args) => {
                let function = Some(function.name().to_string());
                ExprObject { function, args: Some(args), ..ExprObject::default() }
            }
            Expr::Cast(inner, to) => ExprObject {
                function: Some("cast".to_string()),
                args: Some(vec![*inner]),
                to: Some(type_word(&to).expect("a cast was parsed from a word")),
                ..ExprObject::default()
            },
            Expr::Case(branches, otherwise) => ExprObject {
                case: Some(branches),
                otherwise: Some(otherwise),
                ..ExprObject::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Json) -> Result<Expr, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn json_comes_back_as_it_was() {
        for value in [
            json!({"col": "amount"}),
            json!({"text": ["a-b", {"fn": "sub", "args": [{"col": "a"}, {"col": "b"}]}]}),
            json!({"lit": null, "type": "null"}),
            json!({"lit": 0.1, "type": "f64"}),
            json!({"lit": "nan", "type": "f64"}),
            json!({"lit": "00ff", "type": "binary"}),
            json!({"lit": "12.50", "type": "decimal(6, 2)"}),
            json!({"lit": -1, "type": "timestamp[us, UTC]"}),
            json!({"fn": "is_late", "args": []}),
            json!({"fn": "cast", "args": [{"col": "a"}], "to": "timestamp[us, Europe/Berlin]"}),
            json!({"case": [[{"col": "a"}, {"col": "b"}]], "else": null}),
            json!({"case": [[{"col": "a"}, {"col": "b"}]], "else": {"col": "c"}}),
            json!({"fn": "in", "args": [{"col": "a"}, {"lit": 1, "type": "i64"}]}),
        ] {
            let expr = parse(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(&expr).unwrap(), value);
        }
    }

    #[test]
    fn every_function_comes_back() {
        for (function, name, least, _) in FUNCTIONS {
            let args = vec![json!({"col": "a"}); least];
            let expr = parse(json!({"fn": name, "args": args})).unwrap();
            assert!(expr.calls(function));
            assert_eq!(Function::named(function.name()), Ok(function));
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for (value, said) in [
            (json!({"fn": "sqrt", "args": []}), "unknown function \"sqrt\""),
            (json!({"fn": "eq", "args": [{"col": "a"}]}), "eq cannot take 1 arguments"),
            (json!({"col": "a", "lit": 1}), "an expression is one of"),
            (json!({"colum": "a"}), "unknown field"),
            (json!({"case": []}), "an expression is one of"),
            (json!({"lit": "x", "type": "i64"}), "\"x\" is not a literal of type i64"),
        ] {
            let error = parse(value).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn columns_are_found_everywhere_in_order() {
        let expr = parse(json!({"case": [[
            {"fn": "gt", "args": [{"col": "a"}, {"col": "b"}]},
            {"fn": "cast", "args": [{"col": "c"}], "to": "i64"}
        ]], "else": {"col": "a"}}))
        .unwrap();
        assert_eq!(expr.columns().collect::<Vec<_>>(), ["a", "b", "c", "a"]);
    }
}
