//! Windows of the calendar: each holds so many periods, one starts every so many.

use super::{Calendar, Grid, GridPlace, Reach};
use crate::time::{Micros, gcd};

/// Windows between the bounds of a calendar.
///
/// Where clocks skip a whole day, two bounds are one instant. A window without length is none, and
/// of two windows that end together only the one that starts first is one.
#[derive(Debug, Clone)]
pub struct CalendarGrid {
    /// The panes.
    calendar: Calendar,
    /// How many panes a window has.
    size: i64,
    /// How many panes lie between the starts of two windows.
    every: i64,
}

impl CalendarGrid {
    /// Windows of `size` units, one starting every `every` units.
    pub fn new(calendar: &Calendar, size: i64, every: i64) -> CalendarGrid {
        let pane = gcd(size, every);
        CalendarGrid { calendar: calendar.each(pane), size: size / pane, every: every / pane }
    }

    /// Start and end of a window, which may lie beyond the calendar.
    fn window(&self, number: i64) -> (Micros, Micros) {
        let first = number * self.every;
        (self.calendar.reach(first), self.calendar.reach(first + self.size))
    }

    fn end(&self, number: i64) -> Micros {
        self.calendar.reach(number * self.every + self.size)
    }

    fn is_window(&self, number: i64) -> bool {
        let (start, end) = self.window(number);
        start != Micros::MIN && start < end && self.end(number - 1) < end
    }

    /// The number of the last window that has ended at a time.
    fn ended(&self, time: Micros) -> i64 {
        (self.calendar.period(time).0 - self.size).div_euclid(self.every)
    }

    fn reach(&self, time: Micros) -> Option<GridPlace> {
        let (pane, start, end) = self.calendar.period(time);
        let first = (pane - self.size).div_euclid(self.every) + 1;
        let last = pane.div_euclid(self.every);
        if first > last {
            return Some(GridPlace::Gap);
        }
        let at = |index| self.calendar.at(index);
        at(first * self.every)?;
        let last_end = at(last * self.every + self.size)?;
        let first_end = match first == last {
            true => last_end,
            false => at(first * self.every + self.size)?,
        };
        Some(GridPlace::Pane(Reach { start, end, first_end, last_end }))
    }
}

impl Grid for CalendarGrid {
    fn place(&self, time: Micros) -> GridPlace {
        self.reach(time).unwrap_or(GridPlace::OutOfRange)
    }

    fn start_of(&self, end: Micros) -> Micros {
        let mut number = self.ended(end);
        while self.end(number - 1) == end {
            number -= 1;
        }
        self.window(number).0
    }

    fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        let mut number = self.ended(time);
        while self.end(number - 1) >= time {
            number -= 1;
        }
        loop {
            match self.end(number) {
                Micros::MAX => return None,
                end if end >= time && self.is_window(number) => return Some(end),
                _ => number += 1,
            }
        }
    }

    fn end_at_or_before(&self, time: Micros) -> Option<Micros> {
        let mut number = self.ended(time);
        loop {
            match self.end(number) {
                Micros::MIN => return None,
                end if end != Micros::MAX && self.is_window(number) => return Some(end),
                _ => number -= 1,
            }
        }
    }
}
