//! Assign: row to pane or window. Pure arithmetic on times, without state. No other folder computes
//! where a window starts or ends.

mod fixed;
mod grid;
#[cfg(test)]
mod listed;
mod span;

pub use fixed::FixedGrid;
pub use grid::{Grid, GridPlace, Reach};
#[cfg(test)]
pub use listed::ListedGrid;
pub use span::Span;
