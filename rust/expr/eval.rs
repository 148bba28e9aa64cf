//! Typed expressions on rows: whole columns at once, with the result of each row by itself.
//!
//! Evaluates every branch for every row. This has no visible effect: values have no side effects,
//! and failures in a branch that is not taken for a row are masked out again.

use std::sync::Arc;

use arrow_arith::boolean::{and_kleene, is_not_null, is_null, not, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Int64Array, Scalar, StringArray, UInt32Array,
    new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;
use arrow_string::like::{contains, ends_with, starts_with};

use super::arithmetic::arithmetic;
use super::cast::{cast, retyped};
use super::check::{CheckedNode, Typed, Wish};
use super::compare::compare;
use super::kernels::{Side, choose};
use super::literal::Literal;
use super::lost::Lost;
use super::tree::{Comparison, Function, Operation};
use crate::error::{Error, Result};
use crate::schema::named;
use crate::time::{Micros, NEVER};

/// Rows to evaluate on.
#[derive(Clone, Copy)]
pub struct RowColumns<'a> {
    /// The columns of the schema that the expression was checked against, in their order.
    pub columns: &'a [ArrayRef],
    /// How many rows there are.
    pub len: usize,
    /// Rows that were late to a window before; none where nothing is known.
    pub late: Option<&'a BooleanBuffer>,
    /// When each row arrived; `i64::MIN` if not recorded.
    pub arrival: Option<&'a [Micros]>,
}

/// The values of an expression.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// One value a row, of the expression's type; whatever where the row overflowed.
    pub array: ArrayRef,
    /// The rows whose value could not be computed.
    pub lost: Lost,
}

/// An evaluated part; `one` is a constant, whose array has one value.
struct Operand {
    array: ArrayRef,
    one: bool,
    lost: Lost,
}

impl Operand {
    fn new(array: impl Array + 'static, lost: Lost) -> Operand {
        Operand { array: Arc::new(array), one: false, lost }
    }

    fn side(&self) -> Side<'_> {
        Side { array: &self.array, one: self.one }
    }

    /// The array with a value for each row.
    fn full(&self, len: usize) -> Result<ArrayRef> {
        if !self.one {
            return Ok(self.array.clone());
        }
        if self.array.logical_null_count() == 1 {
            return Ok(new_null_array(self.array.data_type(), len));
        }
        Ok(take(&self.array, &UInt32Array::from(vec![0; len]), None)?)
    }

    /// A predicate's rows that are true.
    fn holds(&self, len: usize) -> Result<BooleanBuffer> {
        let array = self.full(len)?;
        let truth = array.as_boolean();
        Ok(match truth.nulls() {
            Some(valid) => truth.values() & valid.inner(),
            None => truth.values().clone(),
        })
    }
}

impl Typed {
    /// The value of each row.
    ///
    /// # Errors
    ///
    /// Only for what no row could have caused, such as columns of another schema.
    pub fn eval(&self, rows: &RowColumns) -> Result<Evaluated> {
        let value = self.value(rows)?;
        Ok(Evaluated { array: value.full(rows.len)?, lost: value.lost })
    }

    /// The rows for which a predicate is true, and the rows where it has no value (never both).
    pub fn test(&self, rows: &RowColumns) -> Result<(BooleanBuffer, Lost)> {
        match self.data_type {
            DataType::Null => return Ok((BooleanBuffer::new_unset(rows.len), Lost::default())),
            DataType::Boolean => {}
            _ => {
                let word = named(&self.data_type);
                return Err(Error::Expression(format!("a condition is needed, not {word}")));
            }
        }
        let value = self.value(rows)?;
        let holds = value.holds(rows.len)?;
        Ok(match value.lost.rows() {
            Some(rows) => (&holds & &!&rows, value.lost),
            None => (holds, value.lost),
        })
    }

    fn value(&self, rows: &RowColumns) -> Result<Operand> {
        match &self.node {
            CheckedNode::Column(index) => {
                let array = rows.columns[*index].clone();
                Ok(Operand { array, one: false, lost: Lost::default() })
            }
            CheckedNode::Constant(_, array) => {
                Ok(Operand { array: array.clone(), one: true, lost: Lost::default() })
            }
            CheckedNode::Cast(inner, wish) => {
                let inner = inner.value(rows)?;
                let (array, over) = cast(&inner.full(rows.len)?, &self.data_type)?;
                let over = match wish {
                    Wish::Written => Lost::cast(over),
                    Wish::Implied => Lost::overflow(over),
                };
                Ok(Operand { array, one: false, lost: inner.lost.then(over) })
            }
            CheckedNode::Call(function, args) => self.call(*function, args, rows),
            CheckedNode::Among(value, set) => {
                let value = value.value(rows)?;
                Ok(Operand::new(set.has(&value.full(rows.len)?), value.lost))
            }
            CheckedNode::Case(branches, otherwise) => case(branches, otherwise, rows),
        }
    }

