//! Words of state, aligned to cache lines, and how vectors of state grow.
//!
//! Rows of four or of eight words then never straddle two lines, and rows that are asked for in no
//! order cost one read of memory each instead of two.

use std::ops::{Deref, DerefMut};

use crate::limits::ROOM_MIN;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Words that may be needed to reach the next line.
const PAD: usize = LINE / size_of::<u64>() - 1;

/// The room that state of `len` items gets: a vector that doubles is half empty, and state lives long.
fn roomy(len: usize) -> usize {
    len + len / 8 + ROOM_MIN
}

/// Makes room for `len` items of state.
#[inline]
pub fn grow<T>(all: &mut Vec<T>, len: usize) {
    if all.capacity() < len {
        all.reserve_exact(roomy(len) - all.len());
    }
}

/// A growable array of words.
#[derive(Debug, Default)]
pub struct AlignedWords {
    words: Vec<u64>,
    /// Where they begin: what stands before only fills the line.
    start: usize,
}

impl AlignedWords {
    /// No words, and room for so many.
    fn with_capacity(len: usize) -> AlignedWords {
        let mut words: Vec<u64> = Vec::with_capacity(len + PAD);
        let start = words.as_ptr().align_offset(LINE).min(PAD);
        words.resize(start, 0);
        AlignedWords { words, start }
    }

    /// Adds zeros until there are `len` words.
    #[inline]
    pub fn extend_to(&mut self, len: usize) {
        // when it grows does not depend on where memory happens to lie
        if len + PAD > self.words.capacity() {
            let mut more = AlignedWords::with_capacity(roomy(len));
            more.words.extend_from_slice(self);
            *self = more;
        }
        self.words.resize(self.start + len, 0);
    }

    /// Drops all words and keeps the memory.
    pub fn clear(&mut self) {
        self.words.truncate(self.start);
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

impl Deref for AlignedWords {
    type Target = [u64];

    #[inline(always)]
    fn deref(&self) -> &[u64] {
        &self.words[self.start..]
    }
}

impl DerefMut for AlignedWords {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_a_line_and_stay_through_growth() {
        let mut lines = AlignedWords::default();
        for len in 1..3000 {
            lines.extend_to(len);
            lines[len - 1] = len as u64;
            assert_eq!(lines.as_ptr() as usize % LINE, 0);
        }
        assert!(lines.iter().copied().eq(1..3000));
        assert!(lines.bytes() < 3000 * 8 * 9 / 8 + LINE);
        lines.clear();
        lines.extend_to(2);
        assert_eq!(*lines, [0, 0]);
    }
}
