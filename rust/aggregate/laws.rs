//! Laws that every aggregate must obey for every argument type it accepts; run over the registry.

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use super::example::registry;
use super::{
    Aggregate, AnswerColumn, Args, ArgumentColumns, Call, Class, Classes, Moment, PerArgument,
    Retract, StateRows, Value,
};
use crate::error::Error;
use crate::expr::Literal;
use crate::schema::{large, named as type_word};

pub(super) type LawRow = (Args<'static>, Moment);

/// An aggregate over given argument types, which may be none.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) types: Vec<DataType>,
    pub(super) aggregate: Box<dyn Aggregate>,
}

/// The lists of argument types that aggregates are tried on: none, each type, and enough pairs that
/// each type and each pair of classes occurs.
fn argument_types() -> Vec<Vec<DataType>> {
    let types = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Decimal128(38, 2),
        DataType::Float32,
        DataType::Float64,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Duration(TimeUnit::Microsecond),
        DataType::Utf8,
        DataType::Binary,
    ];
    let mut all = vec![vec![]];
    all.extend(types.iter().map(|one| vec![one.clone()]));
    let next = |i: usize| types[(i + 5) % types.len()].clone();
    all.extend(types.iter().enumerate().map(|(i, one)| vec![one.clone(), next(i)]));
    let classes = [2, 4, 6, 10].map(|i| &types[i]);
    let pairs = classes.iter().flat_map(|&a| classes.iter().map(move |&b| [a.clone(), b.clone()]));
    all.extend(pairs.map(Vec::from));
    all
}

pub(super) fn subjects() -> Vec<Subject> {
    let (registry, all_types) = (registry(), argument_types());
    let parameters: [&[Literal]; 8] = [
        &[],
        &[Literal::Float(0.3)],
        &[Literal::Float(1.0)],
        &[Literal::Int(0)],
        &[Literal::Int(1)],
        &[Literal::Bool(false)],
        &[Literal::Bool(true)],
        &[Literal::Float(-1.0), Literal::Float(0.0), Literal::Float(2.5)],
    ];
    let mut all = Vec::new();
    for kind in registry.names() {
        for (types, parameters) in
            all_types.iter().flat_map(|types| parameters.iter().map(move |each| (types, *each)))
        {
            if let Ok(aggregate) = registry.build(&Call { kind, types, parameters }) {
                let words: Vec<String> = types.iter().map(type_word).collect();
                let name = format!("{kind}({}; {parameters:?})", words.join(", "));
                all.push(Subject { name, types: types.clone(), aggregate });
            }
        }
    }
    assert!(all.len() > 70, "only {} aggregates", all.len());
    all
}

const BYTES: [&[u8]; 6] = [b"", b"a", b"ab", b"b", "ä".as_bytes(), b"a rather long text"];
const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    0.1,
    -0.1,
    1.0,
    1e16,
    -1e16,
    1e-16,
    1e300,
    -1e300,
    f64::MAX,
    -f64::MAX,
    5e-324,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// A value of a type, mostly one of a few so that duplicates occur.
fn value(argument: &DataType, pick: u64) -> Value<'static> {
    let (common, n) = (!pick.is_multiple_of(3), (pick / 3) as usize);
    match (Class::for_type(argument), argument) {
        (Class::Unit, _) => Value::Unit,
        (Class::I64, DataType::Boolean) => Value::I64((pick & 1) as i64),
        (Class::I64, DataType::Int8 | DataType::Date32) => Value::I64((pick % 100) as i64),
        (Class::I64, _) if common => Value::I64([0, 1, -1, i64::MAX, i64::MIN][n % 5]),
        (Class::I64, _) => Value::I64(pick as i64),
        (Class::I128, DataType::UInt64) => Value::I128([0, 1, u64::MAX.into()][n % 3]),
        (Class::I128, _) if common => {
            let most = 10i128.pow(38) - 1;
            Value::I128([0, 1, -1, most, -most][n % 5])
        }
        (Class::I128, _) => Value::I128(i128::from(pick as i64) << (pick % 50)),
        (Class::F64, DataType::Float32) => Value::F64((FLOATS[n % 16] as f32).into()),
        (Class::F64, _) if common => Value::F64(FLOATS[n % 16]),
        (Class::F64, _) => Value::F64(f64::from_bits(pick.wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        (Class::Bytes, _) => Value::Bytes(BYTES[n % 6]),
    }
}

impl Subject {
    pub(super) fn classes(&self) -> Classes {
        Classes::for_types(&self.types)
    }

    pub(super) fn args(&self, pick: u64) -> Args<'static> {
        match self.types.as_slice() {
            [] => PerArgument::One([Value::Unit]),
            [one] => PerArgument::One([value(one, pick)]),
            [one, two, ..] => {
                PerArgument::Two([value(one, pick), value(two, pick.rotate_left(21))])
            }
        }
    }

    pub(super) fn rows(&self, picks: &[u64]) -> Vec<LawRow> {
        let row = |(seq, pick)| (self.args(pick), Moment { time: (pick % 7) as i64 - 3, seq });
        (0..).zip(picks.iter().copied()).map(row).collect()
    }

    pub(super) fn fold(&self, rows: &[LawRow]) -> LawCell<'_> {
        let mut hot = StateRows::new(self.aggregate.words());
        hot.push();
        let mut state = LawCell { subject: self, hot };
        rows.iter().for_each(|row| state.update(*row));
        state
    }
}