    fn call(&self, function: Function, args: &[Typed], rows: &RowColumns) -> Result<Operand> {
        match function {
            Function::Compare(how) => comparison(how, &args[0], &args[1], rows),
            Function::Arithmetic(operation) => {
                let (left, right) = (args[0].value(rows)?, args[1].value(rows)?);
                let (a, b) = (left.side(), right.side());
                let (array, over) = arithmetic(operation, a, b, rows.len, &self.data_type);
                let lost = left.lost.then(right.lost).then(Lost::overflow(over));
                Ok(Operand { array, one: false, lost })
            }
            Function::And => connective(true, args, rows),
            Function::Or => connective(false, args, rows),
            Function::Not => each(args, rows, |array| Ok(not(array.as_boolean())?)),
            Function::Neg | Function::Abs => {
                let (value, abs) = (args[0].value(rows)?, function == Function::Abs);
                let negated = self.negated(abs, &value.full(rows.len)?)?;
                let lost = value.lost.then(negated.lost);
                Ok(Operand { array: negated.array, one: false, lost })
            }
            Function::IsNull => each(args, rows, |array| Ok(is_null(array)?)),
            Function::IsNotNull => each(args, rows, |array| Ok(is_not_null(array)?)),
            Function::IsNan => each(args, rows, |array| {
                Ok(BooleanArray::from_unary(array.as_primitive::<Float64Type>(), f64::is_nan))
            }),
            Function::StartsWith => affix(starts_with, args, rows),
            Function::EndsWith => affix(ends_with, args, rows),
            Function::Contains => affix(contains, args, rows),
            Function::Lower => each(args, rows, |array| Ok(mapped(array, str::to_lowercase))),
            Function::Upper => each(args, rows, |array| Ok(mapped(array, str::to_uppercase))),
            Function::Length => each(args, rows, |array| Ok(lengths(array))),
            Function::Coalesce => coalesce(args, rows),
            Function::In => Err(Error::Engine("in was not made a set".to_string())),
            Function::IsLate => {
                let late = rows.late.cloned();
                let late = late.unwrap_or_else(|| BooleanBuffer::new_unset(rows.len));
                Ok(Operand::new(BooleanArray::new(late, None), Lost::default()))
            }
            Function::Arrival => {
                let times: Int64Array = match rows.arrival {
                    Some(times) => times.iter().map(|t| (*t != NEVER).then_some(*t)).collect(),
                    None => Int64Array::new_null(rows.len),
                };
                Ok(Operand {
                    array: retyped(&times, &self.data_type),
                    one: false,
                    lost: Lost::default(),
                })
            }
            Function::Epoch(unit) => {
                let value = args[0].value(rows)?;
                let ticks = value.full(rows.len)?;
                let times = retyped(ticks.as_primitive(), &DataType::Timestamp(unit, None));
                let (array, over) = cast(&times, &self.data_type)?;
                Ok(Operand { array, one: false, lost: value.lost.then(Lost::overflow(over)) })
            }
        }
    }

    /// `0 - array`, for `abs` only where the value is negative.
    fn negated(&self, below_zero: bool, array: &ArrayRef) -> Result<Operand> {
        let len = array.len();
        if self.data_type == DataType::Float64 {
            // not 0 - x: that has the wrong sign for zero
            let sign = if below_zero { f64::abs } else { |value: f64| -value };
            let floats = array.as_primitive::<Float64Type>().unary::<_, Float64Type>(sign);
            return Ok(Operand::new(floats, Lost::default()));
        }
        let (zero, _) = cast(&Literal::Int(0).to_array(), &self.data_type)?;
        let (zero, own) = (Side { array: &zero, one: true }, Side { array, one: false });
        let (negated, over) = arithmetic(Operation::Sub, zero, own, len, &self.data_type);
        if !below_zero {
            return Ok(Operand { array: negated, one: false, lost: Lost::overflow(over) });
        }
        let mask = compare(Comparison::Lt, own, zero, len);
        let array = choose(&mask, Side { array: &negated, one: false }, own)?;
        let lost = Lost::overflow(over).within(&mask);
        Ok(Operand { array, one: false, lost })
    }
}

/// A function of one argument that cannot overflow itself.
fn each<A: Array + 'static>(
    args: &[Typed],
    rows: &RowColumns,
    f: impl Fn(&ArrayRef) -> Result<A>,
) -> Result<Operand> {
    let value = args[0].value(rows)?;
    Ok(Operand::new(f(&value.full(rows.len)?)?, value.lost))
}

