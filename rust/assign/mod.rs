//! Assign: row to pane. Pure arithmetic over times: it holds no state, so it needs no locks.

mod aligned;
mod span;

pub use aligned::{Grid, GridPlace, Reach};
pub use span::Span;
