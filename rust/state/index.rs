//! Index: maps the hash of a key to its dense id; the keys are stored elsewhere.
//!
//! Open addressing with linear probing over slots of eight bytes: a tag (the upper half of the
//! hash) and an id. The leading bits of a tag give its first slot, so the table grows without
//! rehashing keys, in one pass from front to back. Removal shifts following entries back, so there
//! are no tombstones.

use crate::limits::INDEX_SLOTS_MIN;
use crate::prefetch::prefetch;

/// Marks an empty slot; the greatest id is never used.
const EMPTY: u64 = u64::MAX;

/// Ids by hash. Callers compare the keys themselves.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<u64>,
    len: usize,
    /// The right shift that turns a tag into its first slot.
    shift: u32,
}

fn tag(hash: u64) -> u64 {
    hash >> 32
}

fn id_of(slot: u64) -> u32 {
    slot as u32
}

impl Index {
    #[inline(always)]
    fn home(&self, tag: u64) -> usize {
        (tag >> self.shift) as usize
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    /// The id in the first slot of a hash if the tag matches, otherwise `u32::MAX`.
    ///
    /// A cheap first probe for many hashes in a row: nothing branches on the loaded value, so their
    /// cache misses overlap.
    #[inline(always)]
    pub fn first(&self, hash: u64) -> u32 {
        let slot = self.slots.get(self.home(tag(hash))).copied().unwrap_or(EMPTY);
        if slot >> 32 == tag(hash) { id_of(slot) } else { u32::MAX }
    }

    /// Prefetches the first slot of a hash.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.slots, self.home(tag(hash)));
    }

    /// The id for a hash for which `is` returns true.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(tag(hash));
        loop {
            let slot = *self.slots.get(at)?;
            if slot == EMPTY {
                return None;
            }
            if slot >> 32 == tag(hash) && is(id_of(slot)) {
                return Some(id_of(slot));
            }
            at = self.next(at);
        }
    }

    /// Inserts an id that is not in the table.
    pub fn insert(&mut self, hash: u64, id: u32) {
        if self.len >= self.slots.len() / 8 * 5 {
            self.grow();
        }
        self.len += 1;
        self.put(tag(hash) << 32 | u64::from(id));
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home(slot >> 32);
        while self.slots[at] != EMPTY {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(INDEX_SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        self.shift = 32 - slots.ilog2();
        old.into_iter().filter(|&slot| slot != EMPTY).for_each(|slot| self.put(slot));
    }

    /// Removes an id.
    pub fn remove(&mut self, hash: u64, id: u32) {
        let wanted = tag(hash) << 32 | u64::from(id);
        let mut hole = self.home(tag(hash));
        while *self.slots.get(hole).unwrap_or(&EMPTY) != wanted {
            if self.slots.get(hole).is_none_or(|&slot| slot == EMPTY) {
                return;
            }
            hole = self.next(hole);
        }
        self.len -= 1;
        let mask = self.slots.len() - 1;
        let mut at = self.next(hole);
        while self.slots[at] != EMPTY {
            let home = self.home(self.slots[at] >> 32);
            // An entry may move back into the hole unless its first slot comes after the hole.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.next(at);
        }
        self.slots[hole] = EMPTY;
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Uses few distinct tags, so that runs are long and wrap around the end of the table.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u64..40, any::<bool>()), 0..300)) {
            let hash = |key: u64| (key % 7).wrapping_mul(0x2aaa_aaaa) << 32;
            let (mut index, mut model) = (Index::default(), HashMap::new());
            for (key, add) in steps {
                if add && model.insert(key, ()).is_none() {
                    index.insert(hash(key), key as u32);
                } else if !add {
                    model.remove(&key);
                    index.remove(hash(key), key as u32);
                }
                for key in 0..40 {
                    let found = index.find(hash(key), |id| id == key as u32);
                    prop_assert_eq!(found.is_some(), model.contains_key(&key));
                    let first = index.first(hash(key));
                    prop_assert!(first == u32::MAX || hash(u64::from(first)) == hash(key));
                }
            }
        }
    }
}
