//! Rows whose value could not be computed, with the reason.

use arrow_buffer::BooleanBuffer;

/// Rows without a value, by what failed first in each.
#[derive(Debug, Clone, Default)]
pub struct Lost {
    overflow: Option<BooleanBuffer>,
    cast: Option<BooleanBuffer>,
}

impl Lost {
    /// Rows in which a computed value leaves the range of its type.
    pub fn overflow(rows: Option<BooleanBuffer>) -> Lost {
        Lost { overflow: rows.filter(BooleanBuffer::has_true), cast: None }
    }

    /// Rows in which a cast found a value that its type cannot hold.
    pub fn cast(rows: Option<BooleanBuffer>) -> Lost {
        Lost { overflow: None, cast: rows.filter(BooleanBuffer::has_true) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.overflow.is_none() && self.cast.is_none()
    }

    /// All of them.
    pub fn rows(&self) -> Option<BooleanBuffer> {
        either(self.overflow.clone(), self.cast.clone())
    }

    /// Whether it was a cast that failed in a row of them.
    pub fn is_cast(&self, row: usize) -> bool {
        self.cast.as_ref().is_some_and(|rows| rows.value(row))
    }

    /// With what failed after that, in rows that were not lost yet.
    pub fn then(self, next: Lost) -> Lost {
        if self.is_empty() {
            return next;
        }
        let Some(known) = self.rows() else { return self };
        let next = next.within(&!&known);
        Lost { overflow: either(self.overflow, next.overflow), cast: either(self.cast, next.cast) }
    }

    /// Those that are in a mask.
    pub fn within(&self, mask: &BooleanBuffer) -> Lost {
        let masked = |rows: &Option<BooleanBuffer>| {
            rows.as_ref().map(|rows| rows & mask).filter(BooleanBuffer::has_true)
        };
        Lost { overflow: masked(&self.overflow), cast: masked(&self.cast) }
    }
}

/// Rows set in either; `None` is not a row.
pub(super) fn either(a: Option<BooleanBuffer>, b: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a | &b),
        (some, None) | (None, some) => some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_first_is_the_reason() {
        let bits = |bits: [bool; 4]| Some(BooleanBuffer::from(bits.to_vec()));
        let first = Lost::overflow(bits([true, false, false, false]));
        let both = first.then(Lost::cast(bits([true, true, false, false])));
        assert_eq!(both.rows(), bits([true, true, false, false]));
        assert_eq!((both.is_cast(0), both.is_cast(1)), (false, true));
        assert!(both.within(&BooleanBuffer::new_unset(4)).is_empty());
        assert!(Lost::cast(bits([false; 4])).is_empty());
    }
}
