//! Deduplicate: of rows of a key that lie close together, the first to arrive.
//!
//! A row is dropped if a row of its key that came out lies at most `within` before or after it in
//! event time. So no two rows of a key that come out are that close, and a row that was dropped drops
//! no other. A row is late if a row that could drop it may be forgotten.

use super::keyed_rows::{JudgedRow, KeyedRows, Memory, Verdict};
use crate::plan;
use crate::state::Remembered;
use crate::time::{Micros, NEVER};

/// The verb `deduplicate`.
#[derive(Debug)]
pub struct Duplicates {
    within: Micros,
}

impl Duplicates {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: &plan::Deduplicate) -> Duplicates {
        Duplicates { within: plan.within }
    }
}

impl KeyedRows for Duplicates {
    fn lateness(&self) -> Micros {
        self.within
    }

    fn passes_late(&self) -> bool {
        false
    }

    fn memory(&self) -> Memory {
        Memory { reach: self.within.saturating_mul(2), newest: false }
    }

    fn judge(&self, rows: &Remembered, row: &JudgedRow) -> Verdict {
        let mut near = rows.within(row.time, self.within).peekable();
        let unseen = row.seen_from != NEVER && row.time.saturating_sub(self.within) < row.seen_from;
        let unknown = unseen || near.peek().is_some();
        if near.any(|row| !row.unknown) {
            return Verdict::DROP;
        }
        // A row of which it is not known whether it came out may still drop others.
        Verdict { passes: !unknown, remember: true, shown: None, unknown }
    }

    fn drops_unknown(&self) -> bool {
        true
    }
}
