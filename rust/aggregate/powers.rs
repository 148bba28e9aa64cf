//! What is computed from sums of powers and products of one or two arguments: variances,
//! correlations, weighted means. The sums are exact and the result is rounded once (twice with a
//! root), so it depends on the rows alone.
//!
//! An aggregate is a [`Statistic`]: which sums it needs, and the formula.

use std::fmt::Debug;

use arrow_schema::DataType;

use super::codec::{put_u64, take_count};
use super::exact::{Exact, Term, WideSum};
use super::heap::OwnState;
use super::quotient::quotient;
use super::{Aggregate, Answer, Call, Cell, CellRef, Moment, Retract, Value};
use crate::error::Result;

/// Which sums an aggregate needs and what it computes from them.
#[derive(Clone, Copy, Debug)]
pub struct Statistic {
    /// The powers of the first and of the second argument in each sum.
    pub terms: &'static [(u32, u32)],
    /// What a row adds of which an argument is infinite; NaN makes the result NaN.
    pub infinite: fn(f64, f64) -> f64,
    /// The result over at least one row, none of which has an infinite argument.
    pub formula: fn(&Sums) -> Answer<'static>,
}

/// The sums over the rows of a cell.
#[derive(Debug)]
pub struct Sums {
    /// Number of rows.
    pub rows: i128,
    /// The sum of each term; of decimals, that of their unscaled values.
    pub all: Vec<Exact>,
    /// Digits behind the point of each argument.
    pub scales: [i32; 2],
    /// The parameter of the aggregate.
    pub parameter: i128,
}

impl Sums {
    /// The number of rows as an exact number.
    pub fn n(&self) -> Exact {
        Exact::from(self.rows)
    }

    /// `one / two / 10^scale`, rounded once; null if `two` is zero.
    pub fn ratio(&self, one: &Exact, two: &Exact, scale: i32) -> Answer<'static> {
        let ten = Exact::ten_to(scale.unsigned_abs());
        let found =
            if scale < 0 { quotient(&(one * &ten), two) } else { quotient(one, &(two * &ten)) };
        found.map_or(Answer::Null, Answer::F64)
    }
}

/// An aggregate that is a [`Statistic`]. State: one word, the handle of the sums.
#[derive(Debug)]
pub struct OfPowers {
    statistic: Statistic,
    scales: [i32; 2],
    parameter: i128,
    output: DataType,
}

impl OfPowers {
    /// An aggregate over arguments that are numbers or bool.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Plan`] for an argument of another type.
    pub fn boxed(
        call: &Call<'_>,
        statistic: Statistic,
        parameter: i128,
    ) -> Result<Box<dyn Aggregate>> {
        OfPowers::with_output(call, statistic, parameter, DataType::Float64)
    }

    /// The same with a result of another type than f64.
    ///
    /// # Errors
    ///
    /// As for [`OfPowers::boxed`].
    pub fn with_output(
        call: &Call<'_>,
        statistic: Statistic,
        parameter: i128,
        output: DataType,
    ) -> Result<Box<dyn Aggregate>> {
        let mut scales = [0; 2];
        for (scale, argument) in scales.iter_mut().zip(call.types) {
            *scale = scale_of(call, argument)?;
        }
        Ok(Box::new(OfPowers { statistic, scales, parameter, output }))
    }

    fn terms(&self, args: &[Value<'_>]) -> Option<Row> {
        if self.nan(args) {
            return None;
        }
        let infinite = |value: &Value<'_>| matches!(value, Value::F64(v) if v.is_infinite());
        if args.iter().any(infinite) {
            let float = |i: usize| args.get(i).map_or(1.0, float);
            return Some(Row::Infinite((self.statistic.infinite)(float(0), float(1))));
        }
        let factor = |i: usize| args.get(i).map_or(Some(Term::ONE), term);
        Some(Row::Finite(factor(0)?, factor(1)?))
    }

    fn change(&self, mut cell: Cell<'_>, args: &[Value<'_>], leaves: bool) {
        let Some(row) = self.terms(args) else { return };
        let Cell { words, heap } = cell.reborrow();
        let terms = self.statistic.terms;
        let is_empty = heap.change_own(&mut words[0], |own: &mut PowerSums| {
            own.change(&row, terms, leaves);
            own.rows == 0
        });
        if is_empty == Some(true) {
            self.clear(cell);
        }
    }
}

/// Digits behind the point of a number's type.
pub fn scale_of(call: &Call<'_>, argument: &DataType) -> Result<i32> {
    match argument {
        DataType::Decimal128(_, scale) => Ok((*scale).into()),
        DataType::Null | DataType::Boolean => Ok(0),
        number if number.is_numeric() => Ok(0),
        other => Err(call.refuse(other, &format!("{} takes numbers and bool", call.kind))),
    }
}

