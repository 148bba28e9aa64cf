//! count_distinct: exact, with a reference count for each value, so that rows can be taken back.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use hashbrown::HashMap;

use super::codec::{damaged, put_bytes, put_u64, take_bytes, take_count, take_u64};
use super::{Aggregate, Answer, Big, Cell, CellRef, Class, Kind, Moment, Retract, Value};
use super::{one, refuse};
use crate::error::Result;

/// How many different values; -0.0 is 0.0, NaN is skipped.
pub const KIND: Kind =
    Kind { name: "count_distinct", about: "how many different values", build };

fn build(args: &[DataType]) -> Result<Box<dyn Aggregate>> {
    let arg = one("count_distinct", args)?;
    if Class::of(arg) == Class::Unit {
        return Err(refuse("count_distinct", arg, "it takes numbers, text, bool and times"));
    }
    Ok(Box::new(CountDistinct))
}

/// A value that is hashed by what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Word(u64),
    Wide(i128),
    Bytes(Box<[u8]>),
}

/// The values with their reference counts.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    counts: HashMap<Key, u64, foldhash::fast::FixedState>,
}

impl Distinct {
    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        self.counts.capacity() * (size_of::<Key>() + 9)
    }

    fn add(&mut self, key: Key, n: u64) {
        *self.counts.entry(key).or_insert(0) += n;
    }
}

#[derive(Debug)]
struct CountDistinct;

const HANDLE: usize = 0;

fn key(value: Value<'_>) -> Option<Key> {
    match value {
        Value::Unit => None,
        Value::I64(v) => Some(Key::Word(v as u64)),
        Value::I128(v) => Some(Key::Wide(v)),
        Value::F64(v) if v.is_nan() => None,
        Value::F64(v) => Some(Key::Word((v + 0.0).to_bits())),
        Value::Bytes(v) => Some(Key::Bytes(v.into())),
    }
}

fn get<'a>(cell: CellRef<'a>) -> Option<&'a Distinct> {
    match cell.heap.get(cell.words[HANDLE] as u32) {
        Some(Big::Distinct(distinct)) => Some(distinct),
        Some(Big::Exact(_) | Big::Bytes(_)) | None => None,
    }
}

fn get_mut<'a>(cell: Cell<'a>) -> Option<&'a mut Distinct> {
    if cell.words[HANDLE] == 0 {
        cell.words[HANDLE] = u64::from(cell.heap.alloc(Big::Distinct(Distinct::default())));
    }
    match cell.heap.get_mut(cell.words[HANDLE] as u32) {
        Some(Big::Distinct(distinct)) => Some(distinct),
        Some(Big::Exact(_) | Big::Bytes(_)) | None => None,
    }
}

impl Aggregate for CountDistinct {
    fn words(&self) -> usize {
        1
    }

    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    fn update(&self, cell: Cell<'_>, value: Value<'_>, _at: Moment) {
        if let Some(key) = key(value)
            && let Some(distinct) = get_mut(cell)
        {
            distinct.add(key, 1);
        }
    }

    fn merge(&self, into: Cell<'_>, from: CellRef<'_>) {
        if let Some(other) = get(from)
            && let Some(distinct) = get_mut(into)
        {
            other.counts.iter().for_each(|(key, n)| distinct.add(key.clone(), *n));
        }
    }

    fn retract(&self, mut cell: Cell<'_>, value: Value<'_>, _at: Moment) -> Retract {
        let Some(key) = key(value) else { return Retract::Done };
        if let Some(distinct) = get_mut(cell.reborrow()) {
            if let Some(n) = distinct.counts.get_mut(&key) {
                *n -= 1;
                if *n == 0 {
                    distinct.counts.remove(&key);
                }
            }
            if distinct.counts.is_empty() {
                self.clear(cell);
            }
        }
        Retract::Done
    }

    fn evaluate<'a>(&self, cell: CellRef<'a>) -> Answer<'a> {
        Answer::I64(get(cell).map_or(0, |distinct| distinct.counts.len() as i64))
    }

    fn save(&self, cell: CellRef<'_>, out: &mut Vec<u8>) {
        let sorted: BTreeMap<&Key, u64> =
            get(cell).into_iter().flat_map(|d| d.counts.iter().map(|(k, n)| (k, *n))).collect();
        put_u64(out, sorted.len() as u64);
        for (key, n) in sorted {
            put_u64(out, n);
            match key {
                Key::Word(word) => {
                    put_u64(out, 0);
                    put_u64(out, *word);
                }
                Key::Wide(wide) => {
                    put_u64(out, 1);
                    put_u64(out, *wide as u64);
                    put_u64(out, (*wide >> 64) as u64);
                }
                Key::Bytes(bytes) => {
                    put_u64(out, 2);
                    put_bytes(out, bytes);
                }
            }
        }
    }

    fn load(&self, mut cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
        for _ in 0..take_u64(bytes)? {
            let n = take_count(bytes)?;
            let key = match take_u64(bytes)? {
                0 => Key::Word(take_u64(bytes)?),
                1 => {
                    let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
                    Key::Wide((i128::from(high as i64) << 64) | i128::from(low))
                }
                2 => Key::Bytes(take_bytes(bytes)?.into()),
                _ => return Err(damaged("a value of no known class")),
            };
            if let Some(distinct) = get_mut(cell.reborrow()) {
                distinct.add(key, n);
            }
        }
        Ok(())
    }

    fn clear(&self, cell: Cell<'_>) {
        cell.heap.free(cell.words[HANDLE] as u32);
        cell.words[HANDLE] = 0;
    }
}
