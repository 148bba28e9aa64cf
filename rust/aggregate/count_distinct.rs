//! `count_distinct`: how many different values, exactly. -0.0 is 0.0; NaN is skipped.
//!
//! Each value is kept with the number of rows that hold it, so that rows can leave again.

use std::borrow::Borrow;
use std::hash::Hash;
use std::marker::PhantomData;

use arrow_schema::DataType;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::codec::{damaged, put_bytes, put_u64, take_bytes, take_count, take_u64};
use super::{
    Aggregate, Answer, Big, Cell, CellRef, Class, Heap, Kind, Moment, Retract, Value, one, refuse,
};
use crate::error::Result;

/// `count_distinct` of anything that can be compared.
pub const KIND: Kind =
    Kind { name: "count_distinct", about: "how many different values, exactly", build };

fn build(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    let arg = one("count_distinct", args)?;
    Ok(match Class::of(arg) {
        Class::I64 | Class::F64 => Box::new(CountDistinct::<i64>(PhantomData)),
        Class::I128 => Box::new(CountDistinct::<i128>(PhantomData)),
        Class::Bytes => Box::new(CountDistinct::<Box<[u8]>>(PhantomData)),
        Class::Unit => {
            return Err(refuse("count_distinct", arg, "lists are not compared; unnest them first"));
        }
    })
}

/// Different values with the number of rows of each, by class; floats as canonical bits.
#[derive(Clone, Debug)]
pub enum Distinct {
    /// Integers and floats.
    I64(Set<i64>),
    /// u64 and decimals.
    I128(Set<i128>),
    /// Text and binary.
    Bytes(Set<Box<[u8]>>),
}

impl Distinct {
    /// Bytes of memory held outside of `self`.
    pub fn bytes(&self) -> usize {
        match self {
            Distinct::I64(set) => set.bytes(),
            Distinct::I128(set) => set.bytes(),
            Distinct::Bytes(set) => {
                let mut texts = 0;
                set.each(|value, _| texts += value.len());
                set.bytes() + texts
            }
        }
    }
}

/// A map from value to rows: sorted while it is small, hashed from then on.
///
/// The hash is seeded at random, against flooding; nothing that can be seen depends on it.
#[derive(Clone, Debug)]
pub enum Set<T> {
    /// Up to [`SMALL`] values.
    Small(Vec<(T, u64)>),
    /// More.
    Large(HashMap<T, u64, RandomState>),
}

/// Values up to which a sorted list is faster than a hash table.
const SMALL: usize = 16;

impl<T: Ord + Hash + Clone> Set<T> {
    fn len(&self) -> usize {
        match self {
            Set::Small(list) => list.len(),
            Set::Large(map) => map.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Set::Small(list) => list.capacity() * size_of::<(T, u64)>(),
            Set::Large(map) => map.allocation_size(),
        }
    }

    /// Adds `rows` rows that hold a value.
    fn add<Q>(&mut self, value: &Q, rows: u64)
    where
        T: Borrow<Q>,
        Q: Ord + Hash + ToOwned + ?Sized,
        Q::Owned: Into<T>,
    {
        match self {
            Set::Small(list) => match list.binary_search_by(|(v, _)| v.borrow().cmp(value)) {
                Ok(at) => list[at].1 += rows,
                Err(at) if list.len() < SMALL => list.insert(at, (value.to_owned().into(), rows)),
                Err(_) => {
                    let mut map: HashMap<T, u64, RandomState> = list.drain(..).collect();
                    map.insert(value.to_owned().into(), rows);
                    *self = Set::Large(map);
                }
            },
            Set::Large(map) => match map.get_mut(value) {
                Some(held) => *held += rows,
                None => {
                    map.insert(value.to_owned().into(), rows);
                }
            },
        }
    }

