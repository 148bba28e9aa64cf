//! Exchange: rows to the one owner of their key. The only file that knows of threads.
//!
//! Rows are split by range with a stable counting sort, so each slot sees its rows in order; each
//! slot has one owner, and the barrier at the end is the exchange between operators with different
//! keys. What comes out does not depend on the number of threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use crate::error::Result;
use crate::limits::INLINE_ROWS_MAX;
use crate::state::{KeyColumns, RANGES};

/// The rows of a block by range, each range's in order.
#[derive(Debug)]
pub struct Routed {
    rows: Vec<u32>,
    ends: [u32; RANGES],
    /// Where each row of the block's order stands.
    places: Vec<u32>,
}

impl Routed {
    /// Splits `rows` by the ranges of their keys; without ranges all are in range 0.
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

    /// Something of each row, in the order of the ranges. It is asked for in the block's order and
    /// written to as many places as there are ranges: read by range, each row would be a cache miss.
    pub fn arrange<T: Clone + Default>(&self, mut of: impl FnMut(u32) -> T) -> Vec<T> {
        let mut all = vec![T::default(); self.rows.len()];
        for &at in &self.places {
            all[at as usize] = of(self.rows[at as usize]);
        }
        all
    }

    /// Where each row stands among all, in the block's order.
    pub fn into_places(self) -> Vec<u32> {
        self.places
    }

    /// All rows, in the order of the ranges.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The rows of a range.
    pub fn of(&self, range: usize) -> &[u32] {
        &self.rows[self.span(range)]
    }

    /// Where the rows of a range stand among all.
    pub fn span(&self, range: usize) -> std::ops::Range<usize> {
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

/// Runs `work` on each slot that has something to do, each on one thread; a thread's slots put what
/// they give into one `new` result. Gives the results by rising range.
pub fn run<S: Send, T: Send>(
    threads: usize,
    rows: usize,
    mut slots: Vec<(usize, &mut S)>,
    new: impl Fn() -> T + Sync,
    work: impl Fn(usize, &mut S, &mut T) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let own = |part: &mut [(usize, &mut S)]| -> Result<T> {
        let mut out = new();
        part.iter_mut().try_for_each(|(range, slot)| work(*range, slot, &mut out))?;
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
        // a panic goes on in this thread, so that its text is not lost
        let joined =
            |owner: ScopedJoinHandle<'_, _>| owner.join().unwrap_or_else(|p| resume_unwind(p));
        owners.into_iter().map(joined).collect()
    })
}