fn comparison(how: Comparison, left: &Typed, right: &Typed, rows: &RowColumns) -> Result<Operand> {
    let (left, right) = (left.value(rows)?, right.value(rows)?);
    let (a, b) = (left.side(), right.side());
    let found = compare(how, a, b, rows.len);
    let valid = NullBuffer::union(a.valid(rows.len).as_ref(), b.valid(rows.len).as_ref());
    let lost = left.lost.then(right.lost);
    Ok(Operand::new(BooleanArray::new(found, valid), lost))
}

/// `and` stops at the first false, `or` at the first true: later arguments cannot overflow then.
fn connective(all: bool, args: &[Typed], rows: &RowColumns) -> Result<Operand> {
    let mut result = BooleanArray::new(bools(all, rows.len), None);
    let mut lost = Lost::default();
    let mut reached = BooleanBuffer::new_set(rows.len);
    for arg in args {
        let value = arg.value(rows)?;
        let array = value.full(rows.len)?;
        let truth = array.as_boolean();
        lost = lost.then(value.lost.within(&reached));
        result = if all { and_kleene(&result, truth)? } else { or_kleene(&result, truth)? };
        reached = &reached & &!&decided(&result, !all);
    }
    Ok(Operand::new(result, lost))
}

fn bools(value: bool, len: usize) -> BooleanBuffer {
    if value { BooleanBuffer::new_set(len) } else { BooleanBuffer::new_unset(len) }
}

/// Rows that are known, and are `value`.
fn decided(truth: &BooleanArray, value: bool) -> BooleanBuffer {
    let same = if value { truth.values().clone() } else { !truth.values() };
    match truth.nulls() {
        Some(valid) => &same & valid.inner(),
        None => same,
    }
}

fn coalesce(args: &[Typed], rows: &RowColumns) -> Result<Operand> {
    let values: Result<Vec<Operand>> = args.iter().map(|arg| arg.value(rows)).collect();
    let values = values?;
    let mut reached = BooleanBuffer::new_set(rows.len);
    let mut lost = Lost::default();
    for value in &values {
        lost = lost.then(value.lost.within(&reached));
        reached = match value.side().valid(rows.len) {
            Some(valid) => &reached & &!valid.inner(),
            None => BooleanBuffer::new_unset(rows.len),
        };
    }
    let Some((last, before)) = values.split_last() else {
        return Err(Error::Engine("coalesce was checked without arguments".to_string()));
    };
    let mut array = last.full(rows.len)?;
    for value in before.iter().rev() {
        array = match value.side().valid(rows.len) {
            Some(valid) => choose(valid.inner(), value.side(), Side { array: &array, one: false })?,
            None => value.full(rows.len)?,
        };
    }
    Ok(Operand { array, one: false, lost })
}

fn case(branches: &[(Typed, Typed)], otherwise: &Typed, rows: &RowColumns) -> Result<Operand> {
    let mut reached = BooleanBuffer::new_set(rows.len);
    let mut lost = Lost::default();
    let mut taken = Vec::with_capacity(branches.len());
    for (when, then) in branches {
        let (when, then) = (when.value(rows)?, then.value(rows)?);
        lost = lost.then(when.lost.within(&reached));
        let here = &when.holds(rows.len)? & &reached;
        lost = lost.then(then.lost.within(&here));
        reached = &reached & &!&here;
        taken.push((here, then));
    }
    let last = otherwise.value(rows)?;
    lost = lost.then(last.lost.within(&reached));
    let mut array = last.full(rows.len)?;
    for (here, then) in &taken {
        array = choose(here, then.side(), Side { array: &array, one: false })?;
    }
    Ok(Operand { array, one: false, lost })
}

type TextKernel = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

fn affix(kernel: TextKernel, args: &[Typed], rows: &RowColumns) -> Result<Operand> {
    let (text, part) = (args[0].value(rows)?, args[1].value(rows)?);
    let whole = text.full(rows.len)?;
    let found = if part.one {
        kernel(&whole, &Scalar::new(part.array.clone()))?
    } else {
        kernel(&whole, &part.array)?
    };
    Ok(Operand::new(found, text.lost.then(part.lost)))
}

fn mapped(texts: &ArrayRef, f: fn(&str) -> String) -> StringArray {
    texts.as_string::<i32>().iter().map(|text| text.map(f)).collect()
}

/// Characters of text, bytes of binary.
fn lengths(array: &ArrayRef) -> Int64Array {
    match array.data_type() {
        DataType::Binary => {
            array.as_binary::<i32>().iter().map(|v| v.map(|v| v.len() as i64)).collect()
        }
        _ => {
            let texts = array.as_string::<i32>().iter();
            texts.map(|text| text.map(|text| text.chars().count() as i64)).collect()
        }
    }
}
