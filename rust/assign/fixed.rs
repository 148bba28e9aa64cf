//! Tumbling and hopping windows: `[start, start + size)` for each multiple of `every`, shifted by
//! `offset`. A pane's width is the greatest common divisor of size and every.

use super::{Grid, GridPlace, Reach};
use crate::time::{Micros, floor_to, gcd};

/// Windows of one length at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct FixedGrid {
    /// Length.
    size: Micros,
    /// Distance between window starts.
    every: Micros,
    /// Shift of all starts.
    offset: Micros,
    /// Width of a pane.
    pane: Micros,
    /// The remainder of window ends modulo `every`.
    phase: Micros,
}

impl FixedGrid {
    /// Windows of these sizes, all positive. Without `every` each window starts where the one before
    /// it ends.
    pub fn new(size: Micros, every: Option<Micros>, offset: Micros) -> FixedGrid {
        let every = every.unwrap_or(size);
        let (start, length) = (offset.rem_euclid(every), size.rem_euclid(every));
        // Both are below `every`, but their sum may overflow.
        let phase = if start >= every - length { start - (every - length) } else { start + length };
        FixedGrid { size, every, offset, pane: gcd(size, every), phase }
    }

    /// Whether some times are in no window.
    pub fn has_gaps(&self) -> bool {
        self.every > self.size
    }

    /// The least number of windows that a row is in.
    pub fn windows_per_row(&self) -> i64 {
        self.size / self.every
    }

    fn reach(&self, time: Micros) -> Option<GridPlace> {
        let last_start = floor_to(time, self.every, self.offset)?;
        let last_end = last_start.checked_add(self.size)?;
        if last_end <= time {
            return Some(GridPlace::Gap);
        }
        let first_end = last_end - (last_end - 1 - time) / self.every * self.every;
        first_end.checked_sub(self.size)?;
        let start = floor_to(time, self.pane, self.offset)?;
        Some(GridPlace::Pane(Reach { start, end: start + self.pane, first_end, last_end }))
    }
}

impl Grid for FixedGrid {
    fn place(&self, time: Micros) -> GridPlace {
        self.reach(time).unwrap_or(GridPlace::OutOfRange)
    }

    fn start_of(&self, end: Micros) -> Micros {
        end.saturating_sub(self.size)
    }

    fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        match floor_to(time, self.every, self.phase) {
            Some(below) if below == time => Some(below),
            Some(below) => below.checked_add(self.every),
            // The previous end is before the range of representable times.
            None => floor_to(time.checked_add(self.every)?, self.every, self.phase),
        }
    }

    fn end_at_or_before(&self, time: Micros) -> Option<Micros> {
        floor_to(time, self.every, self.phase)
    }

    fn next_end(&self, end: Micros) -> Option<Micros> {
        end.checked_add(self.every)
    }

    fn previous_end(&self, end: Micros) -> Option<Micros> {
        end.checked_sub(self.every)
    }

    fn count(&self, first: Micros, last: Micros) -> i64 {
        (last - first) / self.every + 1
    }
}
