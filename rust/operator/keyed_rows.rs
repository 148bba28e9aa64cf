//! Keyed rows: what a verb is that decides about each row from rows of its key that came before.
//!
//! Such a verb is one file with an impl of [`KeyedRows`]: which rows a key remembers and for how
//! long, and what follows from them for the next row. [`super::keyed_operator`] does the rest.
//!
//! Whether a row is late, and which rows a verdict may depend on, follows from times alone: a row is
//! judged up to `lateness` behind the watermark, and what such a row can reach is in memory.

use std::fmt::Debug;

use crate::state::{Next, Remembered};
use crate::time::{Micros, shift};

/// A row on its way to a verdict.
#[derive(Debug, Clone, Copy)]
pub struct JudgedRow {
    /// Event time.
    pub time: Micros,
    /// The watermark that decides whether it is late.
    pub limit: Micros,
    /// Whether it is late.
    pub late: bool,
    /// Rows before this event time may be missing among those remembered; [`NEVER`]: none are.
    pub seen_from: Micros,
}

/// What a verb decides about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the row comes out.
    pub passes: bool,
    /// Whether its key remembers it.
    pub remember: bool,
    /// The number of the remembered row whose columns are added.
    pub shown: Option<u64>,
    /// Whether rows that the operator has not seen could change the verdict.
    pub unknown: bool,
}

impl Verdict {
    /// A row that passes without anything added.
    pub const PASS: Verdict =
        Verdict { passes: true, remember: false, shown: None, unknown: false };

    /// A row that is dropped.
    pub const DROP: Verdict =
        Verdict { passes: false, remember: false, shown: None, unknown: false };
}

/// Which rows a key may forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// How far behind the clock a row is remembered.
    pub reach: Micros,
    /// Whether the newest of the rows behind that is remembered, too.
    pub newest: bool,
}

impl Memory {
    /// Drops what is no longer needed at this clock.
    pub fn forget(&self, rows: &mut Remembered, clock: Micros, mut gone: impl FnMut(u64)) {
        let floor = shift(clock, -self.reach);
        let oldest = |rows: &Remembered| match self.newest {
            true => rows.second_time().filter(|&time| time <= floor),
            false => rows.first_time().filter(|&time| time < floor),
        };
        while oldest(rows).is_some() {
            rows.pop_first().iter().for_each(|row| gone(row.number));
        }
    }

    /// What to do with a key that holds these rows.
    pub fn next(&self, rows: &Remembered) -> Next {
        let first = if self.newest { rows.second_time() } else { rows.first_time() };
        match first {
            Some(time) => Next::At(time.saturating_add(self.reach).saturating_add(1)),
            None if rows.is_empty() => Next::Forget,
            None => Next::Keep,
        }
    }
}

/// A verb that decides about each row from those its key remembers.
pub trait KeyedRows: Send + Sync + Debug {
    /// How far behind the watermark a row is still judged. An older row is late.
    fn lateness(&self) -> Micros;

    /// Whether late rows are judged and pass, with a flag; otherwise they only are recorded.
    fn passes_late(&self) -> bool;

    /// Which rows a key remembers. `reach` is at least what a row that is not late can look back.
    fn memory(&self) -> Memory;

    /// Decides about a row, given those that its key remembers. Must not depend on rows further
    /// back than [`KeyedRows::memory`] says.
    fn judge(&self, rows: &Remembered, row: &JudgedRow) -> Verdict;

    /// Whether a row without a verdict is missing in the output; otherwise it has null columns.
    fn drops_unknown(&self) -> bool;
}
