//! Ordered multisets: values with their number of rows, from which the k-th value in order is found
//! in logarithmic time. The state of `quantile`.
//!
//! The values are kept in sorted blocks. A Fenwick tree over the rows of each block finds the block
//! of the k-th row; it is rebuilt when a block is split or removed, which is rare.

use super::codec::{damaged, put_u64, take_count};
use crate::error::Result;
use crate::limits::ORDERED_BLOCK_MAX;

/// Values in order, each with its number of rows.
#[derive(Clone, Debug)]
pub struct OrderedSet<T> {
    /// Sorted values; no block is empty.
    blocks: Vec<Vec<(T, u64)>>,
    /// Fenwick tree over the number of rows of each block.
    sums: Vec<u64>,
    /// Number of rows.
    rows: u64,
    /// Number of different values.
    values: usize,
}

impl<T> Default for OrderedSet<T> {
    fn default() -> OrderedSet<T> {
        OrderedSet { blocks: vec![], sums: vec![], rows: 0, values: 0 }
    }
}

impl<T: Copy + Ord> OrderedSet<T> {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let block = size_of::<Vec<(T, u64)>>() + size_of::<u64>();
        self.values * size_of::<(T, u64)>() + self.blocks.len() * block
    }

    /// The block that holds a value, or would hold it.
    fn block(&self, value: T) -> usize {
        let ends_before = |block: &Vec<(T, u64)>| block.last().is_some_and(|last| last.0 < value);
        self.blocks.partition_point(ends_before).min(self.blocks.len().saturating_sub(1))
    }

    /// Adds `rows` rows with a value.
    pub fn add(&mut self, value: T, rows: u64) {
        if self.blocks.is_empty() {
            self.blocks.push(vec![]);
            self.sums.push(0);
        }
        self.rows += rows;
        let at = self.block(value);
        let block = &mut self.blocks[at];
        match block.binary_search_by(|(known, _)| known.cmp(&value)) {
            Ok(place) => block[place].1 += rows,
            Err(place) => {
                self.values += 1;
                block.insert(place, (value, rows));
                if block.len() > ORDERED_BLOCK_MAX {
                    // Values that rise append to the last block, so earlier blocks stay full.
                    let is_last = place + 1 == block.len() && at + 1 == self.blocks.len();
                    let half = if is_last { place } else { self.blocks[at].len() / 2 };
                    let behind = self.blocks[at].split_off(half);
                    self.blocks.insert(at + 1, behind);
                    return self.count();
                }
            }
        }
        self.change(at, |sum| *sum += rows);
    }

    /// Removes one row with a value.
    pub fn remove(&mut self, value: T) {
        if self.blocks.is_empty() {
            return;
        }
        let at = self.block(value);
        let block = &mut self.blocks[at];
        let Ok(place) = block.binary_search_by(|(known, _)| known.cmp(&value)) else { return };
        self.rows -= 1;
        block[place].1 -= 1;
        if block[place].1 == 0 {
            self.values -= 1;
            block.remove(place);
        }
        if block.is_empty() {
            self.blocks.remove(at);
            return self.count();
        }
        self.change(at, |sum| *sum -= 1);
    }

    /// Builds the Fenwick tree anew.
    fn count(&mut self) {
        self.sums.clear();
        let rows = |block: &Vec<(T, u64)>| block.iter().map(|(_, rows)| rows).sum::<u64>();
        self.sums.extend(self.blocks.iter().map(rows));
        for i in 0..self.sums.len() {
            let above = i | (i + 1);
            if above < self.sums.len() {
                self.sums[above] += self.sums[i];
            }
        }
    }

    /// Changes the sums that contain a block.
    fn change(&mut self, block: usize, change: impl Fn(&mut u64)) {
        let mut i = block;
        while i < self.sums.len() {
            change(&mut self.sums[i]);
            i |= i + 1;
        }
    }

    /// The value of row `k` in order, counted from 0.
    pub fn nth(&self, k: u64) -> Option<T> {
        let (mut block, mut rest) = (0, k);
        let mut step = self.sums.len().checked_next_power_of_two().unwrap_or(0);
        while step > 0 {
            if let Some(&rows) = self.sums.get(block + step - 1).filter(|&&rows| rows <= rest) {
                rest -= rows;
                block += step;
            }
            step /= 2;
        }
        let values = self.blocks.get(block)?.iter();
        let mut behind = values.skip_while(|(_, rows)| {
            let before = *rows <= rest;
            rest -= if before { *rows } else { 0 };
            before
        });
        behind.next().map(|(value, _)| *value)
    }

    /// The values in order, each with its number of rows.
    pub fn iter(&self) -> impl Iterator<Item = (T, u64)> {
        self.blocks.iter().flatten().copied()
    }

    /// Appends the values as bytes.
    pub fn save(&self, out: &mut Vec<u8>, put: impl Fn(T, &mut Vec<u8>)) {
        put_u64(out, self.values as u64);
        for (value, rows) in self.iter() {
            put(value, out);
            put_u64(out, rows);
        }
    }

    /// Reads what `save` wrote.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Snapshot`] for values out of order, or more rows than there can be.
    pub fn load(
        bytes: &mut &[u8],
        take: impl Fn(&mut &[u8]) -> Result<T>,
    ) -> Result<OrderedSet<T>> {
        let mut set = OrderedSet::default();
        let mut last = None;
        for _ in 0..take_count(bytes)? {
            let (value, rows) = (take(bytes)?, take_count(bytes)?);
            let total = set.rows.checked_add(rows).filter(|&total| total <= i64::MAX as u64);
            if rows == 0 || total.is_none() || last.is_some_and(|last| last >= value) {
                return Err(damaged("an ordered set of values"));
            }
            set.add(value, rows);
            last = Some(value);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_list(steps in prop::collection::vec((0i64..400, any::<bool>()), 0..2000)) {
            let (mut set, mut list) = (OrderedSet::default(), Vec::new());
            for (i, (value, leave)) in steps.into_iter().enumerate() {
                // First the set grows beyond a few blocks, then it shrinks.
                if leave && i > 600 && !list.is_empty() {
                    let gone = list.remove(value as usize % list.len());
                    set.remove(gone);
                } else {
                    let value = if i % 3 == 0 { i as i64 } else { value };
                    list.insert(list.partition_point(|known| *known <= value), value);
                    set.add(value, 1);
                }
                let k = i % (list.len() + 1);
                prop_assert_eq!(set.nth(k as u64), list.get(k).copied());
            }
            prop_assert_eq!(set.rows(), list.len() as u64);
            prop_assert!((0..list.len()).all(|k| set.nth(k as u64) == Some(list[k])));
            prop_assert!(set.blocks.iter().all(|b| (1..=ORDERED_BLOCK_MAX).contains(&b.len())));
            let mut different = list.clone();
            different.dedup();
            prop_assert_eq!(set.values, different.len());
        }
    }

    #[test]
    fn rows_of_one_value_are_counted_together() {
        let mut set = OrderedSet::default();
        set.add(7i64, 3);
        set.add(-7, 2);
        set.remove(1);
        let found: Vec<_> = (0..6).map(|k| set.nth(k)).collect();
        assert_eq!(found, [Some(-7), Some(-7), Some(7), Some(7), Some(7), None]);
        (0..2).for_each(|_| set.remove(-7));
        (0..3).for_each(|_| set.remove(7));
        set.remove(7);
        assert!(set.is_empty() && set.nth(0).is_none() && set.blocks.is_empty());
    }
}
