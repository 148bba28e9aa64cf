//! Errors: one variant per class of error that a user sees. A message names the value and the place
//! and ends with a hint.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An error, by the class that a user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The pipeline is invalid.
    Plan(String),
    /// A column does not exist.
    Column(String),
    /// An expression cannot be typed.
    Expression(String),
    /// A batch's schema differs from the stream's.
    Schema(String),
    /// Data cannot be read as the declared type.
    Data(String),
    /// A partition was not declared, or is finished.
    Partition(String),
    /// A snapshot is damaged or does not belong to the pipeline.
    Snapshot(String),
    /// A snapshot was taken of a different pipeline.
    Changed(String),
    /// A failure inside the engine, which is poisoned afterwards.
    Engine(String),
}

/// The result type of the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The message without its class.
    pub fn message(&self) -> &str {
        match self {
            Error::Plan(m)
            | Error::Column(m)
            | Error::Expression(m)
            | Error::Schema(m)
            | Error::Data(m)
            | Error::Partition(m)
            | Error::Snapshot(m)
            | Error::Changed(m)
            | Error::Engine(m) => m,
        }
    }

    /// The same error with `place` before its message.
    pub fn within(self, place: &str) -> Error {
        let tell = |m: String| format!("{place}: {m}");
        match self {
            Error::Plan(m) => Error::Plan(tell(m)),
            Error::Column(m) => Error::Column(tell(m)),
            Error::Expression(m) => Error::Expression(tell(m)),
            Error::Schema(m) => Error::Schema(tell(m)),
            Error::Data(m) => Error::Data(tell(m)),
            Error::Partition(m) => Error::Partition(tell(m)),
            Error::Snapshot(m) => Error::Snapshot(tell(m)),
            Error::Changed(m) => Error::Changed(tell(m)),
            Error::Engine(m) => Error::Engine(tell(m)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

/// Runs `work`; turns a panic into an error that keeps its text.
///
/// If it fails, the caller must drop everything `work` may have changed, or refuse to use it: see
/// the engine.
pub fn caught<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = text_of(panic.as_ref());
        Err(Error::Engine(format!("the engine failed: {text}\nhint: this is a bug in muntin")))
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Error {
        Error::Data(error.to_string())
    }
}

/// The known name that is nearest to this one, if it is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|&known| (distance(name, known), known));
    let near = near.filter(|(far, known)| *far <= 1 + known.chars().count() / 3);
    near.min_by_key(|(far, _)| *far).map(|(_, known)| known)
}

/// `unknown column "amout"`, with the nearest known name as the hint.
pub fn unknown_column(name: &str, known: &[&str]) -> Error {
    Error::Column(match did_you_mean(name, known) {
        Some(k) => format!("unknown column \"{name}\"\nhint: did you mean \"{k}\"?"),
        None => format!("unknown column \"{name}\"\nhint: the columns are {}", known.join(", ")),
    })
}

/// The Levenshtein distance of two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered() {
        let error = unknown_column("amout", &["store", "amount"]);
        assert_eq!(error.message(), "unknown column \"amout\"\nhint: did you mean \"amount\"?");
        assert!(unknown_column("zebra", &["store"]).message().contains("the columns are store"));
    }
}
