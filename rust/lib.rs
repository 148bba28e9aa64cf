//! muntin computes windowed features and rules over streams of Arrow record batches.
//!
//! The modules below are listed in the order of the data; each uses only those above it.
//!
//! ```text
//! source ─▶ decode ─▶ watermark ─▶ assign ─▶ aggregate ─▶ fire ─▶ rules ─▶ sink
//! ```
//!
//! Invariants:
//! - State is held only in slots, and a slot has one owner; `assign` has no state.
//! - Only `exchange` uses threads; the core has no locks and no atomics.
//! - No result depends on a clock, a random number or I/O. `engine` reads a clock only to report
//!   how long each operator ran; hashes of keys are randomly seeded.
//! - Only `engine` knows the order of the stages; only `py` knows Python.
//! - Decisions are predicates on times; they never depend on what happens to be in memory.

pub mod limits;
pub mod time;
pub mod error;
pub mod prefetch;
pub mod schema;
pub mod show;
pub mod avro;
pub mod ingest;
pub mod encode;
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
pub mod partitioner;
pub mod partitioned;
#[cfg(feature = "python")]
mod py;
