//! Rows of accumulators: everything an event changes for its key is stored together.

use super::heap::Heap;
use super::lines::AlignedWords;
use crate::prefetch::prefetch;

/// The state of one aggregate in one row, mutable.
#[derive(Debug)]
pub struct Cell<'a> {
    /// The fixed part; all zero is the empty state.
    pub words: &'a mut [u64],
    /// The heap its handles refer to.
    pub heap: &'a mut Heap,
}

/// The state of one aggregate in one row, read-only.
#[derive(Clone, Copy, Debug)]
pub struct CellRef<'a> {
    /// The fixed part.
    pub words: &'a [u64],
    /// The heap its handles refer to.
    pub heap: &'a Heap,
}

impl Cell<'_> {
    /// The same cell with a shorter lifetime.
    #[inline]
    pub fn reborrow(&mut self) -> Cell<'_> {
        Cell { words: self.words, heap: self.heap }
    }

    /// The same cell, read-only.
    #[inline]
    pub fn peek(&self) -> CellRef<'_> {
        CellRef { words: self.words, heap: self.heap }
    }
}

/// Rows of `stride` words, and the heap of their big parts.
#[derive(Debug, Default)]
pub struct StateRows {
    stride: usize,
    rows: usize,
    words: AlignedWords,
    heap: Heap,
}

impl StateRows {
    /// Creates an empty set of rows.
    pub fn new(stride: usize) -> StateRows {
        StateRows { stride, ..StateRows::default() }
    }

    /// Appends a zeroed row, the empty state of every aggregate.
    ///
    /// # Panics
    ///
    /// When there are four billion rows.
    pub fn push(&mut self) -> u32 {
        let row = u32::try_from(self.rows).expect("fewer than 2^32 rows");
        self.rows += 1;
        self.words.extend_to(self.rows * self.stride);
        row
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// `words` words of a row from `offset` on, mutable.
    #[inline(always)]
    pub fn cell(&mut self, row: u32, offset: usize, words: usize) -> Cell<'_> {
        let start = row as usize * self.stride + offset;
        Cell { words: &mut self.words[start..start + words], heap: &mut self.heap }
    }

    /// `words` words of a row, from `offset` on.
    #[inline(always)]
    pub fn peek(&self, row: u32, offset: usize, words: usize) -> CellRef<'_> {
        let start = row as usize * self.stride + offset;
        CellRef { words: &self.words[start..start + words], heap: &self.heap }
    }

    /// Two words of a row from `offset` on.
    #[inline(always)]
    pub fn pair(&self, row: u32, offset: usize) -> &[u64; 2] {
        let behind = &self.words[row as usize * self.stride + offset..];
        behind.first_chunk().expect("two words inside the row")
    }

    /// Two words of a row from `offset` on, mutable.
    #[inline(always)]
    pub fn pair_mut(&mut self, row: u32, offset: usize) -> &mut [u64; 2] {
        let behind = &mut self.words[row as usize * self.stride + offset..];
        behind.first_chunk_mut().expect("two words inside the row")
    }

    /// Prefetches a row.
    #[inline(always)]
    pub fn prefetch(&self, row: u32) {
        let start = row as usize * self.stride;
        prefetch(&self.words, start);
        prefetch(&self.words, start + self.stride - 1);
    }

    /// The heap of all rows.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.words.bytes() + self.heap.bytes()
    }

    /// Removes all rows and heap parts and keeps the memory.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.words.clear();
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_start_empty_and_stand_apart() {
        let mut hot = StateRows::new(3);
        let (a, b) = (hot.push(), hot.push());
        hot.cell(a, 1, 2).words.fill(7);
        assert_eq!(hot.peek(a, 0, 3).words, [0, 7, 7]);
        assert_eq!(hot.peek(b, 0, 3).words, [0, 0, 0]);
        hot.clear();
        assert_eq!((hot.push(), hot.peek(0, 0, 3).words), (0, &[0, 0, 0][..]));
    }

    #[test]
    fn rows_without_words_are_counted() {
        let mut hot = StateRows::new(0);
        hot.push();
        assert_eq!((hot.push(), hot.len(), hot.peek(1, 0, 0).words.len()), (1, 2, 0));
    }
}
