//! `array_agg(x)`: the values in a list, by event time, then by arrival. Nulls are left out; NaN is a
//! value like any other.

use std::collections::VecDeque;

use arrow_schema::DataType;

use super::codec::{put_bytes, put_u64, take_bytes, take_count, take_u64};
use super::heap::OwnState;
use super::value::ListValues;
use super::{Aggregate, Answer, Call, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use crate::error::Result;
use crate::schema::list;

/// `array_agg`, a list of its argument's type.
pub const KIND: Kind =
    Kind { name: "array_agg", about: "the values in order of time, then arrival", build };

fn build(call: &Call<'_>) -> Result<Box<dyn Aggregate>> {
    let [argument] = call.plain()?;
    match Class::for_type(argument) {
        Class::Unit => Err(call.refuse(argument, "lists are not collected; unnest them first")),
        class => Ok(Box::new(ArrayAgg { class, output: list(argument.clone()) })),
    }
}

/// State: one word, the handle of the list.
#[derive(Debug)]
struct ArrayAgg {
    class: Class,
    output: DataType,
}

/// A value that is kept; floats as their bits.
#[derive(Clone, Debug, PartialEq)]
enum KeptValue {
    I64(i64),
    I128(i128),
    F64(u64),
    Bytes(Box<[u8]>),
}

impl KeptValue {
    fn new(value: Value<'_>) -> Option<KeptValue> {
        Some(match value {
            Value::I64(v) => KeptValue::I64(v),
            Value::I128(v) => KeptValue::I128(v),
            Value::F64(v) => KeptValue::F64(v.to_bits()),
            Value::Bytes(v) => KeptValue::Bytes(v.into()),
            Value::Unit => return None,
        })
    }

    fn value(&self) -> Value<'_> {
        match self {
            KeptValue::I64(v) => Value::I64(*v),
            KeptValue::I128(v) => Value::I128(*v),
            KeptValue::F64(v) => Value::F64(f64::from_bits(*v)),
            KeptValue::Bytes(v) => Value::Bytes(v),
        }
    }

    fn outside(&self) -> usize {
        if let KeptValue::Bytes(v) = self { v.len() } else { 0 }
    }

    fn save(&self, out: &mut Vec<u8>) {
        match self {
            KeptValue::I64(v) => put_u64(out, *v as u64),
            KeptValue::F64(v) => put_u64(out, *v),
            KeptValue::I128(v) => {
                put_u64(out, *v as u64);
                put_u64(out, (*v >> 64) as u64);
            }
            KeptValue::Bytes(v) => put_bytes(out, v),
        }
    }

    fn load(class: Class, bytes: &mut &[u8]) -> Result<KeptValue> {
        Ok(match class {
            Class::I64 | Class::Unit => KeptValue::I64(take_u64(bytes)? as i64),
            Class::F64 => KeptValue::F64(take_u64(bytes)?),
            Class::I128 => {
                let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
                KeptValue::I128((u128::from(high) << 64 | u128::from(low)) as i128)
            }
            Class::Bytes => KeptValue::Bytes(take_bytes(bytes)?.into()),
        })
    }
}

/// Values with their position, in order.
#[derive(Clone, Debug, Default)]
struct Collected {
    values: VecDeque<(Moment, KeptValue)>,
    /// Bytes held by values outside this structure.
    outside: usize,
}

impl OwnState for Collected {
    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<(Moment, KeptValue)>() + self.outside
    }
}

impl ListValues for Collected {
    fn each(&self, visit: &mut dyn FnMut(Value<'_>)) {
        self.values.iter().for_each(|(_, kept)| visit(kept.value()));
    }
}

impl Collected {
    /// Adds a value behind those of the same position.
    fn add(&mut self, at: Moment, kept: KeptValue) {
        self.outside += kept.outside();
        if self.values.back().is_none_or(|last| last.0 <= at) {
            self.values.push_back((at, kept));
        } else {
            let place = self.values.partition_point(|known| known.0 <= at);
            self.values.insert(place, (at, kept));
        }
    }

