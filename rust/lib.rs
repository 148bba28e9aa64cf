//! muntin computes windowed features and rules over streams of Arrow record batches.
//!
//! The modules below stand in the order of the data; each uses only those above it.
//!
//! ```text
//! source ─▶ decode ─▶ watermark ─▶ assign ─▶ aggregate ─▶ fire ─▶ rules ─▶ sink
//! ```
//!
//! Invariants, also of absence:
//! - `assign` holds no state; nothing but a slot does, and a slot has one owner.
//! - Only `exchange` knows of threads; there is no lock and no atomic in the core.
//! - No result depends on a clock, on a random number or on I/O. `engine` reads a clock to say in
//!   its counters how long each verb worked; hashes of keys are seeded at random.
//! - Only `engine` knows the order of the stages; only `py` knows Python.
//! - Predicates on times decide; what happens to be in memory does not.

pub mod limits;
pub mod time;
pub mod error;
pub mod prefetch;
pub mod schema;
pub mod show;
pub mod expr;
pub mod plan;
pub mod aggregate;
pub mod origin;
pub mod block;
pub mod wide;
pub mod fate;
pub mod watermark;
pub mod assign;
pub mod state;
pub mod graph;
pub mod decode;
pub mod chunk;
pub mod exchange;
pub mod fire;
pub mod operator;
pub mod ledger;
pub mod pipeline;
pub mod snapshot;
pub mod engine;
#[cfg(feature = "python")]
mod py;
