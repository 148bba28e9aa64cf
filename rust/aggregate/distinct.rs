//! Sets of values with reference counts: the heap part of `count_distinct`.

use std::borrow::Borrow;
use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::codec::{damaged, put_bytes, put_u64, take_bytes, take_count, take_u64};
use super::value::{Class, Value};
use crate::error::Result;
use crate::limits::DISTINCT_LIST_MAX;

/// Different values by class, each with its number of rows; floats as canonical bits.
#[derive(Clone, Debug)]
pub enum Distinct {
    /// Integers and floats.
    I64(ValueSet<i64>),
    /// u64 and decimals.
    I128(ValueSet<i128>),
    /// Text and binary.
    Bytes(ValueSet<Box<[u8]>>),
}

impl Distinct {
    /// Memory held outside `self`, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Distinct::I64(set) => set.bytes(),
            Distinct::I128(set) => set.bytes(),
            Distinct::Bytes(set) => set.bytes(),
        }
    }
}

/// A map from value to number of rows: a sorted list while small, a hash table after that.
///
/// The hash is randomly seeded against flooding; no result depends on it.
#[derive(Clone, Debug)]
pub struct ValueSet<T> {
    values: CountedValues<T>,
    /// Bytes held by values outside this structure.
    outside: usize,
}

#[derive(Clone, Debug)]
enum CountedValues<T> {
    /// Small: sorted by value.
    List(Vec<(T, u64)>),
    /// Large: hashed.
    Table(HashMap<T, u64, RandomState>),
}

impl<T> Default for ValueSet<T> {
    fn default() -> ValueSet<T> {
        ValueSet { values: CountedValues::List(vec![]), outside: 0 }
    }
}

impl<T: Item> ValueSet<T> {
    /// Number of different values.
    pub fn len(&self) -> usize {
        match &self.values {
            CountedValues::List(list) => list.len(),
            CountedValues::Table(map) => map.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held outside `self`, in bytes.
    pub fn bytes(&self) -> usize {
        self.outside
            + match &self.values {
                CountedValues::List(list) => list.capacity() * size_of::<(T, u64)>(),
                CountedValues::Table(map) => map.allocation_size(),
            }
    }

    /// Adds `rows` rows that have a value; gives whether it is a new one.
    pub fn add(&mut self, value: &T::Key, rows: u64) -> bool {
        match &mut self.values {
            CountedValues::List(list) => {
                match list.binary_search_by(|(v, _)| v.borrow().cmp(value)) {
                    Ok(at) => {
                        list[at].1 += rows;
                        false
                    }
                    Err(at) if list.len() < DISTINCT_LIST_MAX => {
                        let value: T = value.to_owned().into();
                        self.outside += value.outside();
                        list.insert(at, (value, rows));
                        true
                    }
                    Err(_) => {
                        self.values = CountedValues::Table(list.drain(..).collect());
                        self.add(value, rows)
                    }
                }
            }
            CountedValues::Table(map) => match map.get_mut(value) {
                Some(held) => {
                    *held += rows;
                    false
                }
                None => {
                    let value: T = value.to_owned().into();
                    self.outside += value.outside();
                    map.insert(value, rows);
                    true
                }
            },
        }
    }

    /// Removes one row that has a value; gives whether it was the last one.
    pub fn remove(&mut self, value: &T::Key) -> bool {
        let gone = match &mut self.values {
            CountedValues::List(list) => {
                match list.binary_search_by(|(v, _)| v.borrow().cmp(value)) {
                    Ok(at) => {
                        list[at].1 -= 1;
                        (list[at].1 == 0).then(|| list.remove(at).0)
                    }
                    Err(_) => None,
                }
            }
            CountedValues::Table(map) => {
                let left = map.get_mut(value).map(|held| {
                    *held -= 1;
                    *held
                });
                if left == Some(0) { map.remove_entry(value).map(|entry| entry.0) } else { None }
            }
        };
        self.outside -= gone.as_ref().map_or(0, |value| value.outside());
        gone.is_some()
    }

    /// Appends the values in order, each with its number of rows.
    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.len() as u64);
        for (value, rows) in self.sorted() {
            value.save(out);
            put_u64(out, rows);
        }
    }

    /// Reads what `save` wrote.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Snapshot`] for values out of order or without rows.
    pub fn load(bytes: &mut &[u8]) -> Result<ValueSet<T>> {
        let mut list: Vec<(T, u64)> = Vec::new();
        for _ in 0..take_count(bytes)? {
            let (value, rows) = (T::load(bytes)?, take_count(bytes)?);
            if rows == 0 || list.last().is_some_and(|(before, _)| *before >= value) {
                return Err(damaged("a set of values"));
            }
            list.push((value, rows));
        }
        Ok(ValueSet::from_sorted(list))
    }

