//! Words aligned to cache lines, and the growth policy of vectors that hold state.
//!
//! Rows of four or eight words then never straddle two lines, so rows accessed in random order cost
//! one memory read each instead of two.

use std::ops::{Deref, DerefMut};

use crate::limits::ROOM_MIN;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The most words of padding needed to reach the start of a line.
const PAD: usize = LINE / size_of::<u64>() - 1;

/// The capacity for `len` items. State lives long, and a vector that doubles is half empty on
/// average, so grow by an eighth.
fn roomy(len: usize) -> usize {
    len + len / 8 + ROOM_MIN
}

/// Reserves space for `len` items.
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
    /// Index of the first word; the words before it are padding.
    start: usize,
}

impl AlignedWords {
    /// An empty array with capacity for this many words.
    fn with_capacity(len: usize) -> AlignedWords {
        let mut words: Vec<u64> = Vec::with_capacity(len + PAD);
        let start = words.as_ptr().align_offset(LINE).min(PAD);
        words.resize(start, 0);
        AlignedWords { words, start }
    }

    /// Appends zeros until there are `len` words.
    #[inline]
    pub fn extend_to(&mut self, len: usize) {
        // Growth must not depend on where the memory happens to be.
        if len + PAD > self.words.capacity() {
            let mut more = AlignedWords::with_capacity(roomy(len));
            more.words.extend_from_slice(self);
            *self = more;
        }
        self.words.resize(self.start + len, 0);
    }

    /// Removes all words and keeps the memory.
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
