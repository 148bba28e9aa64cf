//! Assign: row to pane or window. Pure arithmetic on times, without state. No other folder computes
//! where a window starts or ends.

mod aligned;
mod bounds;
mod calendar;
mod calendar_grid;
mod cumulative;
mod fixed;
mod gaps;
mod grid;
#[cfg(test)]
mod listed;
mod span;
mod zone;

pub use aligned::{AlignedGrid, AnyZone, GridKind};
pub use bounds::{Bounds, FromRow};
pub use calendar::{Calendar, Unit};
pub use calendar_grid::CalendarGrid;
pub use cumulative::{CumulativeGrid, Growth};
pub use fixed::FixedGrid;
pub use gaps::Gaps;
pub use grid::{Grid, GridPlace, Reach};
#[cfg(test)]
pub use listed::ListedGrid;
pub use span::{AnswerTime, Span};
pub use zone::Zone;
