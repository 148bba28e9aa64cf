//! Per-event windows: arithmetic from a time to the window that looks back from it.

use crate::plan::Closed;
use crate::time::{Micros, shift};

/// A window relative to a time: `(moment - back, moment - front]`.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Distance to the exclusive lower end.
    pub back: Micros,
    /// Distance to the inclusive upper end.
    pub front: Micros,
}

impl Span {
    /// A window of this size.
    pub fn new(size: Micros, closed: Closed) -> Span {
        match closed {
            Closed::Right => Span { back: size, front: 0 },
            Closed::Left => Span { back: size.saturating_add(1), front: 1 },
            Closed::Both => Span { back: size.saturating_add(1), front: 0 },
            Closed::None => Span { back: size, front: 1 },
        }
    }

    /// The same window, ending so much earlier.
    pub fn ago(self, ago: Micros) -> Span {
        Span { back: self.back.saturating_add(ago), front: self.front.saturating_add(ago) }
    }

    /// The latest time before the window.
    pub fn lower(self, moment: Micros) -> Micros {
        moment.saturating_sub(self.back)
    }

    /// The earliest time whose window contains no time before `from`.
    pub fn full_from(self, from: Micros) -> Micros {
        shift(from, self.back - 1)
    }

    /// The latest time in the window.
    pub fn upper(self, moment: Micros) -> Micros {
        moment.saturating_sub(self.front)
    }
}

/// As of which time a row of a per-event window is answered.
#[derive(Debug, Clone, Copy)]
pub struct AnswerTime {
    /// How far a row may be behind the bound that applies to it.
    pub lateness: Micros,
}

impl AnswerTime {
    /// The time of the answer: the row's own, unless it is late.
    pub fn at(self, time: Micros, bound: Micros) -> Micros {
        time.max(shift(bound, -self.lateness))
    }

    /// By how much a row is late; `None` if it is not.
    pub fn late_by(self, time: Micros, bound: Micros) -> Option<Micros> {
        let floor = shift(bound, -self.lateness);
        (time < floor).then(|| floor.saturating_sub(time))
    }
}
