//! Homes: from which partition each key came, to find a key that comes from two.
//!
//! A key is known by a fingerprint of 128 bits. A partition remembers its newest
//! `HOME_KEYS_MAX` keys, at about 50 bytes each, and saves them with its state.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};

use crate::decode::{DecodedRows, Feed};
use crate::error::{Error, Result, unknown_column};
use crate::limits::{HOME_KEYS_MAX, HOME_SEGMENT_KEYS};
use crate::partitioner::Partitioner;
use crate::show;
use crate::state::KeyColumns;

/// The column with the keys of the records.
const RECORD_KEY: &str = "_key";

/// What the source declares of its partitions.
#[derive(Debug, Clone, Default)]
pub struct Declared {
    /// The columns that decide the partition of a row.
    pub columns: Vec<String>,
    /// Whether null is a key like others.
    pub groups_null: bool,
    /// How the producer computes a record's partition from its key, if that is known.
    pub partitioner: Option<Partitioner>,
    /// How many partitions there are, if that is known.
    pub count: Option<u32>,
}

impl Declared {
    /// Checks that records are in the partition that their keys lead to.
    pub fn check_records(&self, partition: i64, feeds: &[Feed]) -> Result<()> {
        let (Some(partitioner), Some(count)) = (self.partitioner, self.count) else {
            return Ok(());
        };
        // with several topics the number of the topic is in the upper half
        let own = (partition & 0xffff_ffff) as u32;
        for feed in feeds.iter().filter(|feed| !feed.is_empty()) {
            let at = feed.schema.index_of(RECORD_KEY).map_err(|_| {
                Error::Schema(format!(
                    "partitioner=\"{}\" needs the column \"{RECORD_KEY}\", the records' keys",
                    partitioner.name()
                ))
            })?;
            for batch in &feed.batches {
                let keys = cast(batch.column(at), &DataType::LargeBinary)?;
                let keys = keys.as_binary::<i64>();
                for (row, key) in keys.iter().enumerate() {
                    let Some(key) = key else { continue };
                    let expected = partitioner.partition(key, count);
                    if expected != own {
                        let raw = || show::text(batch.column(at), row);
                        let key = std::str::from_utf8(key).map_or_else(|_| raw(), str::to_owned);
                        return Err(Error::Partition(format!(
                            "the record key {} is in partition {own}, and partitioner=\"{}\" leads \
                             to {expected} of {count}\nhint: name the partitioner that the producer \
                             uses, or leave out partitioned_by= to have one state for all partitions",
                            show::quoted(&key),
                            partitioner.name()
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses another number of partitions than keys were distributed to before.
    pub fn check_count(&self, before: Option<u32>) -> Result<()> {
        match (before, self.count) {
            (Some(before), Some(now)) if before != now => Err(Error::Partition(format!(
                "the source had {before} partitions and has {now}, so keys have moved to other \
                 partitions than their state\nhint: start with an empty checkpoint and read from the \
                 start, or leave out partitioned_by="
            ))),
            _ => Ok(()),
        }
    }
}

/// A fingerprint is a hash already.
#[derive(Debug, Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// The partition of each key that was seen.
#[derive(Debug, Default)]
pub struct Homes {
    known: HashMap<u128, i64, BuildHasherDefault<Fingerprint>>,
}

/// The keys that a partition remembers, oldest first, in segments that are saved one by one.
#[derive(Debug, Default)]
pub struct HomeKeys {
    segments: VecDeque<HomeSegment>,
    /// The number of the first segment.
    first: u64,
}

#[derive(Debug)]
struct HomeSegment {
    epoch: u64,
    keys: Vec<u128>,
}

impl Homes {
    /// Notes the keys of a partition's rows; returns the new ones.
    pub fn note(
        &mut self,
        declared: &Declared,
        partition: i64,
        schema: &Schema,
        rows: &DecodedRows,
    ) -> Result<Vec<u128>> {
        let (mut added, mut last) = (vec![], None);
        let columns = key_columns(declared, schema, rows)?;
        let keys = KeyColumns::new(&columns, rows.time.len())?;
        for (row, print) in keys.fingerprints(rows.time.len()).into_iter().enumerate() {
            if last == Some(print) || (!declared.groups_null && keys.is_null(row)) {
                continue;
            }
            last = Some(print);
            match self.known.entry(print) {
                Entry::Vacant(place) => {
                    place.insert(partition);
                    added.push(print);
                }
                Entry::Occupied(place) if *place.get() == partition => {}
                Entry::Occupied(place) => {
                    let other = *place.get();
                    self.forget(&added, partition);
                    return Err(in_two(declared, &columns, row, (other, partition)));
                }
            }
        }
        Ok(added)
    }

    /// Forgets keys of a partition.
    pub fn forget(&mut self, keys: &[u128], partition: i64) {
        for key in keys {
            if let Entry::Occupied(place) = self.known.entry(*key)
                && *place.get() == partition
            {
                place.remove();
            }
        }
    }

    /// Takes over the keys of a partition that was opened.
    ///
    /// A key that another partition has too is an error when its next row comes.
    pub fn take_over(&mut self, keys: &HomeKeys, partition: i64) {
        for key in keys.all() {
            self.known.entry(key).or_insert(partition);
        }
    }
}

impl HomeKeys {
    /// Adds new keys; returns the oldest, which are no longer remembered.
    pub fn add(&mut self, keys: &[u128], epoch: u64) -> Vec<u128> {
        for &key in keys {
            match self.segments.back_mut() {
                Some(last) if last.keys.len() < HOME_SEGMENT_KEYS => {
                    last.keys.push(key);
                    last.epoch = epoch;
                }
                _ => self.segments.push_back(HomeSegment { epoch, keys: vec![key] }),
            }
        }
        let mut gone = vec![];
        while self.segments.len() * HOME_SEGMENT_KEYS > HOME_KEYS_MAX.max(HOME_SEGMENT_KEYS) {
            gone.extend(self.segments.pop_front().map_or_else(Vec::new, |oldest| oldest.keys));
            self.first += 1;
        }
        gone
    }

    /// All keys.
    pub fn all(&self) -> impl Iterator<Item = u128> {
        self.segments.iter().flat_map(|segment| segment.keys.iter().copied())
    }

    /// The segments that changed after an epoch: number, epoch of the last change, keys.
    pub fn save(&self, since: u64) -> Result<Vec<(u64, u64, RecordBatch)>> {
        let numbered = (self.first..).zip(&self.segments);
        let changed = numbered.filter(|(_, segment)| segment.epoch > since);
        changed
            .map(|(number, segment)| Ok((number, segment.epoch, batch_of(&segment.keys)?)))
            .collect()
    }

    /// The epoch of the last change of a segment.
    pub fn changed(&self, number: u64) -> Option<u64> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.segments.get(at).map(|segment| segment.epoch)
    }

    /// The keys of saved segments, in rising order of their numbers.
    pub fn load(saved: Vec<(u64, u64, RecordBatch)>) -> Result<HomeKeys> {
        let first = saved.first().map_or(0, |segment| segment.0);
        let segment = |(number, (at, epoch, batch)): (u64, (u64, u64, RecordBatch))| {
            let keys = keys_of(&batch).filter(|keys| at == number && !keys.is_empty());
            let bad = || Error::Snapshot(format!("segment {number} of the keys is damaged"));
            Ok(HomeSegment { epoch, keys: keys.ok_or_else(bad)? })
        };
        let segments = (first..).zip(saved).map(segment).collect::<Result<_>>()?;
        Ok(HomeKeys { segments, first })
    }
}

fn batch_of(keys: &[u128]) -> Result<RecordBatch> {
    let bytes = keys.iter().map(|key| key.to_le_bytes());
    let array: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(bytes)?);
    let field = Field::new("key", array.data_type().clone(), false);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array])?)
}

fn keys_of(batch: &RecordBatch) -> Option<Vec<u128>> {
    let [column] = batch.columns() else { return None };
    let keys = column.as_any().downcast_ref::<FixedSizeBinaryArray>()?;
    keys.iter().map(|key| Some(u128::from_le_bytes(key?.try_into().ok()?))).collect()
}

fn key_columns(declared: &Declared, schema: &Schema, rows: &DecodedRows) -> Result<Vec<ArrayRef>> {
    let column = |name: &String| {
        let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let at = schema.index_of(name).map_err(|_| unknown_column(name, &known));
        at.map(|at| rows.columns[at].clone()).map_err(|error| error.within("partitioned_by"))
    };
    declared.columns.iter().map(column).collect()
}

fn in_two(declared: &Declared, columns: &[ArrayRef], row: usize, (a, b): (i64, i64)) -> Error {
    let value = |(name, column): (&String, &ArrayRef)| {
        format!("{name}={}", show::json(column.as_ref(), row))
    };
    let key: Vec<String> = declared.columns.iter().zip(columns).map(value).collect();
    let names: Vec<String> = declared.columns.iter().map(|name| format!("\"{name}\"")).collect();
    let (key, names) = (key.join(", "), names.join(", "));
    Error::Partition(format!(
        "{key} came from partition {a} and now from partition {b}, but partitioned_by=[{names}] says \
         that a key has one partition\nhint: name the columns by which the producer chooses the \
         partition, or leave out partitioned_by= to have one state for all partitions"
    ))
}