    /// Removes a value.
    fn remove(&mut self, at: Moment, gone: &KeptValue) {
        let mut place = self.values.partition_point(|known| known.0 < at);
        while let Some(found) = self.values.get(place).filter(|found| found.0 == at) {
            if found.1 == *gone {
                self.values.remove(place);
                self.outside -= gone.outside();
                return;
            }
            place += 1;
        }
    }
}

fn collected(cell: CellRef<'_>) -> Option<&Collected> {
    cell.heap.own(cell.words[0])
}

impl Aggregate for ArrayAgg {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &self.output
    }

    fn update(&self, cell: Cell<'_>, args: &[Value<'_>], at: Moment) {
        if let Some(kept) = KeptValue::new(args[0]) {
            cell.heap.change_own(&mut cell.words[0], |own: &mut Collected| own.add(at, kept));
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if into.words[0] == 0 {
            into.words[0] = into.heap.clone_from_heap(from.heap, from.words[0] as u32).into();
        } else if let Some(other) = collected(from) {
            into.heap.change_own(&mut into.words[0], |own: &mut Collected| {
                other.values.iter().for_each(|(at, kept)| own.add(*at, kept.clone()));
            });
        }
    }

    fn retract(&self, mut cell: Cell<'_>, args: &[Value<'_>], at: Moment) -> Retract {
        if let Some(gone) = KeptValue::new(args[0]) {
            let Cell { words, heap } = cell.reborrow();
            let is_empty = heap.change_own(&mut words[0], |own: &mut Collected| {
                own.remove(at, &gone);
                own.values.is_empty()
            });
            if is_empty == Some(true) {
                self.clear(cell);
            }
        }
        Retract::Done
    }

    fn grows(&self) -> bool {
        true
    }

    fn nan(&self, _: &[Value<'_>]) -> bool {
        false
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        collected(cell).map_or(Answer::Null, |list| Answer::List(list))
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        let Some(list) = collected(cell) else { return put_u64(out, 0) };
        put_u64(out, list.values.len() as u64);
        for (at, kept) in &list.values {
            put_u64(out, at.time as u64);
            put_u64(out, at.seq);
            kept.save(out);
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let mut list = Collected::default();
        for _ in 0..take_count(bytes)? {
            let at = Moment { time: take_u64(bytes)? as i64, seq: take_u64(bytes)? };
            list.add(at, KeptValue::load(self.class, bytes)?);
        }
        if !list.values.is_empty() {
            cell.heap.change_own(&mut cell.words[0], |own| *own = list);
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.release(&mut cell.words[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StateRows, build};
    use super::*;

    #[test]
    fn values_are_ordered_by_time_then_arrival() {
        let aggregate = build("array_agg", &[DataType::Float64]).unwrap();
        let mut hot = StateRows::new(1);
        hot.push();
        let rows = [(5, 0, 1.5), (0, 1, f64::NAN), (5, 2, -0.0), (0, 3, 7.0), (5, 2, 8.0)];
        for (time, seq, value) in rows {
            aggregate.update(hot.cell(0, 0, 1), &[Value::F64(value)], Moment { time, seq });
        }
        let says = |hot: &StateRows| {
            let Answer::List(list) = aggregate.evaluate(hot.peek(0, 0, 1)) else { return vec![] };
            let mut found = vec![];
            list.each(&mut |value| found.push(format!("{value:?}")));
            found
        };
        assert_eq!(says(&hot), ["F64(NaN)", "F64(7.0)", "F64(1.5)", "F64(-0.0)", "F64(8.0)"]);
        for (time, seq, value) in rows {
            let done =
                aggregate.retract(hot.cell(0, 0, 1), &[Value::F64(value)], Moment { time, seq });
            assert_eq!(done, Retract::Done);
        }
        assert!(says(&hot).is_empty() && hot.heap().is_empty());
        assert!(build("array_agg", &[DataType::new_list(DataType::Int64, true)]).is_err());
    }
}
