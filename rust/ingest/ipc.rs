//! The parts of an IPC stream of Arrow, checked before any of it is read: what a part says of its
//! buffers is true, and no part becomes many times as large as it is.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_ipc::{CompressionType, Message, MessageHeader, RecordBatch, root_as_message};
use arrow_schema::DataType;

use super::fault::{Fault, Parse, Wrong};

/// More rows than a message has.
const ROWS_MAX: i64 = 1 << 24;
/// What a message may become at most: this many times its size, and this many bytes.
const GROWTH_MAX: usize = 100;
const BYTES_MAX: usize = 256 << 20;

/// One part of a stream.
#[derive(Debug)]
pub struct IpcPart<'a> {
    /// What it is.
    pub message: Message<'a>,
    /// Its buffers.
    pub body: &'a [u8],
}

/// The parts of a stream; a payload that is one record batch alone is a stream of one part.
pub fn ipc_parts(payload: &[u8]) -> Parse<Vec<IpcPart<'_>>> {
    let wrong = |at: usize, text: &str| {
        Wrong::new(at, Fault::Said(format!("it is not Arrow IPC data: {text}")))
    };
    if payload.is_empty() {
        return Err(wrong(0, "it is empty"));
    }
    if payload.starts_with(b"ARROW1") {
        return Err(wrong(0, "it is a file of Arrow, not a stream"));
    }
    let mut at = 0;
    let mut parts: Vec<IpcPart<'_>> = vec![];
    let mut grown = 0;
    while at < payload.len() {
        let cut = || wrong(at, "it is cut");
        let word = |at: usize| {
            let bytes = payload.get(at..at + 4)?;
            Some(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        // before version 0.15 of Arrow the marker of -1 was not there
        let marked = word(at) == Some(-1);
        let start = at + if marked { 8 } else { 4 };
        let length = word(start - 4).ok_or_else(cut)?;
        if length == 0 {
            return match start == payload.len() {
                true => Ok(parts),
                false => Err(wrong(start, "there is something behind its end")),
            };
        }
        let length = usize::try_from(length).map_err(|_| wrong(at, "a length is negative"))?;
        let head = payload.get(start..start + length).ok_or_else(cut)?;
        let message = root_as_message(head).map_err(|_| wrong(at, "a part has no sound head"))?;
        let body =
            usize::try_from(message.bodyLength()).map_err(|_| wrong(at, "a length is negative"))?;
        let from = start + length;
        let body = from.checked_add(body).and_then(|to| payload.get(from..to)).ok_or_else(cut)?;
        let batch = match message.header_type() {
            MessageHeader::Schema if parts.is_empty() => None,
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => {
                message.header_as_dictionary_batch().and_then(|batch| batch.data())
            }
            _ => return Err(wrong(at, "a part has no place there")),
        };
        if let Some(batch) = batch {
            grown += checked(&batch, body).map_err(|text| wrong(at, &text))?;
            if grown > BYTES_MAX.min(payload.len().saturating_mul(GROWTH_MAX)) {
                return Err(wrong(at, &format!("it is compressed more than {GROWTH_MAX} times")));
            }
        }
        parts.push(IpcPart { message, body });
        at = from + body.len();
    }
    match parts.first().map(|part| part.message.header_type()) {
        Some(MessageHeader::Schema) => Ok(parts),
        Some(MessageHeader::RecordBatch) if parts.len() == 1 => Ok(parts),
        _ => Err(wrong(0, "it does not begin with a schema")),
    }
}

/// How many bytes compressed buffers become; an error if something about them is not true.
fn checked(batch: &RecordBatch<'_>, body: &[u8]) -> Result<usize, String> {
    let lengths = batch.nodes().into_iter().flatten().map(|node| node.length());
    if lengths.chain([batch.length()]).any(|length| !(0..=ROWS_MAX).contains(&length)) {
        return Err(format!("a part has more than {ROWS_MAX} rows, or less than none"));
    }
    let codec = batch.compression().map(|compression| compression.codec());
    if codec.is_some_and(|codec| codec != CompressionType::LZ4_FRAME) {
        return Err("it is compressed by zstd; lz4 is read".into());
    }
    let mut grown = 0usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let range = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let (Ok(offset), Ok(length)) = range else {
            return Err("a buffer's place is negative".into());
        };
        let end = offset.checked_add(length);
        let Some(bytes) = end.and_then(|end| body.get(offset..end)) else {
            return Err("a buffer is beyond the part's end".into());
        };
        if codec.is_some() && length > 0 {
            let head = bytes.get(..8).ok_or("a compressed buffer is cut")?;
            let size = i64::from_le_bytes(head.try_into().expect("eight bytes"));
            // -1: not compressed after all
            let size = if size == -1 { length as i64 } else { size };
            let size = usize::try_from(size).map_err(|_| "a buffer's length is negative")?;
            grown = grown.saturating_add(size);
        }
    }
    Ok(grown)
}

/// Checks how many bytes text becomes that stands once for many rows.
pub fn expanded_bytes(array: &ArrayRef) -> Parse<()> {
    let bytes = repeated(array);
    if bytes > BYTES_MAX {
        let text = format!("its text becomes {bytes} bytes, more than {BYTES_MAX}");
        return Err(Wrong::new(0, Fault::Said(text)));
    }
    Ok(())
}

fn repeated(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let sizes = sizes(dictionary.values());
            let keys = dictionary.normalized_keys();
            keys.iter().filter_map(|&key| sizes.get(key)).sum()
        }
        DataType::RunEndEncoded(_, _) => {
            let data = array.to_data();
            let values = make_array(data.child_data()[1].clone());
            let largest = sizes(&values).into_iter().max().unwrap_or(0);
            largest.saturating_mul(array.len())
        }
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => {
            array.as_binary_view().lengths().map(|length| length as usize).sum()
        }
        // lists that may share their items
        DataType::ListView(_) => {
            shared(array.as_list_view::<i32>().value_sizes().iter().map(|&n| n as usize))
        }
        DataType::LargeListView(_) => {
            shared(array.as_list_view::<i64>().value_sizes().iter().map(|&n| n as usize))
        }
        _ => array
            .to_data()
            .child_data()
            .iter()
            .map(|data| repeated(&make_array(data.clone())))
            .sum(),
    }
}

/// The bytes of items at least, as if each list had its own.
fn shared(items: impl Iterator<Item = usize>) -> usize {
    items.sum::<usize>().saturating_mul(16)
}

/// The bytes of each value, where they differ.
fn sizes(values: &ArrayRef) -> Vec<usize> {
    let offsets = |ends: &[i32]| ends.windows(2).map(|ends| (ends[1] - ends[0]) as usize).collect();
    let large = |ends: &[i64]| ends.windows(2).map(|ends| (ends[1] - ends[0]) as usize).collect();
    match values.data_type() {
        DataType::Utf8 => offsets(values.as_string::<i32>().value_offsets()),
        DataType::Binary => offsets(values.as_binary::<i32>().value_offsets()),
        DataType::LargeUtf8 => large(values.as_string::<i64>().value_offsets()),
        DataType::LargeBinary => large(values.as_binary::<i64>().value_offsets()),
        _ => vec![values.get_array_memory_size() / values.len().max(1); values.len()],
    }
}
