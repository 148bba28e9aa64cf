//! Texts that are not UTF-8, which Arrow forbids and some of its libraries let pass.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::{Array, LargeStringArray, StringArray, StringViewArray, make_array};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};

/// The same values, where bytes of a text that are not UTF-8 have become `\xff`, as in Python's
/// `backslashreplace`.
pub fn with_escapes(data: &ArrayData) -> Result<ArrayData, ArrowError> {
    let bytes = |kind| data.clone().into_builder().data_type(kind).build().map(make_array);
    Ok(match data.data_type() {
        DataType::Utf8 => {
            let bytes = bytes(DataType::Binary)?;
            let texts = bytes.as_binary::<i32>().iter().map(|value| value.map(escaped));
            texts.collect::<StringArray>().into_data()
        }
        DataType::LargeUtf8 => {
            let bytes = bytes(DataType::LargeBinary)?;
            let texts = bytes.as_binary::<i64>().iter().map(|value| value.map(escaped));
            texts.collect::<LargeStringArray>().into_data()
        }
        DataType::Utf8View => {
            let bytes = bytes(DataType::BinaryView)?;
            let texts = bytes.as_binary_view().iter().map(|value| value.map(escaped));
            texts.collect::<StringViewArray>().into_data()
        }
        _ => {
            let children = data.child_data().iter().map(with_escapes).collect::<Result<_, _>>()?;
            data.clone().into_builder().child_data(children).build()?
        }
    })
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