/// One cell.
pub(super) struct LawCell<'a> {
    subject: &'a Subject,
    hot: StateRows,
}

impl LawCell<'_> {
    fn update(&mut self, (args, at): LawRow) {
        let aggregate = &self.subject.aggregate;
        aggregate.update(self.hot.cell(0, 0, aggregate.words()), &args, at);
    }

    pub(super) fn retract(&mut self, (args, at): LawRow) -> Retract {
        let aggregate = &self.subject.aggregate;
        aggregate.retract(self.hot.cell(0, 0, aggregate.words()), &args, at)
    }

    fn merge(&mut self, other: &LawCell<'_>) {
        let aggregate = &self.subject.aggregate;
        let words = aggregate.words();
        aggregate.merge(self.hot.cell(0, 0, words), other.hot.peek(0, 0, words));
    }

    fn clear(&mut self) {
        let aggregate = &self.subject.aggregate;
        aggregate.clear(self.hot.cell(0, 0, aggregate.words()));
    }

    fn load(&mut self, mut bytes: &[u8]) -> Result<usize, Error> {
        let aggregate = &self.subject.aggregate;
        aggregate.load(self.hot.cell(0, 0, aggregate.words()), &mut bytes)?;
        Ok(bytes.len())
    }

    /// The answer, including the sign of zero, and the saved bytes. Also checks that the running
    /// byte count of the heap is right.
    pub(super) fn says(&self) -> (String, Vec<u8>) {
        assert_eq!(self.hot.heap().held(), self.hot.heap().counted(), "{}", self.subject.name);
        let aggregate = &self.subject.aggregate;
        let cell = self.hot.peek(0, 0, aggregate.words());
        let mut out = Vec::new();
        aggregate.save(cell, &mut out);
        (format!("{:?}", aggregate.evaluate(cell)), out)
    }

    fn is_zero(&self) -> bool {
        let words = self.hot.peek(0, 0, self.subject.aggregate.words()).words;
        words.iter().all(|word| *word == 0) && self.hot.heap().is_empty()
    }
}

