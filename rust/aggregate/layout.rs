//! Layout: the aggregates of one operator, side by side in a row.

use arrow_schema::DataType;

use super::codec::damaged;
use super::{Aggregate, Answer, AnswerColumn, ArgumentColumns, Moment, StateRows, Value};
use crate::error::Result;

/// Aggregates and the offset of each one's words.
#[derive(Debug, Default)]
pub struct Layout {
    /// Each aggregate with the offset of its words in a row.
    pub items: Vec<(Box<dyn Aggregate>, usize)>,
    /// Number of words in a row.
    pub stride: usize,
}

impl Layout {
    /// Lays out aggregates in the given order.
    pub fn new(aggregates: Vec<Box<dyn Aggregate>>) -> Layout {
        let mut stride = 0;
        let place = |aggregate: Box<dyn Aggregate>| {
            let offset = stride;
            stride += aggregate.words();
            (aggregate, offset)
        };
        Layout { items: aggregates.into_iter().map(place).collect(), stride }
    }

    /// Number of aggregates.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no aggregates.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Creates an empty set of rows with this layout.
    pub fn hot(&self) -> StateRows {
        StateRows::new(self.stride)
    }

    /// Types of the answers.
    pub fn output_types(&self) -> impl Iterator<Item = &DataType> {
        self.items.iter().map(|(aggregate, _)| aggregate.output_type())
    }

    /// Adds row `pick[j]` of the arguments of each aggregate to row `into[j]`; `times` and `seqs` are
    /// indexed like the columns.
    pub fn update_rows(
        &self,
        hot: &mut StateRows,
        into: &[u32],
        columns: &[ArgumentColumns],
        pick: &[u32],
        times: &[i64],
        seqs: &[u64],
    ) {
        for ((aggregate, offset), columns) in self.items.iter().zip(columns) {
            aggregate.update_rows(hot, *offset, into, columns, pick, times, seqs);
        }
    }

    /// Adds row `i` of the arguments to one row.
    pub fn update_one(
        &self,
        hot: &mut StateRows,
        row: u32,
        columns: &[ArgumentColumns],
        i: usize,
        at: Moment,
    ) {
        for ((aggregate, offset), columns) in self.items.iter().zip(columns) {
            if let Some(args) = columns.get(i) {
                aggregate.update(hot.cell(row, *offset, aggregate.words()), &args, at);
            }
        }
    }

    /// Merges a row of one `StateRows` into a row of another.
    pub fn merge(&self, into: &mut StateRows, into_row: u32, from: &StateRows, from_row: u32) {
        for (aggregate, offset) in &self.items {
            let words = aggregate.words();
            let cell = into.cell(into_row, *offset, words);
            aggregate.merge(cell, from.peek(from_row, *offset, words));
        }
    }

    /// Merges two rows of the same `StateRows`, using a temporary copy.
    pub fn merge_within(&self, hot: &mut StateRows, into_row: u32, from_row: u32) {
        let mut copy = self.hot();
        let row = copy.push();
        self.merge(&mut copy, row, hot, from_row);
        self.merge(hot, into_row, &copy, row);
    }

