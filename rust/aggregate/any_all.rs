//! `any` and `all`: whether one of the values is true, or all are. Nulls are skipped; null without a
//! value (as `bool_or` and `bool_and` of SQL).

use arrow_schema::DataType;

use super::codec::{damaged, put_u64, take_count};
use super::{Aggregate, Answer, Call, Cell, CellRef, Kind, Moment, Retract, Value};
use crate::error::Result;

/// `any` of bool.
pub const ANY: Kind = Kind { name: "any", about: "whether a value is true", build: build::<false> };

/// `all` of bool.
pub const ALL: Kind =
    Kind { name: "all", about: "whether all values are true", build: build::<true> };

fn build<const ALL: bool>(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    match call.plain()? {
        [DataType::Boolean | DataType::Null] => Ok(Box::new(Truth { all: ALL })),
        [other] => Err(call.refuse(other, "it takes bool; write a condition, as \"amount > 500\"")),
    }
}

/// State: how many values there are, and how many of them are true.
#[derive(Debug)]
struct Truth {
    all: bool,
}

const ROWS: usize = 0;
const TRUE: usize = 1;

impl Aggregate for Truth {
    fn words(&self) -> usize {
        2
    }

    fn output_type(&self) -> &DataType {
        &DataType::Boolean
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) {
        cell.words[ROWS] += 1;
        cell.words[TRUE] += u64::from(args[0] == Value::I64(1));
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        into.words.iter_mut().zip(from.words).for_each(|(into, from)| *into += from);
    }

    fn inverts(&self) -> bool {
        true
    }

    fn retract(&self, cell: Cell<'_>, args: &[Value<'_>], _: Moment) -> Retract {
        let is_true = u64::from(args[0] == Value::I64(1));
        cell.words[ROWS] = cell.words[ROWS].saturating_sub(1);
        cell.words[TRUE] = cell.words[TRUE].saturating_sub(is_true).min(cell.words[ROWS]);
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        match (cell.words[ROWS], cell.words[TRUE]) {
            (0, _) => Answer::Null,
            (rows, of) if self.all => Answer::I64((rows == of).into()),
            (_, of) => Answer::I64((of > 0).into()),
        }
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        cell.words.iter().for_each(|word| put_u64(out, *word));
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let (rows, of) = (take_count(bytes)?, take_count(bytes)?);
        if of > rows {
            return Err(damaged("a count of true values"));
        }
        cell.words.copy_from_slice(&[rows, of]);
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, build};
    use super::*;

    #[test]
    fn any_and_all_of_what_is_known() {
        let kinds = ["any", "all"].map(|kind| build(kind, &[DataType::Boolean]).unwrap());
        let layout = Layout::new(kinds.into());
        for (values, any, all) in [
            (vec![], Answer::Null, Answer::Null),
            (vec![0], Answer::I64(0), Answer::I64(0)),
            (vec![1, 0], Answer::I64(1), Answer::I64(0)),
            (vec![1, 1], Answer::I64(1), Answer::I64(1)),
        ] {
            let mut hot = layout.hot();
            let row = hot.push();
            for value in values {
                for (aggregate, offset) in &layout.items {
                    let cell = hot.cell(row, *offset, 2);
                    aggregate.update(cell, &[Value::I64(value)], Moment { time: 0, seq: 0 });
                }
            }
            assert_eq!([0, 1].map(|j| layout.evaluate(&hot, row, j)), [any, all]);
        }
        let error = build("any", &[DataType::Int64]).unwrap_err();
        assert!(error.message().starts_with("any of i64\nhint: "), "{error}");
    }
}
