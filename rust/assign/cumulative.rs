//! Cumulative windows: they start together and end one step apart, until the next cycle starts.

use super::{Calendar, Grid, GridPlace, Reach};
use crate::time::{Micros, floor_to};

/// What the windows of a cycle grow by.
#[derive(Debug, Clone)]
pub enum Growth {
    /// Elapsed time.
    Elapsed(Micros),
    /// Days of the calendar.
    Days(i64),
    /// Months: a calendar whose bounds are so many in each cycle.
    Months(Calendar, i64),
}

/// The cycles.
#[derive(Debug, Clone)]
enum Cycles {
    Fixed { size: Micros, offset: Micros },
    Calendar(Calendar),
}

/// Cumulative windows.
#[derive(Debug, Clone)]
pub struct CumulativeGrid {
    cycles: Cycles,
    step: Growth,
    /// The start of the first cycle.
    first: Micros,
}

/// One cycle.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    number: i64,
    start: Micros,
    end: Micros,
}

impl CumulativeGrid {
    /// Cycles of elapsed time.
    pub fn fixed(size: Micros, step: Micros, offset: Micros) -> CumulativeGrid {
        let first = floor_to(Micros::MIN.saturating_add(size), size, offset).unwrap_or(Micros::MIN);
        CumulativeGrid {
            cycles: Cycles::Fixed { size, offset },
            step: Growth::Elapsed(step),
            first,
        }
    }

    /// Cycles of a calendar.
    pub fn calendar(calendar: Calendar, step: Growth) -> CumulativeGrid {
        let (before, ..) = calendar.period(Micros::MIN);
        let first = calendar.reach(before + 1);
        CumulativeGrid { cycles: Cycles::Calendar(calendar), step, first }
    }

    fn cycle(&self, time: Micros) -> Option<Cycle> {
        match &self.cycles {
            Cycles::Fixed { size, offset } => {
                let start = floor_to(time, *size, *offset)?;
                Some(Cycle { number: 0, start, end: start.checked_add(*size)? })
            }
            Cycles::Calendar(calendar) => {
                let (number, ..) = calendar.period(time);
                let (start, end) = (calendar.at(number)?, calendar.at(number + 1)?);
                Some(Cycle { number, start, end })
            }
        }
    }

    /// The start of a step of a cycle; of those behind its last one, the end of the cycle.
    fn bound(&self, cycle: Cycle, step: i64) -> Micros {
        let at = match (&self.step, &self.cycles) {
            (Growth::Elapsed(size), _) => {
                step.checked_mul(*size).and_then(|far| cycle.start.checked_add(far))
            }
            (Growth::Days(days), Cycles::Calendar(calendar)) => {
                step.checked_mul(*days).and_then(|days| calendar.days_after(cycle.number, days))
            }
            (Growth::Months(months, per_cycle), _) => months.at(cycle.number * per_cycle + step),
            (Growth::Days(_), Cycles::Fixed { .. }) => None,
        };
        at.unwrap_or(cycle.end).clamp(cycle.start, cycle.end)
    }

    /// The step of a cycle that holds a time.
    fn step(&self, cycle: Cycle, time: Micros) -> (Micros, Micros) {
        // Bounds lie within a few hours of even distances, so the first guess is near.
        let even = match &self.step {
            Growth::Elapsed(size) => *size,
            Growth::Days(days) => days * 86_400_000_000,
            Growth::Months(months, _) => months.count * 28 * 86_400_000_000,
        };
        let mut step = (time - cycle.start) / even;
        while self.bound(cycle, step) > time {
            step -= 1;
        }
        while self.bound(cycle, step + 1) <= time {
            step += 1;
        }
        (self.bound(cycle, step), self.bound(cycle, step + 1))
    }

    fn reach(&self, time: Micros) -> Option<Reach> {
        let cycle = self.cycle(time)?;
        let (start, end) = self.step(cycle, time);
        Some(Reach { start, end, first_end: end, last_end: cycle.end })
    }
}

impl Grid for CumulativeGrid {
    fn place(&self, time: Micros) -> GridPlace {
        self.reach(time).map_or(GridPlace::OutOfRange, GridPlace::Pane)
    }

    fn start_of(&self, end: Micros) -> Micros {
        self.cycle(end.saturating_sub(1)).map_or(Micros::MIN, |cycle| cycle.start)
    }

    fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        // Each step ends a window.
        Some(self.reach(time.saturating_sub(1).max(self.first))?.end)
    }

    fn end_at_or_before(&self, time: Micros) -> Option<Micros> {
        let start = self.reach(time)?.start;
        (start != self.first).then_some(start)
    }
}