    /// Takes one row of a value back.
    fn remove<Q>(&mut self, value: &Q)
    where
        T: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        match self {
            Set::Small(list) => {
                if let Ok(at) = list.binary_search_by(|(v, _)| v.borrow().cmp(value)) {
                    list[at].1 -= 1;
                    if list[at].1 == 0 {
                        list.remove(at);
                    }
                }
            }
            Set::Large(map) => {
                if let Some(held) = map.get_mut(value) {
                    *held -= 1;
                    if *held == 0 {
                        map.remove(value);
                    }
                }
            }
        }
    }

    /// Visits each value once, in no order.
    fn each(&self, mut visit: impl FnMut(&T, u64)) {
        match self {
            Set::Small(list) => list.iter().for_each(|(value, rows)| visit(value, *rows)),
            Set::Large(map) => map.iter().for_each(|(value, rows)| visit(value, *rows)),
        }
    }

    fn sorted(&self) -> Vec<(&T, u64)> {
        let mut all: Vec<_> = match self {
            Set::Small(list) => list.iter().map(|(value, rows)| (value, *rows)).collect(),
            Set::Large(map) => map.iter().map(|(value, rows)| (value, *rows)).collect(),
        };
        all.sort_unstable();
        all
    }

    fn from_sorted(list: Vec<(T, u64)>) -> Set<T> {
        match list.len() {
            0..=SMALL => Set::Small(list),
            _ => Set::Large(list.into_iter().collect()),
        }
    }
}

/// A type whose values are counted, and its variant of [`Distinct`].
trait Item: Ord + Hash + Clone + Send + Sync + std::fmt::Debug + Borrow<Self::Key> + 'static {
    /// How a value is looked up.
    type Key: Ord + Hash + ToOwned<Owned: Into<Self>> + ?Sized;

    /// What stands for a value, unless it is skipped.
    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&Self::Key) -> R) -> Option<R>;
    fn wrap(set: Set<Self>) -> Distinct;
    fn unwrap(distinct: &Distinct) -> Option<&Set<Self>>;
    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut Set<Self>>;
    fn save(&self, out: &mut Vec<u8>);
    fn load(bytes: &mut &[u8]) -> Result<Self>;
}

