//! Keys: the `by=` columns, encoded once per block, and each slot's index from key to dense id.
//!
//! A fixed hash of the key's values gives the range, so order and ownership are the same on every
//! machine. Within a range a randomly seeded hash protects against chosen collisions.

use std::hash::{BuildHasher, Hasher};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use xxhash_rust::xxh3::xxh3_128;

use super::Address;
use super::encode::{Encoded, Key, decode, encode, words_as};
use super::index::Index;
use crate::aggregate::lines::grow;
use crate::error::Result;
use crate::prefetch::prefetch;
use crate::wide;

/// The keys of a block's rows.
#[derive(Debug)]
pub struct KeyColumns {
    encoded: Encoded,
    ranges: Option<Vec<u8>>,
    null: Option<Vec<bool>>,
}

impl KeyColumns {
    /// Encodes the `by=` columns; without columns all rows share one key.
    pub fn new(columns: &[ArrayRef], len: usize) -> Result<KeyColumns> {
        let (encoded, ranges) = encode(columns, len)?;
        let nulls = columns.iter().any(|column| column.null_count() != 0);
        let null = nulls.then(|| {
            (0..len).map(|row| columns.iter().any(|column| column.is_null(row))).collect()
        });
        Ok(KeyColumns { encoded, ranges, null })
    }

    /// The range of each row; `None` if there is only one key, which is in range 0.
    pub fn ranges(&self) -> Option<&[u8]> {
        self.ranges.as_deref()
    }

    /// The address of a row's key.
    #[inline]
    pub fn address(&self, row: usize) -> Address {
        Address::of_range(self.ranges.as_ref().map_or(0, |ranges| ranges[row].into()))
    }

    /// The key of a row.
    #[inline(always)]
    fn key(&self, row: usize) -> Key<'_> {
        match &self.encoded {
            Encoded::One => Key::Null,
            Encoded::Words { valid: Some(valid), .. } if valid.is_null(row) => Key::Null,
            Encoded::Words { values, .. } => Key::Word(values[row]),
            Encoded::Bytes { .. } => Key::Bytes(self.encoded.bytes(row)),
        }
    }

    /// A fingerprint of the key of each row: the same on every machine and in every version.
    pub fn fingerprints(&self, len: usize) -> Vec<u128> {
        let print = |row| match self.key(row) {
            Key::Null => xxh3_128(b"null"),
            Key::Word(word) => xxh3_128(&word.to_le_bytes()),
            Key::Bytes(bytes) => xxh3_128(bytes),
        };
        (0..len).map(print).collect()
    }

    /// Whether any row has a null in its key.
    pub fn has_nulls(&self) -> bool {
        self.null.is_some()
    }

    /// Whether any column of the row's key is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.null.as_ref().is_some_and(|null| null[row])
    }
}

/// The keys of one slot: key to dense id and back. Ids of removed keys are reused.
#[derive(Debug, Default)]
pub struct Keys {
    index: Index,
    words: Vec<i64>,
    bytes: Vec<Box<[u8]>>,
    /// Total length of all `bytes`, kept up to date because the dashboard reads it many times a
    /// second.
    held: usize,
    null: Option<u32>,
    free: Vec<u32>,
    live: Vec<bool>,
    len: u32,
    hasher: foldhash::quality::RandomState,
    /// Scratch space for [`Keys::intern_all`].
    hashes: Vec<u64>,
}

impl Keys {
    /// The greatest number of ids in use at one time: the length of arrays indexed by id.
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

    /// Returns the id of a row's key, creating one if the key is new.
    pub fn intern(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let hash = self.hash(columns, row);
        self.find(columns, row, hash).unwrap_or_else(|| self.add(columns, row, hash))
    }

    /// Replaces `ids` by the ids of the keys of `rows`, creating new ones.
    ///
    /// A lookup costs two cache misses, in the index and at the key. One by one, each row would
    /// wait for its own; so all rows probe the index first, then all compare keys, and the misses
    /// overlap.
    pub fn intern_all(&mut self, columns: &KeyColumns, rows: &[u32], ids: &mut Vec<u32>) {
        ids.clear();
        let Encoded::Words { values, valid: None } = &columns.encoded else {
            ids.extend(rows.iter().map(|&row| self.intern(columns, row as usize)));
            return;
        };
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.extend(rows.iter().map(|&row| {
            let hash = hash_one(&self.hasher, values[row as usize]);
            self.index.prefetch(hash);
            hash
        }));
        ids.extend(hashes.iter().map(|&hash| {
            let id = self.index.first(hash);
            prefetch(&self.words, id as usize);
            id
        }));
        for (id, &row) in ids.iter_mut().zip(rows) {
            let known = self.words.get(*id as usize).copied();
            *id = if known == Some(values[row as usize]) { *id } else { u32::MAX };
        }
        for ((id, &row), &hash) in ids.iter_mut().zip(rows).zip(&hashes) {
            if *id == u32::MAX {
                let found = self.find(columns, row as usize, hash);
                *id = found.unwrap_or_else(|| self.add(columns, row as usize, hash));
            }
        }
        self.hashes = hashes;
    }

    /// The id of a row's key, if the key is known.
    pub fn get(&self, columns: &KeyColumns, row: usize) -> Option<u32> {
        self.find(columns, row, self.hash(columns, row))
    }