fn float(value: &Value<'_>) -> f64 {
    match value {
        Value::I64(v) => *v as f64,
        Value::I128(v) => *v as f64,
        Value::F64(v) => *v,
        Value::Unit | Value::Bytes(_) => 1.0,
    }
}

fn term(value: &Value<'_>) -> Option<Term> {
    match value {
        Value::I64(v) => Some(Term::integer((*v).into())),
        Value::I128(v) => Some(Term::integer(*v)),
        Value::F64(v) => Some(Term::float(*v)),
        Value::Unit | Value::Bytes(_) => None,
    }
}

/// What one row adds.
enum Row {
    Finite(Term, Term),
    Infinite(f64),
}

/// The sums of a cell, and how many rows added an infinity or NaN in place of a number.
#[derive(Clone, Debug, Default)]
struct PowerSums {
    rows: u64,
    plus: u64,
    minus: u64,
    nan: u64,
    sums: Vec<WideSum>,
}

impl OwnState for PowerSums {
    fn bytes(&self) -> usize {
        let sums: usize = self.sums.iter().map(WideSum::bytes).sum();
        self.sums.capacity() * size_of::<WideSum>() + sums
    }
}

impl PowerSums {
    fn change(&mut self, row: &Row, terms: &[(u32, u32)], leaves: bool) {
        let count = |count: &mut u64| {
            *count = if leaves { count.saturating_sub(1) } else { count.saturating_add(1) };
        };
        count(&mut self.rows);
        let (one, two) = match row {
            Row::Finite(one, two) => (one, two),
            Row::Infinite(f64::INFINITY) => return count(&mut self.plus),
            Row::Infinite(f64::NEG_INFINITY) => return count(&mut self.minus),
            Row::Infinite(_) => return count(&mut self.nan),
        };
        self.sums.resize_with(terms.len(), WideSum::default);
        for (sum, &(i, j)) in self.sums.iter_mut().zip(terms) {
            let power = |of: &Term, n: u32| (1..n).fold(*of, |all, _| all.times(of));
            let term = match (i, j) {
                (0, j) => power(two, j),
                (i, 0) => power(one, i),
                (i, j) => power(one, i).times(&power(two, j)),
            };
            if leaves { sum.subtract(&term) } else { sum.add(&term) }
        }
    }

    fn merge(&mut self, other: &PowerSums) {
        self.rows = self.rows.saturating_add(other.rows);
        self.plus = self.plus.saturating_add(other.plus);
        self.minus = self.minus.saturating_add(other.minus);
        self.nan = self.nan.saturating_add(other.nan);
        self.sums.resize_with(self.sums.len().max(other.sums.len()), WideSum::default);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
    }
}

fn sums(cell: CellRef<'_>) -> Option<&PowerSums> {
    cell.heap.own(cell.words[0])
}

impl Aggregate for OfPowers {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        self.change(cell, args, false);
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        if cell.words[0] != 0 {
            self.change(cell, args, true);
        }
        Retract::Done
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = sums(from) {
            into.heap.change_own(&mut into.words[0], |own: &mut PowerSums| own.merge(other));
        }
    }

    fn inverts(&self) -> bool {
        true
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        let Some(own) = sums(cell) else { return Answer::Null };
        match (own.plus, own.minus, own.nan) {
            (0, 0, 0) => {}
            (_, 0, 0) => return Answer::F64(f64::INFINITY),
            (0, _, 0) => return Answer::F64(f64::NEG_INFINITY),
            (_, _, _) => return Answer::F64(f64::NAN),
        }
        let mut all: Vec<Exact> = own.sums.iter().map(WideSum::number).collect();
        all.resize(self.statistic.terms.len(), Exact::from(0));
        let (rows, parameter) = (own.rows.into(), self.parameter);
        (self.statistic.formula)(&Sums { rows, all, scales: self.scales, parameter })
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        let Some(own) = sums(cell) else { return put_u64(out, 0) };
        [own.rows, own.plus, own.minus, own.nan].iter().for_each(|count| put_u64(out, *count));
        let none = WideSum::default();
        let sums = (0..self.statistic.terms.len()).map(|i| own.sums.get(i).unwrap_or(&none));
        sums.for_each(|sum| sum.save(out));
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let rows = take_count(bytes)?;
        if rows == 0 {
            return Ok(());
        }
        let [plus, minus, nan] = [take_count(bytes)?, take_count(bytes)?, take_count(bytes)?];
        let each = self.statistic.terms.iter().map(|_| WideSum::load(bytes));
        let sums = each.collect::<Result<Vec<_>>>()?;
        cell.heap.change_own(&mut cell.words[0], |own| {
            *own = PowerSums { rows, plus, minus, nan, sums };
        });
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.release(&mut cell.words[0]);
    }
}
