//! Keys: the columns of `by=`, encoded once a block, and each slot's index from key to dense id.
//!
//! Keys are hashed by value with a fixed seed for their range, so that order and ownership are the
//! same on every machine, and with a random seed inside a range, against chosen collisions.

use std::hash::{BuildHasher, Hasher};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use hashbrown::HashTable;

use super::encode::{Encoded, decode, encode};
use super::hash::range_of;
use crate::error::Result;

/// The keys of a block's rows.
#[derive(Debug)]
pub struct KeyColumns {
    encoded: Encoded,
    ranges: Option<Vec<u8>>,
    null: Option<Vec<bool>>,
}

impl KeyColumns {
    /// Encodes the columns of `by=`; no columns are one key for all rows.
    pub fn new(columns: &[ArrayRef], len: usize) -> Result<KeyColumns> {
        let (encoded, hashes) = encode(columns, len)?;
        let ranges = hashes.map(|all| all.iter().map(|&hash| range_of(hash) as u8).collect());
        let nulls = columns.iter().any(|column| column.null_count() > 0);
        let null = nulls.then(|| {
            (0..len).map(|row| columns.iter().any(|column| column.is_null(row))).collect()
        });
        Ok(KeyColumns { encoded, ranges, null })
    }

    /// The range of each row; `None` where there is one key only, which is in range 0.
    pub fn ranges(&self) -> Option<&[u8]> {
        self.ranges.as_deref()
    }

    /// Whether any column of the row's key is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.null.as_ref().is_some_and(|null| null[row])
    }
}

/// The keys of one slot: key to dense id and back. Ids of removed keys are used again.
#[derive(Debug, Default)]
pub struct Keys {
    table: HashTable<u32>,
    words: Vec<i64>,
    bytes: Vec<Box<[u8]>>,
    null: Option<u32>,
    free: Vec<u32>,
    live: Vec<bool>,
    len: u32,
    hasher: foldhash::quality::RandomState,
}

impl Keys {
    /// How many ids were ever given out at once: the length of arrays indexed by id.
    pub fn capacity(&self) -> usize {
        self.len as usize
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len as usize - self.free.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row's key, and whether it is new.
    pub fn intern(&mut self, columns: &KeyColumns, row: usize) -> (u32, bool) {
        if let Some(id) = self.get(columns, row) {
            return (id, false);
        }
        let id = self.free.pop().unwrap_or(self.len);
        self.len = self.len.max(id + 1);
        put(&mut self.live, id, true);
        match &columns.encoded {
            Encoded::One => self.null = Some(id),
            Encoded::Words { values, valid } => {
                if valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
                    self.null = Some(id);
                    self.words.resize(self.len as usize, 0);
                } else {
                    let word = values[row];
                    put(&mut self.words, id, word);
                    let (words, hasher) = (&self.words, &self.hasher);
                    self.table.insert_unique(hash_one(hasher, word), id, |&other| {
                        hash_one(hasher, words[other as usize])
                    });
                }
            }
            Encoded::Bytes { .. } => {
                let key = columns.encoded.bytes(row);
                put(&mut self.bytes, id, Box::from(key));
                let (bytes, hasher) = (&self.bytes, &self.hasher);
                self.table.insert_unique(hash_slice(hasher, key), id, |&other| {
                    hash_slice(hasher, &bytes[other as usize])
                });
            }
        }
        (id, true)
    }

    /// The id of a row's key, if it has one.
    pub fn get(&self, columns: &KeyColumns, row: usize) -> Option<u32> {
        match &columns.encoded {
            Encoded::One => self.null,
            Encoded::Words { values, valid } => {
                if valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
                    return self.null;
                }
                let word = values[row];
                let found = self
                    .table
                    .find(hash_one(&self.hasher, word), |&id| self.words[id as usize] == word);
                found.copied()
            }
            Encoded::Bytes { .. } => {
                let key = columns.encoded.bytes(row);
                let found = self
                    .table
                    .find(hash_slice(&self.hasher, key), |&id| *self.bytes[id as usize] == *key);
                found.copied()
            }
        }
    }

    /// Forgets a key; an id that no key has at present is left alone.
    pub fn remove(&mut self, id: u32) {
        if !std::mem::take(&mut self.live[id as usize]) {
            return;
        }
        if self.null == Some(id) {
            self.null = None;
        } else {
            let hash = if self.bytes.is_empty() {
                hash_one(&self.hasher, self.words[id as usize])
            } else {
                hash_slice(&self.hasher, &self.bytes[id as usize])
            };
            if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
                entry.remove();
            }
        }
        if let Some(bytes) = self.bytes.get_mut(id as usize) {
            *bytes = Box::default();
        }
        self.free.push(id);
    }

    /// The keys of `ids` as columns of the types of `by=`.
    pub fn columns(&self, ids: &[u32], types: &[DataType]) -> Result<Vec<ArrayRef>> {
        decode(types, ids.len(), |i| {
            let id = ids[i];
            match (self.null == Some(id), self.bytes.get(id as usize)) {
                (true, _) => super::encode::Key::Null,
                (false, Some(bytes)) => super::encode::Key::Bytes(bytes),
                (false, None) => super::encode::Key::Word(self.words[id as usize]),
            }
        })
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        let held: usize = self.bytes.iter().map(|key| key.len() + 32).sum();
        self.table.capacity() * 5 + self.words.capacity() * 8 + self.free.capacity() * 4 + held
    }
}

fn put<T: Default>(all: &mut Vec<T>, id: u32, value: T) {
    if all.len() <= id as usize {
        all.resize_with(id as usize + 1, T::default);
    }
    all[id as usize] = value;
}

fn hash_one(hasher: &foldhash::quality::RandomState, word: i64) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_i64(word);
    state.finish()
}

fn hash_slice(hasher: &foldhash::quality::RandomState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn keys_hash_by_value() {
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![5, -1]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![5, -1]));
        let a = KeyColumns::new(&[narrow], 2).unwrap();
        let b = KeyColumns::new(&[wide], 2).unwrap();
        assert_eq!(a.ranges(), b.ranges());
    }

    #[test]
    fn ids_are_dense_and_used_again() {
        let store: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
        let code: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1]));
        for by in [vec![store.clone()], vec![store.clone(), code.clone()]] {
            let columns = KeyColumns::new(&by, 4).unwrap();
            let mut keys = Keys::default();
            let ids: Vec<u32> = (0..4).map(|row| keys.intern(&columns, row).0).collect();
            assert_eq!(ids, [0, 1, 2, 0]);
            let types: Vec<DataType> = by.iter().map(|c| c.data_type().clone()).collect();
            let back = keys.columns(&[2, 1, 0], &types).unwrap();
            assert_eq!(back[0].as_ref(), &StringArray::from(vec![Some("b"), None, Some("a")]));
            keys.remove(1);
            keys.remove(1);
            assert_eq!((keys.len(), keys.get(&columns, 1)), (2, None));
            assert_eq!(keys.intern(&columns, 1), (1, true));
            assert!(columns.is_null(1) && !columns.is_null(0));
        }
    }
}