    /// The seeded hash of a row's key; a null key is not hashed.
    fn hash(&self, columns: &KeyColumns, row: usize) -> u64 {
        match columns.key(row) {
            Key::Null => 0,
            Key::Word(word) => hash_one(&self.hasher, word),
            Key::Bytes(bytes) => hash_slice(&self.hasher, bytes),
        }
    }

    fn find(&self, columns: &KeyColumns, row: usize, hash: u64) -> Option<u32> {
        match columns.key(row) {
            Key::Null => self.null,
            Key::Word(word) => self.index.find(hash, |id| self.words[id as usize] == word),
            Key::Bytes(key) => self.index.find(hash, |id| *self.bytes[id as usize] == *key),
        }
    }

    fn add(&mut self, columns: &KeyColumns, row: usize, hash: u64) -> u32 {
        let id = self.free.pop().unwrap_or(self.len);
        self.len = self.len.max(id + 1);
        put(&mut self.live, id, true);
        match columns.key(row) {
            Key::Null => {
                self.null = Some(id);
                if matches!(columns.encoded, Encoded::Words { .. }) {
                    put(&mut self.words, id, 0);
                }
            }
            Key::Word(word) => {
                put(&mut self.words, id, word);
                self.index.insert(hash, id);
            }
            Key::Bytes(key) => {
                put(&mut self.bytes, id, Box::from(key));
                self.held += key.len();
                self.index.insert(hash, id);
            }
        }
        id
    }

    /// Forgets a key; does nothing for an id that is not in use.
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
            self.index.remove(hash, id);
        }
        if let Some(bytes) = self.bytes.get_mut(id as usize) {
            self.held -= bytes.len();
            *bytes = Box::default();
        }
        self.free.push(id);
    }

    /// The keys of `ids` as columns of the given types.
    pub fn columns(&self, ids: &[u32], types: &[DataType]) -> Result<Vec<ArrayRef>> {
        let words = self.null.is_none() && self.bytes.is_empty() && !ids.is_empty();
        if let ([data_type], true) = (types, words) {
            let words: Vec<i64> = ids.iter().map(|&id| self.words[id as usize]).collect();
            return Ok(vec![words_as(words.into(), data_type)?]);
        }
        decode(types, ids.len(), |i| {
            let id = ids[i];
            match (self.null == Some(id), self.bytes.get(id as usize)) {
                (true, _) => Key::Null,
                (false, Some(bytes)) => Key::Bytes(bytes),
                (false, None) => Key::Word(self.words[id as usize]),
            }
        })
    }

    /// Like [`Keys::columns`], for fired rows, where a key may appear many times: uses large text
    /// columns if there is too much text for regular ones.
    pub fn fired(&self, ids: &[u32], types: &[DataType]) -> Result<Vec<ArrayRef>> {
        // most slots of a small step fire nothing, and builders of columns are not free
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let runs = wide::runs(ids, |&id| self.bytes.get(id as usize).map_or(0, |key| key.len()));
        if runs.len() < 2 {
            return self.columns(ids, types);
        }
        let runs: Vec<Vec<ArrayRef>> =
            runs.into_iter().map(|ids| self.columns(ids, types)).collect::<Result<_>>()?;
        let column =
            |k: usize| wide::concat(&runs.iter().map(|run| run[k].as_ref()).collect::<Vec<_>>());
        (0..types.len()).map(column).collect()
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let held = self.held + self.bytes.len() * 32;
        let each = self.words.capacity() * 8 + self.live.capacity() + self.free.capacity() * 4;
        self.index.bytes() + each + held
    }
}

fn put<T: Default>(all: &mut Vec<T>, id: u32, value: T) {
    if all.len() <= id as usize {
        grow(all, id as usize + 1);
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
            let ids: Vec<u32> = (0..4).map(|row| keys.intern(&columns, row)).collect();
            assert_eq!(ids, [0, 1, 2, 0]);
            let types: Vec<DataType> = by.iter().map(|c| c.data_type().clone()).collect();
            let back = keys.columns(&[2, 1, 0], &types).unwrap();
            assert_eq!(back[0].as_ref(), &StringArray::from(vec![Some("b"), None, Some("a")]));
            keys.remove(1);
            keys.remove(1);
            assert_eq!((keys.len(), keys.get(&columns, 1)), (2, None));
            assert_eq!(keys.intern(&columns, 1), 1);
            assert!(columns.is_null(1) && !columns.is_null(0));
        }
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let number = |row: i64| (row * row) % 5003;
        let words: ArrayRef = Arc::new((0..2000).map(number).collect::<Int64Array>());
        let nulls: ArrayRef = Arc::new(
            (0..2000).map(|row| (row % 9 > 0).then(|| number(row))).collect::<Int64Array>(),
        );
        for by in [vec![words.clone()], vec![nulls.clone()], vec![words, nulls]] {
            let columns = KeyColumns::new(&by, 2000).unwrap();
            let (mut one, mut all, mut ids) = (Keys::default(), Keys::default(), vec![]);
            let rows: Vec<u32> = (0..2000).rev().filter(|row| row % 3 > 0).collect();
            for rows in rows.chunks(300) {
                all.intern_all(&columns, rows, &mut ids);
                let each = rows.iter().map(|&row| one.intern(&columns, row as usize));
                assert_eq!(ids, each.collect::<Vec<u32>>());
                one.remove(ids[7]);
                all.remove(ids[7]);
            }
            assert!(all.len() > 100 && all.len() == one.len());
        }
    }
}
