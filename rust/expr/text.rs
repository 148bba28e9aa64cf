//! Expressions as SQL-like text, for error messages and for people.

use std::fmt::{self, Display, Formatter};

use arrow_array::types::{Decimal128Type, DecimalType};
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use super::literal::{Literal, to_hex};
use super::tree::{Comparison, Expr, Function, Operation};
use crate::schema::type_word;

/// How tightly a form binds; a looser one inside a tighter one takes parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Compare,
    Add,
    Multiply,
    Negate,
    Atom,
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Column(name) => column(f, name),
            Expr::Text(_, meaning) => meaning.fmt(f),
            Expr::Literal(value) => value.fmt(f),
            Expr::Call(function, args) => call(f, *function, args),
            Expr::Cast(inner, to) => {
                let word = type_word(to).unwrap_or_else(|_| to.to_string());
                write!(f, "cast({inner} as {word})")
            }
            Expr::Case(branches, otherwise) => {
                f.write_str("case")?;
                for (when, then) in branches {
                    write!(f, " when {when} then {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end")
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Float(value) => write!(f, "{value:?}"),
            Literal::Str(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Binary(bytes) => write!(f, "x'{}'", to_hex(bytes)),
            Literal::Date(_) => write!(f, "date '{}'", self.formatted()),
            Literal::Timestamp(..) => write!(f, "timestamp '{}'", self.formatted()),
            Literal::Duration(micros) => write!(f, "interval '{micros} microseconds'"),
            Literal::Decimal(value, p, s) => {
                f.write_str(&Decimal128Type::format_decimal(*value, *p, *s))
            }
        }
    }
}

