//! Tumbling and hopping windows: arithmetic from times to panes and windows.
//!
//! Windows `[start, start + size)` start at each multiple of `every`, shifted by `offset`. A pane's
//! width is the greatest common divisor of both, so a window is a whole number of panes (Li et al.,
//! "No pane, no gain", SIGMOD Record 2005).

use crate::time::{FOREVER, Micros, NEVER, floor_to, gcd};
use crate::watermark::is_late;

/// Sizes of the windows of one verb.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// Length.
    pub size: Micros,
    /// Distance between window starts.
    pub every: Micros,
    /// Shift of all starts.
    pub offset: Micros,
    /// Width of a pane.
    pub pane: Micros,
}

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
    /// End of the first window that contains it.
    pub first_end: Micros,
    /// End of the last window that contains it.
    pub last_end: Micros,
}

impl Grid {
    /// Windows of these sizes, all positive.
    pub fn new(size: Micros, every: Micros, offset: Micros) -> Grid {
        Grid { size, every, offset, pane: gcd(size, every) }
    }

    /// Where a row of this time belongs.
    pub fn place(&self, time: Micros) -> GridPlace {
        self.reach(time).unwrap_or(GridPlace::OutOfRange)
    }

    /// Whether a time is in a known pane, and so in the same windows.
    pub fn shares(&self, reach: &Reach, time: Micros) -> bool {
        reach.start <= time && time.wrapping_sub(reach.start) < self.pane
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
        Some(GridPlace::Pane(Reach { start, first_end, last_end }))
    }

    /// End of the first window that contains the pane and still accepts a row with this bound;
    /// `None` if all have closed.
    pub fn accepting(&self, reach: &Reach, bound: Micros, lateness: Micros) -> Option<Micros> {
        if !is_late(bound, reach.first_end, lateness) {
            return Some(reach.first_end);
        }
        if is_late(bound, reach.last_end, lateness) {
            return None;
        }
        let behind = bound.saturating_sub(lateness) - reach.first_end;
        Some(reach.first_end + (behind / self.every + 1) * self.every)
    }

    /// The greatest end at or before `time`.
    pub fn last_end(&self, time: Micros) -> Micros {
        match time {
            NEVER | FOREVER => time,
            _ => floor_to(time, self.every, self.phase()).unwrap_or(time),
        }
    }

    /// The remainder of window ends modulo `every`.
    fn phase(&self) -> Micros {
        let (offset, size) = (self.offset.rem_euclid(self.every), self.size.rem_euclid(self.every));
        // Both are below `every`, but their sum may overflow.
        if offset >= self.every - size { offset - (self.every - size) } else { offset + size }
    }

    /// The greatest end of windows that start before `from`: a window that ends later starts later.
    pub fn full_from(&self, from: Micros) -> Micros {
        let last_start = from.checked_sub(1).and_then(|at| floor_to(at, self.every, self.offset));
        match from {
            NEVER | FOREVER => from,
            _ => last_start.map_or(from, |start| start.saturating_add(self.size)),
        }
    }

    /// The ends from `first` to `last`.
    pub fn ends(&self, first: Micros, last: Micros) -> impl Iterator<Item = Micros> + use<> {
        let every = self.every;
        (0..=(last - first) / every).map(move |k| first + k * every)
    }

    /// The end of the first window with `end >= time`, if it is representable.
    pub fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        let phase = self.phase();
        match floor_to(time, self.every, phase) {
            Some(below) if below == time => Some(below),
            Some(below) => below.checked_add(self.every),
            // The previous end is before the range of representable times.
            None => floor_to(time.checked_add(self.every)?, self.every, phase),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_is_in_exactly_the_windows_that_hold_its_time(
            time in -300i64..300, size in 1i64..40, every in 1i64..40, offset in -50i64..50,
            bound in -300i64..300, lateness in 0i64..20,
        ) {
            let windows = Grid::new(size, every, offset);
            let ends: Vec<i64> = (-400..400)
                .filter(|end| (end - size - offset).rem_euclid(every) == 0)
                .filter(|end| end - size <= time && time < *end)
                .collect();
            match windows.place(time) {
                GridPlace::Gap => prop_assert!(ends.is_empty()),
                GridPlace::OutOfRange => prop_assert!(false),
                GridPlace::Pane(reach) => {
                    let all: Vec<i64> = windows.ends(reach.first_end, reach.last_end).collect();
                    prop_assert_eq!(&all, &ends);
                    prop_assert!(reach.start <= time && time < reach.start + windows.pane);
                    for other in -300i64..300 {
                        let same = windows.place(other) == GridPlace::Pane(reach);
                        prop_assert_eq!(windows.shares(&reach, other), same);
                    }
                    let open = ends.iter().copied().find(|end| bound < end + lateness);
                    prop_assert_eq!(windows.accepting(&reach, bound, lateness), open);
                    let next = (-400..).find(|e| {
                        (e - size - offset).rem_euclid(every) == 0 && *e >= time
                    });
                    prop_assert_eq!(windows.end_at_or_after(time), next);
                    let before = |last: &i64| (last - size - offset).rem_euclid(every) == 0;
                    prop_assert_eq!(Some(windows.last_end(time)), (-400..=time).rev().find(before));
                    let starts = |from: i64| move |end: &i64| before(end) && end - size < from;
                    let full = (-400..700).rev().find(starts(time));
                    prop_assert_eq!(Some(windows.full_from(time)), full);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_out_of_range() {
        let windows = Grid::new(60, 60, 0);
        assert_eq!(windows.place(i64::MAX), GridPlace::OutOfRange);
        assert_eq!(windows.place(i64::MIN), GridPlace::OutOfRange);
        assert!(matches!(windows.place(i64::MAX - 120), GridPlace::Pane(_)));
        let apart = Grid::new(5, 60, 0);
        for end in [NEVER, FOREVER] {
            assert_eq!((apart.last_end(end), apart.full_from(end)), (end, end));
        }
    }
}
