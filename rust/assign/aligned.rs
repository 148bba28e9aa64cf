//! The windows of `tumbling`, `hopping` and `cumulative`, as a plan describes them.

use super::{Bounds, Calendar, CalendarGrid, CumulativeGrid, FixedGrid, Grid, GridPlace};
use super::{Growth, Reach, Unit, Zone};
use crate::plan::{self, Length};
use crate::time::{Micros, shift};

/// Which windows start and end where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridKind {
    /// Windows of one length.
    Even,
    /// Windows that start together and grow.
    Cumulative,
}

/// The windows of one time zone.
#[derive(Debug, Clone)]
pub enum AlignedGrid {
    /// Of elapsed time.
    Fixed(FixedGrid),
    /// Of the calendar.
    Calendar(CalendarGrid),
    /// That grow.
    Cumulative(CumulativeGrid),
}

impl AlignedGrid {
    /// The windows of a checked plan. Its lengths are all elapsed time, or all of the calendar; only
    /// the step of cumulative windows may be another.
    pub fn new(plan: &plan::Aligned, kind: GridKind, zone: &Zone) -> AlignedGrid {
        let every = plan.every.unwrap_or(plan.size);
        let (unit, size) = match plan.size {
            Length::Elapsed(size) => {
                let step = every.elapsed().unwrap_or(size);
                return match kind {
                    GridKind::Even => {
                        AlignedGrid::Fixed(FixedGrid::new(size, Some(step), plan.offset))
                    }
                    GridKind::Cumulative => {
                        AlignedGrid::Cumulative(CumulativeGrid::fixed(size, step, plan.offset))
                    }
                };
            }
            Length::Days { days } => (Unit::Day, days),
            Length::Months { months } => (Unit::Month, months),
        };
        let (months, offset, zone) = (plan.offset_months, plan.offset, zone.clone());
        let calendar = Calendar { unit, count: size, months, offset, zone };
        match (kind, every) {
            (GridKind::Even, every) => {
                AlignedGrid::Calendar(CalendarGrid::new(&calendar, size, every.units()))
            }
            (GridKind::Cumulative, Length::Elapsed(step)) => {
                AlignedGrid::Cumulative(CumulativeGrid::calendar(calendar, Growth::Elapsed(step)))
            }
            (GridKind::Cumulative, Length::Days { days }) => {
                AlignedGrid::Cumulative(CumulativeGrid::calendar(calendar, Growth::Days(days)))
            }
            (GridKind::Cumulative, Length::Months { months }) => {
                let step = Growth::Months(calendar.each(months), size / months);
                AlignedGrid::Cumulative(CumulativeGrid::calendar(calendar, step))
            }
        }
    }
}

impl Grid for AlignedGrid {
    fn place(&self, time: Micros) -> GridPlace {
        match self {
            AlignedGrid::Fixed(grid) => grid.place(time),
            AlignedGrid::Calendar(grid) => grid.place(time),
            AlignedGrid::Cumulative(grid) => grid.place(time),
        }
    }

    fn start_of(&self, end: Micros) -> Micros {
        match self {
            AlignedGrid::Fixed(grid) => grid.start_of(end),
            AlignedGrid::Calendar(grid) => grid.start_of(end),
            AlignedGrid::Cumulative(grid) => grid.start_of(end),
        }
    }

    fn end_at_or_after(&self, time: Micros) -> Option<Micros> {
        match self {
            AlignedGrid::Fixed(grid) => grid.end_at_or_after(time),
            AlignedGrid::Calendar(grid) => grid.end_at_or_after(time),
            AlignedGrid::Cumulative(grid) => grid.end_at_or_after(time),
        }
    }

    fn end_at_or_before(&self, time: Micros) -> Option<Micros> {
        match self {
            AlignedGrid::Fixed(grid) => grid.end_at_or_before(time),
            AlignedGrid::Calendar(grid) => grid.end_at_or_before(time),
            AlignedGrid::Cumulative(grid) => grid.end_at_or_before(time),
        }
    }

    fn count(&self, first: Micros, last: Micros) -> i64 {
        match self {
            AlignedGrid::Fixed(grid) => grid.count(first, last),
            other => other.ends(first, last).count() as i64,
        }
    }

    fn accepting(&self, reach: &Reach, bound: Micros, lateness: Micros) -> Option<Micros> {
        match self {
            AlignedGrid::Fixed(grid) => grid.accepting(reach, bound, lateness),
            AlignedGrid::Calendar(grid) => grid.accepting(reach, bound, lateness),
            AlignedGrid::Cumulative(grid) => grid.accepting(reach, bound, lateness),
        }
    }
}

/// The windows of keys in different time zones, by those in UTC.
#[derive(Debug)]
pub struct AnyZone(pub AlignedGrid);

/// No zone has ever been further from UTC, and none skips more than a day.
const FURTHEST: Micros = 2 * 86_400_000_000;

impl Bounds for AnyZone {
    fn start_from(&self, from: Micros) -> Micros {
        from
    }

    fn full_from(&self, from: Micros) -> Micros {
        shift(Grid::full_from(&self.0, shift(from, FURTHEST)), FURTHEST)
    }

    fn second_start(&self, from: Micros) -> Micros {
        shift(Grid::second_start(&self.0, shift(from, FURTHEST)), FURTHEST)
    }
}