    /// The answer of aggregate `j` in a row.
    pub fn evaluate<'a>(&self, hot: &'a StateRows, row: u32, j: usize) -> Answer<'a> {
        let (aggregate, offset) = &self.items[j];
        aggregate.evaluate(hot.peek(row, *offset, aggregate.words()))
    }

    /// Appends the answers of all rows to one column per aggregate.
    pub fn evaluate_rows(&self, hot: &StateRows, out: &mut [AnswerColumn]) {
        for ((aggregate, offset), column) in self.items.iter().zip(out) {
            aggregate.evaluate_rows(hot, *offset, column);
        }
    }

    /// Resets aggregate `j` of a row.
    pub fn clear_one(&self, hot: &mut StateRows, row: u32, j: usize) {
        let (aggregate, offset) = &self.items[j];
        aggregate.clear(hot.cell(row, *offset, aggregate.words()));
    }

    /// Resets a row and frees its heap parts.
    pub fn clear(&self, hot: &mut StateRows, row: u32) {
        (0..self.items.len()).for_each(|j| self.clear_one(hot, row, j));
    }

    /// How many times an aggregate skips one of the selected rows as NaN.
    pub fn nans(&self, columns: &[ArgumentColumns], pick: &[u32]) -> u64 {
        let items = self.items.iter().zip(columns);
        let skips = items.filter(|((aggregate, _), _)| aggregate.nan(&[Value::F64(f64::NAN)]));
        skips.map(|(_, columns)| columns.nans(pick)).sum()
    }

    /// Appends a whole row as bytes.
    pub fn save(&self, hot: &StateRows, row: u32, out: &mut Vec<u8>) {
        for (aggregate, offset) in &self.items {
            aggregate.save(hot.peek(row, *offset, aggregate.words()), out);
        }
    }

    /// Loads a row, which must be empty, from all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Snapshot`] for bytes that `save` does not write; the row is then
    /// empty.
    pub fn load(&self, hot: &mut StateRows, row: u32, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        let mut read = || {
            for (aggregate, offset) in &self.items {
                aggregate.load(hot.cell(row, *offset, aggregate.words()), &mut rest)?;
            }
            if rest.is_empty() { Ok(()) } else { Err(damaged("it goes on behind its end")) }
        };
        let outcome = read();
        if outcome.is_err() {
            self.clear(hot, row);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{Retract, build};
    use arrow_array::{ArrayRef, Float64Array, StringArray};
    use std::sync::Arc;

    fn layout() -> Layout {
        Layout::new(vec![
            build("count", &[]).unwrap(),
            build("sum", &[DataType::Float64]).unwrap(),
            build("count_distinct", &[DataType::Utf8]).unwrap(),
        ])
    }

    fn columns() -> Vec<ArgumentColumns> {
        let floats: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(1e40), Some(0.5), None, Some(f64::NAN)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a", "c"]));
        let column = |a: &[ArrayRef]| ArgumentColumns::from_arrays(a, None, 4).unwrap();
        vec![column(&[]), column(&[floats]), column(&[texts])]
    }

    fn answers(layout: &Layout, hot: &StateRows, row: u32) -> Vec<String> {
        (0..layout.len()).map(|j| format!("{:?}", layout.evaluate(hot, row, j))).collect()
    }

    #[test]
    fn rows_go_where_they_are_sent() {
        let (layout, columns) = (layout(), columns());
        let mut hot = layout.hot();
        let (a, b) = (hot.push(), hot.push());
        let (times, seqs) = ([0; 4], [0, 1, 2, 3]);
        layout.update_rows(&mut hot, &[a, b, a], &columns, &[0, 1, 3], &times, &seqs);
        assert_eq!(answers(&layout, &hot, a), ["I64(2)", "F64(1e40)", "I64(2)"]);
        assert_eq!(answers(&layout, &hot, b), ["I64(1)", "F64(0.5)", "I64(1)"]);
        assert_eq!(layout.nans(&columns, &[0, 1, 3]), 1);
        layout.merge_within(&mut hot, b, a);
        assert_eq!(answers(&layout, &hot, b), ["I64(3)", "F64(1e40)", "I64(3)"]);
        let at = Moment { time: 0, seq: 0 };
        let (sum, offset) = &layout.items[1];
        let (cell, value) = (hot.cell(b, *offset, sum.words()), columns[1].get(0).unwrap());
        assert_eq!(sum.retract(cell, &value, at), Retract::Done);
        assert_eq!(answers(&layout, &hot, b), ["I64(3)", "F64(0.5)", "I64(3)"]);
    }

    #[test]
    fn a_row_is_saved_and_read_whole() {
        let (layout, columns) = (layout(), columns());
        let mut hot = layout.hot();
        let (a, b) = (hot.push(), hot.push());
        for i in 0..4 {
            layout.update_one(&mut hot, a, &columns, i, Moment { time: 0, seq: i as u64 });
        }
        let mut bytes = Vec::new();
        layout.save(&hot, a, &mut bytes);
        layout.load(&mut hot, b, &bytes).unwrap();
        assert_eq!(answers(&layout, &hot, a), answers(&layout, &hot, b));
        layout.clear(&mut hot, b);
        bytes.push(0);
        assert!(layout.load(&mut hot, b, &bytes).is_err());
        layout.clear(&mut hot, a);
        assert!(hot.heap().is_empty());
        assert_eq!(answers(&layout, &hot, b), ["I64(0)", "Null", "I64(0)"]);
    }
}
