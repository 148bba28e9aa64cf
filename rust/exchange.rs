//! Exchange: sends rows to the owner of their key. The only file that uses threads.
//!
//! Rows are split by range with a stable counting sort, so each slot sees its rows in order. Each
//! slot has one owner, and the barrier at the end is the exchange between operators with different
//! keys. The output does not depend on the number of threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use crate::error::Result;
use crate::limits::INLINE_ROWS_MAX;
use crate::state::{Address, KeyColumns, RANGES};

/// The rows of a block grouped by range, in order within each range.
#[derive(Debug)]
pub struct Routed {
    rows: Vec<u32>,
    ends: [u32; RANGES],
    /// For each row in block order, its index among the grouped rows.
    places: Vec<u32>,
}

impl Routed {
    /// Groups `rows` by the range of their key; if the keys have no ranges, all rows are in range
    /// 0.
    pub fn new(keys: &KeyColumns, rows: &[u32]) -> Routed {
        let mut ends = [0u32; RANGES];
        let Some(ranges) = keys.ranges() else {
            ends.fill(rows.len() as u32);
            let places = (0..rows.len() as u32).collect();
            return Routed { rows: rows.to_vec(), ends, places };
        };
        rows.iter().for_each(|&row| ends[ranges[row as usize] as usize] += 1);
        let mut next = [0u32; RANGES];
        let mut sum = 0;
        for range in 0..RANGES {
            next[range] = sum;
            sum += ends[range];
            ends[range] = sum;
        }
        let mut sorted = vec![0u32; rows.len()];
        let place = |&row: &u32| {
            let next = &mut next[ranges[row as usize] as usize];
            let at = *next;
            sorted[at as usize] = row;
            *next += 1;
            at
        };
        let places = rows.iter().map(place).collect();
        Routed { rows: sorted, ends, places }
    }

    /// Computes a value per row, in grouped order. Rows are read in block order and written to as
    /// many positions as there are ranges: reading them by range would cost a cache miss per row.
    pub fn arrange<T: Clone + Default>(&self, mut of: impl FnMut(u32) -> T) -> Vec<T> {
        let mut all = vec![T::default(); self.rows.len()];
        for &at in &self.places {
            all[at as usize] = of(self.rows[at as usize]);
        }
        all
    }

    /// For each row in block order, its index among the grouped rows.
    pub fn into_places(self) -> Vec<u32> {
        self.places
    }

    /// All rows, in grouped order.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The rows of a range.
    pub fn rows_of(&self, address: Address) -> &[u32] {
        &self.rows[self.span(address)]
    }

    /// The indices of a range's rows among the grouped rows.
    pub fn span(&self, address: Address) -> std::ops::Range<usize> {
        let range = address.index();
        let start = if range == 0 { 0 } else { self.ends[range - 1] };
        start as usize..self.ends[range] as usize
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Runs `work` on each slot, each slot on one thread. A thread collects the results of its slots in
/// one value made by `new`; these are returned in rising order of address.
pub fn run<S: Send, T: Send>(
    threads: usize,
    rows: usize,
    mut slots: Vec<(Address, &mut S)>,
    new: impl Fn() -> T + Sync,
    work: impl Fn(Address, &mut S, &mut T) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let own = |part: &mut [(Address, &mut S)]| -> Result<T> {
        let mut out = new();
        part.iter_mut().try_for_each(|(address, slot)| work(*address, slot, &mut out))?;
        Ok(out)
    };
    if threads <= 1 || rows < INLINE_ROWS_MAX || slots.len() < 2 {
        return Ok(vec![own(&mut slots)?]);
    }
    let share = slots.len().div_ceil(threads);
    let own = &own;
    std::thread::scope(|scope| {
        let owners: Vec<_> =
            slots.chunks_mut(share).map(|part| scope.spawn(move || own(part))).collect();
        // Resume the panic in this thread, so that its message is kept.
        let joined =
            |owner: ScopedJoinHandle<'_, _>| owner.join().unwrap_or_else(|p| resume_unwind(p));
        owners.into_iter().map(joined).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::ThreadId;

    use super::*;
    use crate::error::Error;

    /// The threads that worked on the slots in a step of `rows` rows.
    fn threads_of(threads: usize, rows: usize, slots: usize) -> (HashSet<ThreadId>, Vec<usize>) {
        let mut state = vec![0u8; slots];
        let work = |address: Address, slot: &mut u8, out: &mut Vec<(ThreadId, usize)>| {
            *slot += 1;
            out.push((std::thread::current().id(), address.index()));
            Ok(())
        };
        let slots = Address::all().zip(&mut state).collect();
        let all = run(threads, rows, slots, Vec::new, work);
        let all: Vec<_> = all.unwrap().into_iter().flatten().collect();
        assert!(state.iter().all(|times| *times == 1));
        (all.iter().map(|each| each.0).collect(), all.iter().map(|each| each.1).collect())
    }

    #[test]
    fn from_the_limit_on_slots_are_shared_out_and_stay_in_order() {
        let here = HashSet::from([std::thread::current().id()]);
        let order: Vec<usize> = (0..7).collect();
        for (threads, rows, slots) in [(1, INLINE_ROWS_MAX, 7), (3, INLINE_ROWS_MAX - 1, 7)] {
            assert_eq!(threads_of(threads, rows, slots), (here.clone(), order.clone()));
        }
        assert_eq!(threads_of(3, INLINE_ROWS_MAX, 1).0, here);
        for threads in [2, 3, 7, 9] {
            let (ids, ranges) = threads_of(threads, INLINE_ROWS_MAX, 7);
            assert!(ids.is_disjoint(&here));
            assert_eq!(ids.len(), 7usize.div_ceil(7usize.div_ceil(threads)));
            assert_eq!(ranges, order);
        }
    }

    #[test]
    fn the_error_of_any_slot_is_that_of_the_step() {
        let mut state = [0u8; 4];
        let slots = Address::all().zip(&mut state).collect();
        let work = |address: Address, _: &mut u8, _: &mut ()| match address.range {
            3 => Err(Error::Engine("of the last".into())),
            _ => Ok(()),
        };
        let error = run(2, INLINE_ROWS_MAX, slots, || (), work).unwrap_err();
        assert_eq!(error.message(), "of the last");
    }
}