    /// Visits each value once, in arbitrary order.
    pub fn each(&self, mut visit: impl FnMut(&T, u64)) {
        match &self.values {
            CountedValues::List(list) => list.iter().for_each(|(value, rows)| visit(value, *rows)),
            CountedValues::Table(map) => map.iter().for_each(|(value, rows)| visit(value, *rows)),
        }
    }

    /// The values with their number of rows, in arbitrary order.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (&T, u64)> + '_> {
        match &self.values {
            CountedValues::List(list) => Box::new(list.iter().map(|(value, rows)| (value, *rows))),
            CountedValues::Table(map) => Box::new(map.iter().map(|(value, rows)| (value, *rows))),
        }
    }

    /// The values in order, for saving.
    pub fn sorted(&self) -> Vec<(&T, u64)> {
        let mut all: Vec<_> = match &self.values {
            CountedValues::List(list) => list.iter().map(|(value, rows)| (value, *rows)).collect(),
            CountedValues::Table(map) => map.iter().map(|(value, rows)| (value, *rows)).collect(),
        };
        all.sort_unstable();
        all
    }

    /// Builds a set from a sorted list without duplicates.
    pub fn from_sorted(list: Vec<(T, u64)>) -> ValueSet<T> {
        let outside = list.iter().map(|(value, _)| value.outside()).sum();
        let values = match list.len() {
            0..=DISTINCT_LIST_MAX => CountedValues::List(list),
            _ => CountedValues::Table(list.into_iter().collect()),
        };
        ValueSet { values, outside }
    }
}

/// A type whose values can be counted, and its variant of [`Distinct`].
pub trait Item:
    Ord + Hash + Clone + Send + Sync + std::fmt::Debug + Borrow<Self::Key> + 'static
{
    /// The borrowed form used for lookup.
    type Key: Ord + Hash + ToOwned<Owned: Into<Self>> + ?Sized;

    /// Bytes the value holds outside itself.
    fn outside(&self) -> usize {
        0
    }
    /// Calls `act` with the lookup form of a value, unless the value is skipped.
    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&Self::Key) -> R) -> Option<R>;
    /// The value of an argument of this class.
    fn value(&self, class: Class) -> Value<'_>;
    /// Wraps a set of this type as a heap part.
    fn wrap(set: ValueSet<Self>) -> Distinct;
    /// The set in a heap part, if it has this type.
    fn unwrap(distinct: &Distinct) -> Option<&ValueSet<Self>>;
    /// The set in a heap part, mutable.
    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut ValueSet<Self>>;
    /// Appends a value.
    fn save(&self, out: &mut Vec<u8>);
    /// Reads a value.
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

    fn value(&self, class: Class) -> Value<'_> {
        match class {
            Class::F64 => Value::F64(f64::from_bits(*self as u64)),
            _ => Value::I64(*self),
        }
    }

    fn wrap(set: ValueSet<i64>) -> Distinct {
        Distinct::I64(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&ValueSet<i64>> {
        match distinct {
            Distinct::I64(set) => Some(set),
            Distinct::I128(_) | Distinct::Bytes(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut ValueSet<i64>> {
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

    fn value(&self, _: Class) -> Value<'_> {
        Value::I128(*self)
    }

    fn wrap(set: ValueSet<i128>) -> Distinct {
        Distinct::I128(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&ValueSet<i128>> {
        match distinct {
            Distinct::I128(set) => Some(set),
            Distinct::I64(_) | Distinct::Bytes(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut ValueSet<i128>> {
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

    fn outside(&self) -> usize {
        self.len()
    }

    fn with_key<R>(value: Value<'_>, act: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match value {
            Value::Bytes(v) => Some(act(v)),
            Value::Unit | Value::I64(_) | Value::I128(_) | Value::F64(_) => None,
        }
    }

    fn value(&self, _: Class) -> Value<'_> {
        Value::Bytes(self)
    }

    fn wrap(set: ValueSet<Box<[u8]>>) -> Distinct {
        Distinct::Bytes(set)
    }

    fn unwrap(distinct: &Distinct) -> Option<&ValueSet<Box<[u8]>>> {
        match distinct {
            Distinct::Bytes(set) => Some(set),
            Distinct::I64(_) | Distinct::I128(_) => None,
        }
    }

    fn unwrap_mut(distinct: &mut Distinct) -> Option<&mut ValueSet<Box<[u8]>>> {
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
