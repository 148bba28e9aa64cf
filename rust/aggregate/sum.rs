//! `sum`, exact: integers and bool give i64, decimals `decimal(38, s)`, durations a duration,
//! floats the f64 nearest to the exact sum. A sum too large for the output type is an overflow,
//! decided on evaluation: a sum that returns into range has an answer again.

use std::fmt::Debug;
use std::marker::PhantomData;

use arrow_schema::DataType;

use super::exact_sum;
use super::integer_sum::IntegerSum;
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value, weighted};
use crate::error::Result;

/// `sum` of a number, of bool (how many are true) or of a duration.
pub const KIND: Kind = Kind { name: "sum", about: "the exact sum of the values", build };

/// Maximum number of digits of a decimal.
const DIGITS: u8 = 38;

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    if call.types.len() == 2 {
        return weighted::sum(call);
    }
    let [arg] = call.plain()?;
    let output = output(call, arg)?;
    Ok(match output {
        DataType::Decimal128(_, _) => Sum::<Decimals>::boxed(output),
        DataType::Float64 => Sum::<FloatSums>::boxed(output),
        _ => Sum::<Integers>::boxed(output),
    })
}

/// The type of a sum of values of a type.
///
/// # Errors
///
/// [`crate::error::Error::Plan`] for a type that has no sum.
pub fn output(call: &Call<'_>, argument: &DataType) -> Result<DataType> {
    match argument {
        DataType::Null | DataType::Boolean => Ok(DataType::Int64),
        whole if whole.is_integer() => Ok(DataType::Int64),
        DataType::Duration(unit) => Ok(DataType::Duration(*unit)),
        DataType::Decimal128(_, scale) => Ok(DataType::Decimal128(DIGITS, *scale)),
        DataType::Float32 | DataType::Float64 => Ok(DataType::Float64),
        other => {
            Err(call.refuse(other, &format!("{} takes numbers, bool and durations", call.kind)))
        }
    }
}

/// How values of one class are summed in a cell; also used by `mean`.
pub trait Summation: Send + Sync + Debug + 'static {
    /// Number of words of a cell.
    const WORDS: usize;

    /// Adds a value; values of other classes and NaN change nothing.
    fn add(cell: Cell<'_>, value: Value<'_>);

    /// Removes a value.
    fn subtract(cell: Cell<'_>, value: Value<'_>);

    /// Adds all of another cell.
    fn merge(into: Cell<'_>, from: CellRef<'_>);

    /// Number of values.
    fn count(cell: CellRef<'_>) -> u64;

    /// The sum of at least one value, in the output's type.
    fn sum(cell: CellRef<'_>) -> Answer<'static>;

    /// The sum as the nearest float, divided by 10^`scale`.
    fn float(cell: CellRef<'_>, scale: i8) -> f64;

    /// Appends the state.
    fn save(cell: CellRef<'_>, out: &mut Vec<u8>);

    /// Reads a state into an empty cell.
    fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()>;

    /// Empties the cell.
    fn clear(cell: Cell<'_>) {
        cell.words.fill(0);
    }
}

/// Integers of up to 64 bits, signed or not, summed in 128 bits.
#[derive(Debug)]
pub struct Integers;

/// Decimals, summed in 192 bits.
#[derive(Debug)]
pub struct Decimals;

/// Floats, summed exactly (`exact_sum.rs`).
#[derive(Debug)]
pub struct FloatSums;

/// The value as an integer, if it is one.
#[inline(always)]
fn integer(value: Value<'_>) -> Option<i128> {
    match value {
        Value::I64(v) => Some(v.into()),
        Value::I128(v) => Some(v),
        Value::Unit | Value::F64(_) | Value::Bytes(_) => None,
    }
}

impl Summation for Integers {
    const WORDS: usize = IntegerSum::<2>::WORDS;

    #[inline(always)]
    fn add(cell: Cell<'_>, value: Value<'_>) {
        integer(value).into_iter().for_each(|v| IntegerSum::<2>::add(cell.words, v));
    }

    #[inline(always)]
    fn subtract(cell: Cell<'_>, value: Value<'_>) {
        integer(value).into_iter().for_each(|v| IntegerSum::<2>::subtract(cell.words, v));
    }

    fn merge(into: Cell<'_>, from: CellRef<'_>) {
        IntegerSum::<2>::merge(into.words, from.words);
    }

    fn count(cell: CellRef<'_>) -> u64 {
        IntegerSum::<2>::count(cell.words)
    }

    fn sum(cell: CellRef<'_>) -> Answer<'static> {
        let total = IntegerSum::<2>::total(cell.words);
        total.and_then(|t| i64::try_from(t).ok()).map_or(Answer::Overflow, Answer::I64)
    }

    fn float(cell: CellRef<'_>, scale: i8) -> f64 {
        IntegerSum::<2>::scaled(cell.words, scale)
    }

    fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
        IntegerSum::<2>::save(cell, out);
    }

    fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        IntegerSum::<2>::load(cell, bytes)
    }
}

impl Summation for Decimals {
    const WORDS: usize = IntegerSum::<3>::WORDS;

    #[inline(always)]
    fn add(cell: Cell<'_>, value: Value<'_>) {
        integer(value).into_iter().for_each(|v| IntegerSum::<3>::add(cell.words, v));
    }

    #[inline(always)]
    fn subtract(cell: Cell<'_>, value: Value<'_>) {
        integer(value).into_iter().for_each(|v| IntegerSum::<3>::subtract(cell.words, v));
    }

    fn merge(into: Cell<'_>, from: CellRef<'_>) {
        IntegerSum::<3>::merge(into.words, from.words);
    }

    fn count(cell: CellRef<'_>) -> u64 {
        IntegerSum::<3>::count(cell.words)
    }

    fn sum(cell: CellRef<'_>) -> Answer<'static> {
        IntegerSum::<3>::decimal(cell.words).map_or(Answer::Overflow, Answer::I128)
    }

    fn float(cell: CellRef<'_>, scale: i8) -> f64 {
        IntegerSum::<3>::scaled(cell.words, scale)
    }

    fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
        IntegerSum::<3>::save(cell, out);
    }

    fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        IntegerSum::<3>::load(cell, bytes)
    }
}

impl Summation for FloatSums {
    const WORDS: usize = exact_sum::WORDS;

    #[inline(always)]
    fn add(cell: Cell<'_>, value: Value<'_>) {
        if let Value::F64(v) = value {
            exact_sum::add(cell, v);
        }
    }

    #[inline(always)]
    fn subtract(cell: Cell<'_>, value: Value<'_>) {
        if let Value::F64(v) = value {
            exact_sum::subtract(cell, v);
        }
    }

    fn merge(into: Cell<'_>, from: CellRef<'_>) {
        exact_sum::merge(into, from);
    }

    #[inline(always)]
    fn count(cell: CellRef<'_>) -> u64 {
        exact_sum::count(cell)
    }

    #[inline(always)]
    fn sum(cell: CellRef<'_>) -> Answer<'static> {
        exact_sum::value(cell).map_or(Answer::Null, Answer::F64)
    }

    fn float(cell: CellRef<'_>, _: i8) -> f64 {
        exact_sum::value(cell).unwrap_or(f64::NAN)
    }

    fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
        exact_sum::save(cell, out);
    }

    fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        exact_sum::load(cell, bytes)
    }

    fn clear(cell: Cell<'_>) {
        exact_sum::clear(cell);
    }
}

