//! State: the data structures in which operators keep state per key. Each slot (operator, range)
//! has one owner.

pub mod hash;
pub mod address;
pub mod encode;
pub mod index;
pub mod keys;
pub mod panes;
pub mod log;
pub mod chunks;
pub mod timers;
pub mod sessions;
pub mod saved;
pub mod by_key;
pub mod remembered;
pub mod row_store;
pub mod waiting;

pub use address::Address;
pub use by_key::{ByKey, Next};
pub use chunks::{At, Chunks, Kept};
pub use encode::check_key;
pub use hash::RANGES;
pub use keys::{KeyColumns, Keys};
pub use log::Log;
pub use panes::{Link, Panes};
pub use remembered::{Remembered, RememberedRow};
pub use row_store::RowStore;
pub use saved::Saved;
pub use timers::Timers;
pub use waiting::Waiting;