impl Literal {
    /// The value as Arrow writes it, in UTC: a named zone is data here, not a calendar.
    fn formatted(&self) -> String {
        let zoneless = match self {
            Literal::Timestamp(time, Some(_)) => Literal::Timestamp(*time, None),
            other => other.clone(),
        };
        let array = zoneless.to_array();
        let options = FormatOptions::default();
        match ArrayFormatter::try_new(&array, &options) {
            Ok(formatter) => formatter.value(0).try_to_string().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

fn column(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let starts = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if starts && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        f.write_str(name)
    } else {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    }
}

/// How a function is written.
enum Form {
    Infix(&'static str, Binding),
    Prefix(&'static str, Binding),
    Postfix(&'static str),
    Among,
    Named,
}

fn form(function: Function) -> Form {
    use Function::*;
    match function {
        Compare(how) => Form::Infix(
            match how {
                Comparison::Eq => " = ",
                Comparison::Ne => " <> ",
                Comparison::Lt => " < ",
                Comparison::Le => " <= ",
                Comparison::Gt => " > ",
                Comparison::Ge => " >= ",
            },
            Binding::Compare,
        ),
        Arithmetic(operation) => match operation {
            Operation::Add => Form::Infix(" + ", Binding::Add),
            Operation::Sub => Form::Infix(" - ", Binding::Add),
            Operation::Mul => Form::Infix(" * ", Binding::Multiply),
            Operation::Div => Form::Infix(" / ", Binding::Multiply),
            Operation::Mod => Form::Infix(" % ", Binding::Multiply),
        },
        And => Form::Infix(" and ", Binding::And),
        Or => Form::Infix(" or ", Binding::Or),
        Not => Form::Prefix("not ", Binding::Not),
        Neg => Form::Prefix("-", Binding::Atom),
        IsNull => Form::Postfix(" is null"),
        IsNotNull => Form::Postfix(" is not null"),
        In => Form::Among,
        Abs | IsNan | StartsWith | EndsWith | Contains | Lower | Upper | Length => Form::Named,
        Coalesce | IsLate | Arrival | Epoch(_) => Form::Named,
    }
}

fn call(f: &mut Formatter<'_>, function: Function, args: &[Expr]) -> fmt::Result {
    match form(function) {
        Form::Infix(sign, binding) => joined(f, args, sign, binding),
        Form::Prefix(sign, least) => {
            f.write_str(sign)?;
            inside(f, &args[0], least)
        }
        Form::Postfix(words) => {
            inside(f, &args[0], Binding::Add)?;
            f.write_str(words)
        }
        Form::Among => {
            inside(f, &args[0], Binding::Add)?;
            f.write_str(" in ")?;
            listed(f, &args[1..])
        }
        Form::Named => {
            f.write_str(function.name())?;
            listed(f, args)
        }
    }
}

fn listed(f: &mut Formatter<'_>, args: &[Expr]) -> fmt::Result {
    f.write_str("(")?;
    for (i, arg) in args.iter().enumerate() {
        write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
    }
    f.write_str(")")
}

/// The arguments with a sign between them; only the first may bind as loosely as the sign.
fn joined(f: &mut Formatter<'_>, args: &[Expr], sign: &str, binding: Binding) -> fmt::Result {
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            f.write_str(sign)?;
        }
        let own = binding_of(arg);
        let first = i == 0 && binding != Binding::Compare;
        if own > binding || (own == binding && first) {
            write!(f, "{arg}")?;
        } else {
            write!(f, "({arg})")?;
        }
    }
    Ok(())
}

fn inside(f: &mut Formatter<'_>, expr: &Expr, least: Binding) -> fmt::Result {
    if binding_of(expr) >= least { write!(f, "{expr}") } else { write!(f, "({expr})") }
}

fn binding_of(expr: &Expr) -> Binding {
    match expr {
        Expr::Text(_, meaning) => binding_of(meaning),
        Expr::Column(_) | Expr::Literal(_) | Expr::Cast(..) | Expr::Case(..) => Binding::Atom,
        Expr::Call(function, args) => match form(*function) {
            // and, or of a single argument is that argument
            Form::Infix(_, _) if args.len() == 1 => binding_of(&args[0]),
            Form::Infix(_, binding) => binding,
            Form::Prefix(_, least) => least.min(Binding::Negate),
            Form::Postfix(_) | Form::Among => Binding::Compare,
            Form::Named => Binding::Atom,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn text(value: Json) -> String {
        serde_json::from_value::<Expr>(value).unwrap().to_string()
    }

    #[test]
    fn parentheses_only_where_they_matter() {
        let (a, b) = (json!({"col": "a"}), json!({"col": "b"}));
        let sum = json!({"fn": "add", "args": [a, b]});
        let two = json!({"lit": 2, "type": "i64"});
        assert_eq!(text(json!({"fn": "mul", "args": [sum, two]})), "(a + b) * 2");
        assert_eq!(text(json!({"fn": "sub", "args": [sum, two]})), "a + b - 2");
        assert_eq!(text(json!({"fn": "sub", "args": [two, sum]})), "2 - (a + b)");
        let more = json!({"fn": "gt", "args": [sum, two]});
        assert_eq!(text(json!({"fn": "not", "args": [more]})), "not a + b > 2");
        assert_eq!(text(json!({"fn": "eq", "args": [more, a]})), "(a + b > 2) = a");
        let either = json!({"fn": "or", "args": [a, more]});
        assert_eq!(text(json!({"fn": "and", "args": [either, b]})), "(a or a + b > 2) and b");
        assert_eq!(text(json!({"fn": "is_null", "args": [either]})), "(a or a + b > 2) is null");
    }

    #[test]
    fn names_and_constants() {
        assert_eq!(text(json!({"col": "order id"})), "\"order id\"");
        assert_eq!(text(json!({"lit": "it's", "type": "str"})), "'it''s'");
        assert_eq!(text(json!({"lit": 1.0, "type": "f64"})), "1.0");
        assert_eq!(text(json!({"lit": "1.50", "type": "decimal(9, 2)"})), "1.50");
        assert_eq!(text(json!({"lit": 0, "type": "date"})), "date '1970-01-01'");
        let zoned = json!({"lit": 0, "type": "timestamp[us, Europe/Berlin]"});
        assert_eq!(text(zoned), "timestamp '1970-01-01T00:00:00'");
        let cast = json!({"fn": "cast", "args": [{"col": "a"}], "to": "list[f64]"});
        assert_eq!(text(cast), "cast(a as list[f64])");
        let among = json!({"fn": "in", "args": [{"col": "a"}, {"lit": null, "type": "null"}]});
        assert_eq!(text(among), "a in (null)");
    }
}
