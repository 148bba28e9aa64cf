//! Assign: row to pane or window. Pure arithmetic on times, without state. No other folder computes
//! where a window starts or ends.

mod bounds;
mod fixed;
mod gaps;
mod grid;
#[cfg(test)]
mod listed;
mod span;

pub use bounds::{Bounds, FromRow};
pub use fixed::FixedGrid;
pub use gaps::Gaps;
pub use grid::{Grid, GridPlace, Reach};
#[cfg(test)]
pub use listed::ListedGrid;
pub use span::{AnswerTime, Span};
