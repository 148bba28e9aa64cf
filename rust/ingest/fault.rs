//! What is wrong with a message, and where.

use std::fmt;

use arrow_schema::DataType;

use crate::schema::texts::Misfit;
use crate::schema::{explain_misfit, type_word};

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 128;

/// The result of reading a part of a message.
pub type Parse<T> = Result<T, Box<Wrong>>;

/// What is wrong with a message, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The byte in the message.
    pub at: usize,
    /// The column and what leads to the value in it, as in `tags[2].name`; else empty.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON: something else should be there.
    Expected(&'static str),
    /// It is not JSON: a text has a control character.
    Control,
    /// It is not JSON: there is no such escape.
    Escape,
    /// It is JSON, but no object.
    NotAnObject(&'static str),
    /// An object has a key twice.
    Twice(String),
    /// A text has half of a surrogate pair.
    Surrogate,
    /// It nests deeper than the limit.
    Deep,
    /// A value, as written, does not fit its type.
    Misfit(Misfit, DataType, String),
    /// Anything else, in words.
    Said(String),
}

impl Wrong {
    /// A fault at a byte, of no column.
    #[cold]
    pub fn new(at: usize, fault: Fault) -> Box<Wrong> {
        Box::new(Wrong { at, path: String::new(), fault })
    }

    /// A value at a byte that does not fit its type.
    #[cold]
    pub fn misfit(at: usize, why: Misfit, to: &DataType) -> Box<Wrong> {
        Wrong::new(at, Fault::Misfit(why, to.clone(), String::new()))
    }

    /// A key at a byte that its object has twice.
    #[cold]
    pub fn twice(at: usize, key: &str) -> Box<Wrong> {
        Wrong::new(at, Fault::Twice(key.to_owned()))
    }

    /// The same, of a value that is inside another one.
    #[cold]
    pub fn within(mut self: Box<Wrong>, part: &str) -> Box<Wrong> {
        if matches!(self.fault, Fault::Misfit(..)) {
            let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
            self.path.insert_str(0, dot);
            self.path.insert_str(0, part);
        }
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { at, path, fault } = self;
        match fault {
            Fault::Expected(what) => write!(f, "it is not JSON: expected {what}, at byte {at}"),
            Fault::Control => {
                write!(f, "it is not JSON: a text has a control character, at byte {at}")
            }
            Fault::Escape => write!(f, "it is not JSON: there is no such escape, at byte {at}"),
            Fault::NotAnObject(kind) => write!(f, "it is not a JSON object but {kind}"),
            Fault::Twice(key) => write!(f, "the key \"{key}\" is there twice"),
            Fault::Surrogate => {
                f.write_str("it has half of a surrogate pair, which is not a character")
            }
            Fault::Deep => {
                write!(f, "it nests deeper than {} levels", DEPTH_MAX)
            }
            Fault::Misfit(why, to, value) => {
                let word = type_word(to).unwrap_or_else(|_| to.to_string());
                let said = explain_misfit(*why, to).0;
                write!(f, "column \"{path}\" does not fit {word}: {} {said}", shortened(value))
            }
            Fault::Said(said) => f.write_str(said),
        }
    }
}

/// A value as a message shows it, cut short.
fn shortened(value: &str) -> String {
    const SHOWN_MAX: usize = 60;
    match value.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.to_owned(),
    }
}
