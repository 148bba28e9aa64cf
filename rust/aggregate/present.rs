//! Presence: which rows of a column have a value.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Which rows are present. No bits are stored until the first absent row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Present {
    len: usize,
    bits: Option<Vec<u64>>,
}

impl Present {
    /// `len` rows, all present.
    pub fn full(len: usize) -> Present {
        Present { len, bits: None }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether every row is present.
    pub fn is_full(&self) -> bool {
        self.bits.is_none()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| bits.capacity() * 8)
    }

    /// Whether row `i` is present.
    #[inline]
    pub fn get(&self, i: usize) -> bool {
        match &self.bits {
            Some(bits) => bits[i / 64] >> (i % 64) & 1 == 1,
            None => true,
        }
    }

    /// Appends a row.
    pub fn push(&mut self, present: bool) {
        let i = self.len;
        if !present && self.bits.is_none() {
            let mut bits = vec![u64::MAX; i.div_ceil(64)];
            if let (Some(last), rest @ 1..) = (bits.last_mut(), i % 64) {
                *last = (1 << rest) - 1;
            }
            self.bits = Some(bits);
        }
        if let Some(bits) = &mut self.bits {
            if i.is_multiple_of(64) {
                bits.push(0);
            }
            bits[i / 64] |= u64::from(present) << (i % 64);
        }
        self.len += 1;
    }

    /// Removes the last row.
    pub fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
        if let Some(bits) = &mut self.bits {
            bits.truncate(self.len.div_ceil(64));
            if let (Some(last), rest @ 1..) = (bits.last_mut(), self.len % 64) {
                *last &= (1 << rest) - 1;
            }
        }
    }

    /// The bits as an Arrow null buffer; `None` if every row is present.
    pub fn nulls(&self) -> Option<NullBuffer> {
        self.bits.as_ref().map(|bits| {
            let buffer = BooleanBuffer::new(Buffer::from_slice_ref(bits), 0, self.len);
            NullBuffer::new(buffer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_begin_with_the_first_absent_row() {
        for before in [0, 1, 63, 64, 65, 128] {
            let mut present = Present::full(before);
            present.push(true);
            assert!(present.is_full() && present.nulls().is_none());
            present.push(false);
            present.push(true);
            let seen: Vec<bool> = (0..present.len()).map(|i| present.get(i)).collect();
            let expected: Vec<bool> = (0..before + 3).map(|i| i != before + 1).collect();
            assert_eq!(seen, expected);
            assert_eq!(present.nulls().unwrap().null_count(), 1);
            present.pop();
            present.pop();
            present.push(true);
            assert_eq!(present.len(), before + 2);
            assert_eq!(present.nulls().map_or(0, |nulls| nulls.null_count()), 0);
        }
    }
}
