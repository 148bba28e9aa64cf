//! Ingest: turns bytes of a source into rows, before `decode` brings them into the stream.

mod value;
mod columns;
mod json;

pub use json::{JsonLines, LineLeft, json_lines};
