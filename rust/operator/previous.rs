//! Previous: columns of the key's row before, or of its newest row that is at least so much older.
//!
//! Rows are ordered by event time, then arrival. A row is answered on arrival; a row that comes
//! later but lies between changes no answer that was given. Of the rows up to the watermark only the
//! newest is certain to be in memory, so a late row is told the row before it if that is the one,
//! and null otherwise.

use super::keyed_rows::{JudgedRow, KeyedRows, Memory, Verdict};
use crate::plan;
use crate::state::Remembered;
use crate::time::{Micros, NEVER, shift};

/// The verb `previous`.
#[derive(Debug)]
pub struct RowBefore {
    ago: Micros,
}

impl RowBefore {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: &plan::Previous) -> RowBefore {
        RowBefore { ago: plan.ago.unwrap_or(0) }
    }
}

impl KeyedRows for RowBefore {
    fn lateness(&self) -> Micros {
        0
    }

    fn passes_late(&self) -> bool {
        true
    }

    fn memory(&self) -> Memory {
        Memory { reach: self.ago, newest: true }
    }

    fn judge(&self, rows: &Remembered, row: &JudgedRow) -> Verdict {
        let until = row.time.saturating_sub(self.ago);
        let certain = if row.late { shift(row.limit, -self.ago) } else { until };
        let found = rows.newest_until(certain.max(until));
        let known = match found {
            Some(found) => found.time >= row.seen_from,
            None => row.seen_from == NEVER,
        };
        let shown = found.filter(|found| known && found.time <= until);
        Verdict {
            remember: true,
            shown: shown.map(|row| row.number),
            unknown: !known,
            ..Verdict::PASS
        }
    }

    fn drops_unknown(&self) -> bool {
        false
    }
}
