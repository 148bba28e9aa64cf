//! From a tree and a schema to a typed tree, or to an error that names the place and a way out.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Schema, TimeUnit};

use super::among::ConstantSet;
use super::cast::{cast, castable};
use super::literal::Literal;
use super::messages::{at, hint, needs, wrong};
use super::promote::{Signature, arithmetic, common, compared, computed};
use super::tree::{Comparison, Expr, Function, Operation};
use crate::error::{Error, Result, unknown_column};
use crate::schema::named;

/// An expression whose every part has a type; it can be evaluated on rows of its schema.
#[derive(Debug, Clone)]
pub struct Typed {
    pub(super) node: CheckedNode,
    pub(super) data_type: DataType,
}

/// Whether a cast was written in the expression, or inserted so that two types match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Written,
    Implied,
}

/// What a typed expression does; the arguments already have the types that it needs.
#[derive(Debug, Clone)]
pub(super) enum CheckedNode {
    Column(usize),
    /// The array has one value.
    Constant(Literal, ArrayRef),
    Cast(Box<Typed>, Wish),
    Call(Function, Vec<Typed>),
    Among(Box<Typed>, ConstantSet),
    Case(Vec<(Typed, Typed)>, Box<Typed>),
}

impl Typed {
    /// Its type, as a message says it.
    pub(super) fn word(&self) -> String {
        named(&self.data_type)
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The column of the schema that it is, where it is nothing more.
    pub fn as_column(&self) -> Option<usize> {
        match self.node {
            CheckedNode::Column(index) => Some(index),
            CheckedNode::Constant(..) | CheckedNode::Cast(..) | CheckedNode::Call(..) => None,
            CheckedNode::Among(..) | CheckedNode::Case(..) => None,
        }
    }

    fn constant(literal: Literal) -> Typed {
        let data_type = literal.data_type();
        let array = literal.to_array();
        Typed { node: CheckedNode::Constant(literal, array), data_type }
    }

    /// The text, where it is a constant one.
    fn text(&self) -> Option<&str> {
        match &self.node {
            CheckedNode::Constant(Literal::Str(text), _) => Some(text),
            CheckedNode::Constant(..)
            | CheckedNode::Column(_)
            | CheckedNode::Cast(..)
            | CheckedNode::Call(..) => None,
            CheckedNode::Among(..) | CheckedNode::Case(..) => None,
        }
    }

    /// The same values as another type; a constant is cast here, once.
    fn to(self, data_type: &DataType) -> Result<Typed> {
        if self.data_type == *data_type {
            return Ok(self);
        }
        let data_type = data_type.clone();
        match self.node {
            CheckedNode::Constant(literal, array) => {
                let (array, over) = cast(&array, &data_type)?;
                if over.is_some() {
                    let word = named(&data_type);
                    return Err(Error::Expression(format!("{literal} does not fit {word}")));
                }
                Ok(Typed { node: CheckedNode::Constant(literal, array), data_type })
            }
            node => {
                let inner = Box::new(Typed { node, data_type: self.data_type });
                Ok(Typed { node: CheckedNode::Cast(inner, Wish::Implied), data_type })
            }
        }
    }

    /// The same, where a constant text beside a time or decimal is read as one.
    fn beside(self, other: &DataType) -> Result<Typed> {
        match self.text().and_then(|text| Literal::read_as(text, other)) {
            Some(literal) => Ok(Typed::constant(literal?)),
            None => Ok(self),
        }
    }
}

/// Gives every part of `expr` its type over rows of `schema`, whose types are internal_type.
///
/// # Errors
///
/// `Column` for a name that the schema does not have, `Expression` for types that do not go
/// together.
pub fn check(expr: &Expr, schema: &Schema) -> Result<Typed> {
    match expr {
        Expr::Column(name) => {
            let found = schema.fields().iter().position(|field| field.name() == name);
            let index = found.ok_or_else(|| {
                let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                unknown_column(name, &known)
            })?;
            let data_type = schema.field(index).data_type().clone();
            Ok(Typed { node: CheckedNode::Column(index), data_type })
        }
        Expr::Text(..) => check(&expr.settled(schema), schema),
        Expr::Literal(literal) => Ok(Typed::constant(literal.clone())),
        Expr::Call(function, args) => {
            if !function.takes(args.len()) {
                return Err(wrong(
                    expr,
                    format!("{} arguments are too few or many", args.len()),
                    "",
                ));
            }
            let args: Result<Vec<Typed>> = args.iter().map(|arg| check(arg, schema)).collect();
            call(expr, *function, args?)
        }
        Expr::Cast(inner, to) => explicit_cast(expr, check(inner, schema)?, to),
        Expr::Case(branches, otherwise) => {
            let mut conditions = Vec::with_capacity(branches.len());
            let mut values = Vec::with_capacity(branches.len() + 1);
            for (when, then) in branches {
                conditions.push(truth(when, check(when, schema)?)?);
                values.push(check(then, schema)?);
            }
            values.push(match otherwise {
                Some(otherwise) => check(otherwise, schema)?,
                None => Typed::constant(Literal::Null),
            });
            let (mut values, data_type) = alternatives(expr, values)?;
            let last = values.pop().expect("the else was pushed");
            let branches = conditions.into_iter().zip(values).collect();
            Ok(Typed { node: CheckedNode::Case(branches, Box::new(last)), data_type })
        }
    }
}

/// [`check`] of a predicate: an error unless it is true, false or null.
pub fn check_condition(expr: &Expr, schema: &Schema) -> Result<Typed> {
    truth(expr, check(expr, schema)?)
}

fn call(expr: &Expr, function: Function, args: Vec<Typed>) -> Result<Typed> {
    let made = |args: Vec<Typed>, data_type: DataType| {
        Ok(Typed { node: CheckedNode::Call(function, args), data_type })
    };
    match function {
        Function::Compare(_) => {
            let (left, right) = comparable(expr, pair(args))?;
            made(vec![left, right], DataType::Boolean)
        }
        Function::Arithmetic(operation) => {
            let (left, right, result) = operands(expr, operation, pair(args))?;
            made(vec![left, right], result)
        }
        Function::And | Function::Or | Function::Not => {
            let args: Result<Vec<Typed>> = args.into_iter().map(|arg| truth(expr, arg)).collect();
            made(args?, DataType::Boolean)
        }
        Function::Neg | Function::Abs => {
            let data_type = match computed(&args[0].data_type) {
                DataType::Null => DataType::Int64,
                own if own.is_numeric() || matches!(own, DataType::Duration(_)) => own,
                other => return Err(needs(expr, "a number or a duration", &other)),
            };
            made(all_to(args, &data_type)?, data_type)
        }
        Function::IsNull | Function::IsNotNull => made(args, DataType::Boolean),
        Function::IsNan => match computed(&args[0].data_type) {
            DataType::Float64 | DataType::Null => {
                made(all_to(args, &DataType::Float64)?, DataType::Boolean)
            }
            other => Err(needs(expr, "a float", &other)),
        },
        Function::In => among(expr, args),
        Function::StartsWith | Function::EndsWith | Function::Contains => {
            made(texts(expr, args)?, DataType::Boolean)
        }
        Function::Lower | Function::Upper => made(texts(expr, args)?, DataType::Utf8),
        Function::Length if args[0].data_type == DataType::Binary => made(args, DataType::Int64),
        Function::Length => made(texts(expr, args)?, DataType::Int64),
        Function::Coalesce => {
            let (args, data_type) = alternatives(expr, args)?;
            made(args, data_type)
        }
        Function::IsLate => made(args, DataType::Boolean),
        Function::Arrival => made(args, utc()),
        Function::Epoch(_) => match &args[0].data_type {
            own if own.is_integer() || own == &DataType::Null => {
                made(all_to(args, &DataType::Int64)?, utc())
            }
            other => Err(needs(expr, "an integer", other)),
        },
    }
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn pair(args: Vec<Typed>) -> (Typed, Typed) {
    let [left, right] = <[Typed; 2]>::try_from(args).expect("the tree counted the arguments");
    (left, right)
}

fn all_to(args: Vec<Typed>, data_type: &DataType) -> Result<Vec<Typed>> {
    args.into_iter().map(|arg| arg.to(data_type)).collect()
}

/// Each side reads the other's constant text.
fn read_texts(left: Typed, right: Typed) -> Result<(Typed, Typed)> {
    let (a, b) = (left.data_type.clone(), right.data_type.clone());
    Ok((left.beside(&b)?, right.beside(&a)?))
}

fn comparable(expr: &Expr, (left, right): (Typed, Typed)) -> Result<(Typed, Typed)> {
    let (left, right) = read_texts(left, right).map_err(|error| at(expr, error))?;
    match compared(&left.data_type, &right.data_type) {
        Some((a, b)) => Ok((left.to(&a)?, right.to(&b)?)),
        None => {
            let said = format!("cannot compare {} with {}", left.word(), right.word());
            Err(wrong(expr, said, hint(&left.data_type, &right.data_type)))
        }
    }
}

fn operands(
    expr: &Expr,
    operation: Operation,
    (left, right): (Typed, Typed),
) -> Result<(Typed, Typed, DataType)> {
    let decimal = left.data_type.is_decimal() || right.data_type.is_decimal();
    let (left, right) = if decimal || operation == Operation::Sub {
        read_texts(left, right).map_err(|error| at(expr, error))?
    } else {
        (left, right)
    };
    match arithmetic(operation, &left.data_type, &right.data_type) {
        Some(Signature { left: a, right: b, result }) => Ok((left.to(&a)?, right.to(&b)?, result)),
        None => {
            let said = format!("cannot {} {} and {}", verb(operation), left.word(), right.word());
            Err(wrong(expr, said, hint(&left.data_type, &right.data_type)))
        }
    }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Add => "add",
        Operation::Sub => "subtract",
        Operation::Mul => "multiply",
        Operation::Div => "divide",
        Operation::Mod => "take the remainder of",
    }
}

/// `value in (constants)`: by a set where all are of one type, else constant by constant.
fn among(expr: &Expr, mut args: Vec<Typed>) -> Result<Typed> {
    let value = args.remove(0);
    let mut pairs = Vec::with_capacity(args.len());
    for constant in args {
        if !matches!(constant.node, CheckedNode::Constant(..)) {
            let hint = "compare with = and combine with |";
            return Err(wrong(expr, "in takes constants only".to_string(), hint));
        }
        pairs.push(comparable(expr, (value.clone(), constant))?);
    }
    let constants: Vec<&ArrayRef> = pairs
        .iter()
        .filter_map(|(_, constant)| match &constant.node {
            CheckedNode::Constant(_, array) => Some(array),
            CheckedNode::Column(_) | CheckedNode::Cast(..) | CheckedNode::Call(..) => None,
            CheckedNode::Among(..) | CheckedNode::Case(..) => None,
        })
        .collect();
    if let Some((side, _)) = pairs.first()
        && pairs.iter().all(|(left, right)| {
            left.data_type == side.data_type && right.data_type == side.data_type
        })
        && let Some(set) = ConstantSet::from_constants(&constants)
    {
        let node = CheckedNode::Among(Box::new(side.clone()), set);
        return Ok(Typed { node, data_type: DataType::Boolean });
    }
    let equal = |(left, right)| Typed {
        node: CheckedNode::Call(Function::Compare(Comparison::Eq), vec![left, right]),
        data_type: DataType::Boolean,
    };
    let each = pairs.into_iter().map(equal).collect();
    Ok(Typed { node: CheckedNode::Call(Function::Or, each), data_type: DataType::Boolean })
}

/// Types alternatives, of which one is chosen per row, and converts them to their common type.
fn alternatives(expr: &Expr, values: Vec<Typed>) -> Result<(Vec<Typed>, DataType)> {
    let one_of = |values: &[Typed], texts: bool| {
        let mut one = DataType::Null;
        for value in values.iter().filter(|value| texts || value.text().is_none()) {
            match common(&one, &value.data_type) {
                Some(both) => one = both,
                None => return Err((one, value.data_type.clone())),
            }
        }
        Ok(one)
    };
    let mut read = Vec::with_capacity(values.len());
    let beside = one_of(&values, false).unwrap_or(DataType::Null);
    for value in values {
        read.push(value.beside(&beside).map_err(|error| at(expr, error))?);
    }
    let data_type = one_of(&read, true).map_err(|(a, b)| {
        let said = format!("{} and {} have no type in common", named(&a), named(&b));
        wrong(expr, said, hint(&a, &b))
    })?;
    Ok((all_to(read, &data_type)?, data_type))
}

fn explicit_cast(expr: &Expr, inner: Typed, to: &DataType) -> Result<Typed> {
    if !castable(&inner.data_type, to) {
        let said = format!("cannot cast {} to {}", inner.word(), named(to));
        let hint = match (&inner.data_type, to) {
            (own, DataType::Timestamp(..)) if own.is_integer() => {
                "epoch_s, epoch_ms, epoch_us and epoch_ns read integers as times"
            }
            (DataType::Timestamp(..), DataType::Utf8) => "cast to timestamp[us, UTC] first",
            _ => "",
        };
        return Err(wrong(expr, said, hint));
    }
    // a constant that does not fit makes rows invalid like any other value, so it is not cast here
    let data_type = to.clone();
    Ok(Typed { node: CheckedNode::Cast(Box::new(inner), Wish::Written), data_type })
}

fn truth(expr: &Expr, value: Typed) -> Result<Typed> {
    match &value.data_type {
        DataType::Boolean | DataType::Null => value.to(&DataType::Boolean),
        other => Err(needs(expr, "a condition (bool)", other)),
    }
}

fn texts(expr: &Expr, args: Vec<Typed>) -> Result<Vec<Typed>> {
    for arg in &args {
        if !matches!(arg.data_type, DataType::Utf8 | DataType::Null) {
            return Err(needs(expr, "text (str)", &arg.data_type));
        }
    }
    all_to(args, &DataType::Utf8)
}