/// The sum itself.
#[derive(Debug)]
struct Sum<S> {
    output: DataType,
    how: PhantomData<S>,
}

impl<S: Summation> Sum<S> {
    fn boxed(output: DataType) -> Box<dyn Aggregate> {
        Box::new(Sum::<S> { output, how: PhantomData })
    }
}

impl<S: Summation> Aggregate for Sum<S> {
    #[inline(always)]
    fn words(&self) -> usize {
        S::WORDS
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    #[inline(always)]
    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        S::add(cell, args[0]);
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        S::merge(into, from);
    }

    fn inverts(&self) -> bool {
        true
    }

    #[inline(always)]
    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        S::subtract(cell, args[0]);
        Retract::Done
    }

    #[inline(always)]
    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        if S::count(cell) == 0 { Answer::Null } else { S::sum(cell) }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        S::save(cell, out);
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        S::load(cell, bytes)
    }

    fn clear(&self, cell: Cell<'_>) {
        S::clear(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    fn sum(arg: DataType, values: &[Value<'_>]) -> (String, String) {
        let layout = Layout::new(vec![build("sum", &[arg]).unwrap()]);
        let mut hot = layout.hot();
        let row = hot.push();
        let (aggregate, _) = &layout.items[0];
        for (seq, value) in (0..).zip(values) {
            let at = Moment { time: 0, seq };
            aggregate.update(hot.cell(row, 0, aggregate.words()), &[*value], at);
        }
        let answer = format!("{:?}", layout.evaluate(&hot, row, 0));
        (answer, aggregate.output_type().to_string())
    }

    #[test]
    fn each_type_has_its_own_sum() {
        let int = |v| Value::I64(v);
        let says = |answer: &str, kind: &str| (answer.to_string(), kind.to_string());
        assert_eq!(sum(DataType::Boolean, &[int(1), int(0), int(1)]), says("I64(2)", "Int64"));
        assert_eq!(sum(DataType::Int8, &[int(100), int(100)]), says("I64(200)", "Int64"));
        assert_eq!(sum(DataType::Null, &[]), says("Null", "Int64"));
        assert_eq!(sum(DataType::UInt64, &[Value::I128(1 << 63)]), says("Overflow", "Int64"));
        let tenths = [Value::F64(0.1); 10];
        assert_eq!(sum(DataType::Float32, &tenths), says("F64(1.0)", "Float64"));
        let decimal = DataType::Decimal128(5, 2);
        let most = Value::I128(10i128.pow(38) - 1);
        assert_eq!(sum(decimal.clone(), &[Value::I128(7)]).0, "I128(7)");
        assert_eq!(sum(decimal, &[most, most]), says("Overflow", "Decimal128(38, 2)"));
    }

    #[test]
    fn an_integer_sum_may_leave_i64_and_come_back() {
        let there = [Value::I64(i64::MAX), Value::I64(1)];
        assert_eq!(sum(DataType::Int64, &there).0, "Overflow");
        let back = [Value::I64(i64::MAX), Value::I64(1), Value::I64(-1)];
        assert_eq!(sum(DataType::Int64, &back).0, format!("I64({})", i64::MAX));
    }
}