impl Item for i64 {
    type Key = i64;

    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&i64) -> R) -> Option<R> {
        match value {
            Value::I64(v) => Some(act(&v)),
            // Adding zero turns -0.0 into 0.0.
            Value::F64(v) => (!v.is_nan()).then(|| act(&((v + 0.0).to_bits() as i64))),
            Value::Unit | Value::I128(_) | Value::Bytes(_) => None,
        }
    }

    fn wrap(set: Set<i64>) -> Distinct {
        Distinct::I64(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&Set<i64>> {
        match distinct {
            Distinct::I64(set) => Some(set),
            Distinct::I128(_) | Distinct::Bytes(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut Set<i64>> {
        match distinct {
            Distinct::I64(set) => Some(set),
            Distinct::I128(_) | Distinct::Bytes(_) => None,
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, *self as u64);
    }

    fn load(bytes: &mut &[u8]) -> Result<i64> {
        Ok(take_u64(bytes)? as i64)
    }
}

impl Item for i128 {
    type Key = i128;

    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&i128) -> R) -> Option<R> {
        match value {
            Value::I128(v) => Some(act(&v)),
            Value::Unit | Value::I64(_) | Value::F64(_) | Value::Bytes(_) => None,
        }
    }

    fn wrap(set: Set<i128>) -> Distinct {
        Distinct::I128(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&Set<i128>> {
        match distinct {
            Distinct::I128(set) => Some(set),
            Distinct::I64(_) | Distinct::Bytes(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut Set<i128>> {
        match distinct {
            Distinct::I128(set) => Some(set),
            Distinct::I64(_) | Distinct::Bytes(_) => None,
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, *self as u64);
        put_u64(out, (*self >> 64) as u64);
    }

    fn load(bytes: &mut &[u8]) -> Result<i128> {
        let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
        Ok((u128::from(high) << 64 | u128::from(low)) as i128)
    }
}

impl Item for Box<[u8]> {
    type Key = [u8];

    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match value {
            Value::Bytes(v) => Some(act(v)),
            Value::Unit | Value::I64(_) | Value::I128(_) | Value::F64(_) => None,
        }
    }

    fn wrap(set: Set<Box<[u8]>>) -> Distinct {
        Distinct::Bytes(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&Set<Box<[u8]>>> {
        match distinct {
            Distinct::Bytes(set) => Some(set),
            Distinct::I64(_) | Distinct::I128(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut Set<Box<[u8]>>> {
        match distinct {
            Distinct::Bytes(set) => Some(set),
            Distinct::I64(_) | Distinct::I128(_) => None,
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn load(bytes: &mut &[u8]) -> Result<Box<[u8]>> {
        Ok(take_bytes(bytes)?.into())
    }
}

/// One word: the handle of the set.
#[derive(Debug)]
struct CountDistinct<T>(PhantomData<T>);

fn set<T: Item>(cell: CellRef<'_>) -> Option<&Set<T>> {
    match cell.heap.get(cell.words[0] as u32)? {
        Big::Distinct(distinct) => T::unwrap(distinct),
        Big::Exact(_) | Big::Bytes(_) => None,
    }
}

/// The set of a cell, made if there is none.
fn set_mut<'a, T: Item>(words: &mut [u64], heap: &'a mut Heap) -> Option<&'a mut Set<T>> {
    if words[0] == 0 {
        words[0] = heap.alloc(Big::Distinct(T::wrap(Set::Small(Vec::new())))).into();
    }
    match heap.get_mut(words[0] as u32)? {
        Big::Distinct(distinct) => T::unwrap_mut(distinct),
        Big::Exact(_) | Big::Bytes(_) => None,
    }
}

impl<T: Item> Aggregate for CountDistinct<T> {
    #[inline(always)]
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    #[inline]
    fn update(&self, cell: Cell<'_>, value: Value<'_>, _: Moment) {
        T::with_key(value, |key| {
            if let Some(set) = set_mut::<T>(cell.words, cell.heap) {
                set.add(key, 1);
            }
        });
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = set::<T>(from)
            && let Some(own) = set_mut::<T>(into.words, into.heap)
        {
            other.each(|value, rows| own.add(value.borrow(), rows));
        }
    }

    fn retract(&self, mut cell: Cell<'_>, value: Value<'_>, _: Moment) -> Retract {
        let left = T::with_key(value, |key| {
            let Cell { words, heap } = cell.reborrow();
            let own = set_mut::<T>(words, heap)?;
            own.remove(key);
            Some(own.len())
        });
        if left == Some(Some(0)) {
            self.clear(cell);
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        Answer::I64(set::<T>(cell).map_or(0, Set::len) as i64)
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        let all = set::<T>(cell).map_or_else(Vec::new, Set::sorted);
        put_u64(out, all.len() as u64);
        for (value, rows) in all {
            value.save(out);
            put_u64(out, rows);
        }
    }

    fn load(&self, cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        let len = take_count(bytes)?;
        let mut list: Vec<(T, u64)> = Vec::new();
        for _ in 0..len {
            let (value, rows) = (T::load(bytes)?, take_count(bytes)?);
            if rows == 0 || list.last().is_some_and(|(before, _)| *before >= value) {
                return Err(damaged("a set of values"));
            }
            list.push((value, rows));
        }
        if len > 0 {
            cell.words[0] = cell.heap.alloc(Big::Distinct(T::wrap(Set::from_sorted(list)))).into();
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.free(cell.words[0] as u32);
        cell.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hot, build};
    use super::*;

    const AT: Moment = Moment { time: 0, seq: 0 };

    #[test]
    fn values_are_counted_once_and_may_leave() {
        let aggregate = build("count_distinct", &[DataType::Int64]).unwrap();
        let mut hot = Hot::new(1);
        hot.push();
        // Past the size at which the list becomes a table, and back.
        for value in (0..100).chain(0..50) {
            aggregate.update(hot.cell(0, 0, 1), Value::I64(value), AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(100));
        for value in 0..100 {
            aggregate.retract(hot.cell(0, 0, 1), Value::I64(value), AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(50));
        assert!(hot.heap().bytes() > 50 * 16);
        for value in 0..50 {
            aggregate.retract(hot.cell(0, 0, 1), Value::I64(value), AT);
        }
        assert!(hot.heap().is_empty());
    }

    #[test]
    fn zeros_are_one_value_and_nan_is_none() {
        let aggregate = build("count_distinct", &[DataType::Float64]).unwrap();
        let mut hot = Hot::new(1);
        hot.push();
        for value in [0.0, -0.0, f64::NAN] {
            aggregate.update(hot.cell(0, 0, 1), Value::F64(value), AT);
        }
        assert_eq!(aggregate.evaluate(hot.peek(0, 0, 1)), Answer::I64(1));
    }
}
