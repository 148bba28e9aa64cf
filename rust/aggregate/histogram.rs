//! `histogram(x, edges)`: how many values lie below the first edge, from each edge to the next one, and
//! from the last edge on. A value that is an edge counts above it; NaN is skipped.

use arrow_schema::DataType;

use super::codec::{put_u64, take_count};
use super::heap::OwnState;
use super::integer_sum::IntegerSum;
use super::value::ListValues;
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::{Error, Result};
use crate::expr::Literal;
use crate::schema::list;

/// `histogram` of numbers or bool, a list of counts.
pub const KIND: Kind =
    Kind { name: "histogram", about: "how many values lie between given edges", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.arguments()?;
    let edge = |literal: &Literal| match literal {
        Literal::Float(edge) if !edge.is_nan() => Ok(*edge),
        other => {
            let hint = "write numbers that rise, as [0, 10, 100]";
            Err(Error::Plan(format!("histogram with the edge {other}\nhint: {hint}")))
        }
    };
    let edges = call.parameters.iter().map(edge).collect::<Result<Vec<f64>>>()?;
    if edges.is_empty() || !edges.is_sorted_by(|a, b| a < b) {
        let hint = "write numbers that rise, as [0, 10, 100]";
        return Err(Error::Plan(format!("histogram with the edges {edges:?}\nhint: {hint}")));
    }
    let scale = super::powers::scale_of(call, argument)? as i8;
    Ok(Box::new(Histogram { edges, scale, output: list(DataType::Int64) }))
}

/// State: one word, the handle of the counts.
#[derive(Debug)]
struct Histogram {
    edges: Vec<f64>,
    scale: i8,
    output: DataType,
}

/// The counts; none before the first value.
#[derive(Clone, Debug, Default)]
struct EdgeCounts(Vec<u64>);

impl OwnState for EdgeCounts {
    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

impl ListValues for EdgeCounts {
    fn each(&self, visit: &mut dyn FnMut(Value<'_>)) {
        self.0.iter().for_each(|count| visit(Value::I64(*count as i64)));
    }
}

fn counts(cell: CellRef<'_>) -> Option<&EdgeCounts> {
    cell.heap.own(cell.words[0])
}

impl Histogram {
    /// The place of a value among the edges.
    fn place(&self, value: Value<'_>) -> Option<usize> {
        let float = match value {
            Value::F64(v) if !v.is_nan() => v,
            Value::I64(v) => v as f64,
            Value::I128(v) => IntegerSum::<2>::scaled(&[v as u64, (v >> 64) as u64, 1], self.scale),
            _ => return None,
        };
        Some(self.edges.partition_point(|edge| *edge <= float))
    }

    fn change<R>(&self, cell: Cell<'_>, change: impl FnOnce(&mut Vec<u64>) -> R) -> Option<R> {
        cell.heap.change_own(&mut cell.words[0], |own: &mut EdgeCounts| {
            own.0.resize(self.edges.len() + 1, 0);
            change(&mut own.0)
        })
    }
}

impl Aggregate for Histogram {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        if let Some(place) = self.place(args[0]) {
            self.change(cell, |counts| counts[place] += 1);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = counts(from) {
            self.change(into, |own| {
                own.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
            });
        }
    }

    fn inverts(&self) -> bool {
        true
    }

    fn retract(&self, mut cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        let Some(place) = self.place(args[0]) else { return Retract::Done };
        let is_empty = self.change(cell.reborrow(), |counts| {
            counts[place] = counts[place].saturating_sub(1);
            counts.iter().all(|count| *count == 0)
        });
        if is_empty == Some(true) {
            self.clear(cell);
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        counts(cell).map_or(Answer::Null, |counts| Answer::List(counts))
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        let none = vec![0; self.edges.len() + 1];
        let counts = counts(cell).map_or(&none, |counts| &counts.0);
        counts.iter().for_each(|count| put_u64(out, *count));
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let counts = (0..=self.edges.len()).map(|_| take_count(bytes));
        let counts = counts.collect::<Result<Vec<u64>>>()?;
        if counts.iter().any(|count| *count > 0) {
            self.change(cell, |own| *own = counts);
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.release(&mut cell.words[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;

    #[test]
    fn edges_rise() {
        for edges in [vec![], vec![1.0, 1.0], vec![2.0, 1.0], vec![f64::NAN]] {
            let parameters: Vec<Literal> = edges.into_iter().map(Literal::Float).collect();
            let types = [DataType::Int64];
            let call = Call { kind: "histogram", types: &types, parameters: &parameters };
            let error = Registry::default().build(&call).unwrap_err();
            assert!(error.message().starts_with("histogram with the edge"), "{error}");
        }
    }
}