pub(super) fn picks() -> impl Strategy<Value = Vec<u64>> {
    // More values than a small set of distinct values holds.
    prop::collection::vec(any::<u64>(), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_is_the_update_of_both(picks in picks(), cut in any::<prop::sample::Index>()) {
        for subject in subjects() {
            let rows = subject.rows(&picks);
            let (left, right) = rows.split_at(cut.index(rows.len() + 1));
            let (mut one, mut two) = (subject.fold(left), subject.fold(right));
            one.merge(&subject.fold(right));
            two.merge(&subject.fold(left));
            let whole = subject.fold(&rows).says();
            prop_assert_eq!(&one.says(), &whole, "{}", subject.name);
            prop_assert_eq!(&two.says(), &whole, "{}", subject.name);
        }
    }

    #[test]
    fn the_order_of_updates_does_not_matter(picks in picks(), seed in any::<u64>()) {
        for subject in subjects() {
            let rows = subject.rows(&picks);
            let mut other = rows.clone();
            other.sort_by_key(|(_, at)| (at.seq + 1).wrapping_mul(seed | 1));
            prop_assert_eq!(subject.fold(&other).says(), subject.fold(&rows).says(), "{}", subject.name);
        }
    }

    #[test]
    fn what_is_retracted_was_never_there(picks in picks(), seed in any::<u64>()) {
        for subject in subjects() {
            let mut rows = subject.rows(&picks);
            let mut state = subject.fold(&rows);
            for step in 0..rows.len() {
                let left = rows.remove((seed.rotate_left(step as u32) % rows.len() as u64) as usize);
                match state.retract(left) {
                    Retract::Done => {}
                    Retract::Stale | Retract::Never => {
                        state.clear();
                        rows.iter().for_each(|row| state.update(*row));
                    }
                }
                prop_assert_eq!(state.says(), subject.fold(&rows).says(), "{}", subject.name);
            }
            prop_assert!(state.is_zero(), "{}", subject.name);
        }
    }

    #[test]
    fn a_saved_state_is_read_back(picks in picks(), more in picks()) {
        for subject in subjects() {
            let rows = subject.rows(&picks);
            let mut state = subject.fold(&rows);
            let mut back = subject.fold(&[]);
            prop_assert_eq!(back.load(&state.says().1), Ok(0), "{}", subject.name);
            prop_assert_eq!(back.says(), state.says(), "{}", subject.name);
            for row in subject.rows(&more) {
                state.update(row);
                back.update(row);
            }
            prop_assert_eq!(back.says(), state.says(), "{}", subject.name);
        }
    }

    #[test]
    fn a_cleared_state_is_empty(picks in picks()) {
        for subject in subjects() {
            let mut state = subject.fold(&subject.rows(&picks));
            state.clear();
            prop_assert!(state.is_zero(), "{}", subject.name);
            prop_assert_eq!(state.says(), subject.fold(&[]).says(), "{}", subject.name);
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_state(
        picks in picks(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        for subject in subjects() {
            let rows = subject.rows(&picks);
            let mut bytes = subject.fold(&rows).says().1;
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(if cut { at } else { bytes.len() });
            let mut state = subject.fold(&[]);
            match state.load(&bytes) {
                Ok(_) => {
                    rows.iter().for_each(|row| state.update(*row));
                    state.merge(&subject.fold(&rows));
                    for row in &rows {
                        state.retract(*row);
                    }
                    state.says();
                }
                Err(Error::Snapshot(_)) => prop_assert!(state.is_zero(), "{}", subject.name),
                Err(other) => prop_assert!(false, "{}: {other}", subject.name),
            }
        }
    }

    #[test]
    fn many_rows_at_once_are_rows_one_by_one(picks in picks()) {
        for subject in subjects() {
            let rows = subject.rows(&picks);
            let mut columns = ArgumentColumns::empty(&subject.classes());
            let (times, seqs): (Vec<_>, Vec<_>) =
                rows.iter().map(|(_, at)| (at.time, at.seq)).unzip();
            let absent = |i: usize| picks[i].is_multiple_of(5);
            for (i, (args, _)) in rows.iter().enumerate() {
                columns.push(if absent(i) { None } else { Some(args) });
            }
            let mut hot = StateRows::new(subject.aggregate.words() + 1);
            hot.push();
            hot.push();
            let pick: Vec<u32> = (0..rows.len() as u32).rev().collect();
            let into: Vec<u32> = pick.iter().map(|i| i % 2).collect();
            subject.aggregate.update_rows(&mut hot, 1, &into, &columns, &pick, &times, &seqs);
            for parity in 0..2 {
                let mine: Vec<LawRow> = (0..rows.len())
                    .filter(|i| i % 2 == parity && !absent(*i))
                    .map(|i| rows[i])
                    .collect();
                let mut out = Vec::new();
                let cell = hot.peek(parity as u32, 1, subject.aggregate.words());
                subject.aggregate.save(cell, &mut out);
                prop_assert_eq!(out, subject.fold(&mine).says().1, "{}", subject.name);
            }
        }
    }

    #[test]
    fn answers_are_of_the_output_type_and_nan_is_no_value(picks in picks()) {
        for subject in subjects() {
            let aggregate = &subject.aggregate;
            let rows = subject.rows(&picks);
            let without: Vec<LawRow> =
                rows.iter().filter(|(args, _)| !aggregate.nan(args)).copied().collect();
            let state = subject.fold(&rows);
            prop_assert_eq!(state.says(), subject.fold(&without).says(), "{}", subject.name);
            let mut column = AnswerColumn::new(aggregate.output_type(), 0);
            column.push(aggregate.evaluate(state.hot.peek(0, 0, aggregate.words())));
            let array = column.finish().map_err(|e| TestCaseError::fail(e.to_string()))?;
            // More than 32-bit offsets address; the engine splits such a column.
            let wide = large(aggregate.output_type()).filter(|wide| wide == array.data_type());
            let found = if wide.is_some() { aggregate.output_type() } else { array.data_type() };
            prop_assert_eq!(found, aggregate.output_type(), "{}", subject.name);
        }
    }
}
