//! Windows at fixed places in time, the same for all keys.
//!
//! A grid knows its windows by their ends: no two windows have the same end, and a window that ends
//! later does not start earlier. Windows may differ in length, overlap, leave gaps, and have the
//! same start. Every window is a whole number of panes, so rows are added to panes and windows are
//! computed from panes (Li et al., "No pane, no gain", SIGMOD Record 2005).

use std::fmt::Debug;

use crate::time::{FOREVER, Micros, NEVER};
use crate::watermark::is_late;

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridPlace {
    /// Between windows.
    Gap,
    /// One of its windows is outside the range of representable times.
    OutOfRange,
    /// In this pane.
    Pane(Reach),
}

/// A pane, and the windows that contain it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Start of the pane.
    pub start: Micros,
    /// End of the pane, exclusive.
    pub end: Micros,
    /// End of the first window that contains it.
    pub first_end: Micros,
    /// End of the last window that contains it.
    pub last_end: Micros,
}

impl Reach {
    /// Whether a time is in the pane, and so in the same windows.
    #[inline]
    pub fn contains(&self, time: Micros) -> bool {
        self.start <= time && time < self.end
    }
}

/// The windows of a verb. Only implementations of this trait compute where windows start and end.
pub trait Grid: Debug + Send + Sync {
    /// Where a row of this time belongs.
    fn place(&self, time: Micros) -> GridPlace;

    /// Start of the window that ends at `end`.
    fn start_of(&self, end: Micros) -> Micros;

    /// End of the first window with `end >= time`, if it is representable.
    fn end_at_or_after(&self, time: Micros) -> Option<Micros>;

    /// End of the last window with `end <= time`, if it is representable.
    fn end_at_or_before(&self, time: Micros) -> Option<Micros>;

    /// End of the window after the one that ends at `end`.
    fn next_end(&self, end: Micros) -> Option<Micros> {
        self.end_at_or_after(end.checked_add(1)?)
    }

    /// End of the window before the one that ends at `end`.
    fn previous_end(&self, end: Micros) -> Option<Micros> {
        self.end_at_or_before(end.checked_sub(1)?)
    }

    /// The ends from `first` to `last`.
    fn ends(&self, first: Micros, last: Micros) -> impl Iterator<Item = Micros> {
        let next = move |end: &Micros| self.next_end(*end);
        std::iter::successors(Some(first), next).take_while(move |&end| end <= last)
    }

    /// How many windows end from `first` to `last`, which are both ends.
    fn count(&self, first: Micros, last: Micros) -> i64 {
        self.ends(first, last).count() as i64
    }

    /// End of the first window that contains the time; `None` if none does.
    fn first_end(&self, time: Micros) -> Option<Micros> {
        match self.place(time) {
            GridPlace::Pane(reach) => Some(reach.first_end),
            GridPlace::Gap | GridPlace::OutOfRange => None,
        }
    }

    /// End of the first window that contains the pane and still accepts a row with this bound;
    /// `None` if all have closed.
    fn accepting(&self, reach: &Reach, bound: Micros, lateness: Micros) -> Option<Micros> {
        if !is_late(bound, reach.first_end, lateness) {
            return Some(reach.first_end);
        }
        if is_late(bound, reach.last_end, lateness) {
            return None;
        }
        self.end_at_or_after(bound.saturating_sub(lateness).saturating_add(1))
    }

    /// The greatest end of windows that start before `from`: a window that ends later starts later.
    fn full_from(&self, from: Micros) -> Micros {
        if from == NEVER || from == FOREVER {
            return from;
        }
        let Some(mut last) = self.end_at_or_before(from) else { return from };
        while let Some(next) = self.next_end(last).filter(|&next| self.start_of(next) < from) {
            last = next;
        }
        last
    }

    /// The least time such that a window that starts there or later, and the window before it, both
    /// start at or after `from`.
    fn second_start(&self, from: Micros) -> Micros {
        match from {
            NEVER | FOREVER => from,
            _ => match self.next_end(self.full_from(from)) {
                Some(first) => self.start_of(first).saturating_add(1),
                None => from,
            },
        }
    }
}

#[cfg(test)]
mod tests;
