//! One JSON object as one row.

use super::cursor::JsonCursor;
use super::fault::{Fault, Parse, Wrong};
use super::objects::ObjectFields;

/// Appends the object in a text as a row. After an error the columns need a truncate.
#[inline]
pub fn object_row(fields: &mut ObjectFields, text: &[u8]) -> Parse<()> {
    let text = utf8(text)?;
    let mut cursor = JsonCursor::new(text);
    let read =
        cursor.only_object().and_then(|()| fields.read(&mut cursor)).and_then(|()| cursor.end());
    read.map_err(|wrong| explained(text, wrong))
}

/// A message as text.
pub fn utf8(text: &[u8]) -> Parse<&str> {
    std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        let said = format!("it is not UTF-8: the byte 0x{:02x} at byte {at}", text[at]);
        Wrong::new(at, Fault::Said(said))
    })
}

/// What is wrong with a text: first of all that it is not JSON, then that it does not fit.
#[cold]
fn explained(text: &str, mut wrong: Box<Wrong>) -> Box<Wrong> {
    if !matches!(wrong.fault, Fault::Misfit(..) | Fault::NotAnObject(_)) {
        return wrong;
    }
    let mut cursor = JsonCursor::new(text);
    if let Err(unsound) = cursor.only_value() {
        return unsound;
    }
    let at = wrong.at;
    if let Fault::Misfit(_, _, shown) = &mut wrong.fault {
        let mut cursor = JsonCursor::new(text).moved_to(at);
        if cursor.skip().is_ok() {
            *shown = cursor.since(at).to_owned();
        }
    }
    wrong
}
