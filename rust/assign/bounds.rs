//! What an operator that has not seen all rows knows of its windows.

use super::{Gaps, Grid};
use crate::time::{FOREVER, Micros, NEVER, shift};

/// Where the windows of a verb lie around a point in time.
pub trait Bounds {
    /// The first window start that is unaffected by rows before `from`.
    fn start_from(&self, from: Micros) -> Micros;

    /// The event time from which all fired rows are of windows unaffected by rows before `from`.
    fn full_from(&self, from: Micros) -> Micros;

    /// Like [`Bounds::start_from`], but for a window and the one before it.
    fn second_start(&self, from: Micros) -> Micros {
        self.start_from(from)
    }

    /// The end of the last window that has ended at `time`.
    fn ended_by(&self, time: Micros) -> Micros {
        time
    }
}

impl<G: Grid> Bounds for G {
    fn start_from(&self, from: Micros) -> Micros {
        from
    }

    fn full_from(&self, from: Micros) -> Micros {
        Grid::full_from(self, from)
    }

    fn second_start(&self, from: Micros) -> Micros {
        Grid::second_start(self, from)
    }

    fn ended_by(&self, time: Micros) -> Micros {
        match time {
            NEVER | FOREVER => time,
            _ => self.end_at_or_before(time).unwrap_or(time),
        }
    }
}

/// Windows of one length, each of which starts with a row.
#[derive(Debug, Clone, Copy)]
pub struct FromRow {
    /// Their length.
    pub size: Micros,
    /// Whether a window repeats until the key's next row. A key that sends none then has windows
    /// for ever, also if all its rows came before the operator started.
    pub repeats: bool,
}

impl Bounds for FromRow {
    fn start_from(&self, from: Micros) -> Micros {
        from
    }

    fn full_from(&self, from: Micros) -> Micros {
        if self.repeats && from != NEVER { FOREVER } else { shift(from, self.size - 1) }
    }
}

impl Bounds for Gaps {
    fn start_from(&self, from: Micros) -> Micros {
        shift(from, self.reach)
    }

    fn full_from(&self, from: Micros) -> Micros {
        // A session of one row that starts before `start_from` ends before this time.
        FromRow { size: self.gap, repeats: false }.full_from(self.start_from(from))
    }
}
