//! Assign: row to pane. Pure arithmetic on times, without state.

mod aligned;
mod span;

pub use aligned::{Grid, GridPlace, Reach};
pub use span::Span;
