//! A stored value: one argument kept as it came, in four words and, for bytes, the heap.

use super::codec::{damaged, put_bytes, put_u64, take_bytes, take_u64};
use super::{Answer, Big, Cell, CellRef, Value};
use crate::error::Result;

/// Words of a stored value: its class (0 = none), two of content or a handle.
pub const WORDS: usize = 3;

const NONE: u64 = 0;
const UNIT: u64 = 1;
const I64: u64 = 2;
const I128: u64 = 3;
const F64: u64 = 4;
const BYTES: u64 = 5;

/// The stored value.
pub fn get<'a>(cell: CellRef<'a>) -> Option<Value<'a>> {
    let [class, low, high] = [cell.words[0], cell.words[1], cell.words[2]];
    match class {
        NONE => None,
        UNIT => Some(Value::Unit),
        I64 => Some(Value::I64(low as i64)),
        I128 => Some(Value::I128((i128::from(high as i64) << 64) | i128::from(low))),
        F64 => Some(Value::F64(f64::from_bits(low))),
        _ => match cell.heap.get(low as u32) {
            Some(Big::Bytes(bytes)) => Some(Value::Bytes(bytes)),
            Some(Big::Exact(_) | Big::Distinct(_)) | None => None,
        },
    }
}

/// Stores a value in place of what was there.
pub fn set(cell: Cell<'_>, value: Value<'_>) {
    let Cell { words, heap } = cell;
    if words[0] == BYTES {
        heap.free(words[1] as u32);
    }
    let (class, low, high) = match value {
        Value::Unit => (UNIT, 0, 0),
        Value::I64(v) => (I64, v as u64, 0),
        Value::I128(v) => (I128, v as u64, (v >> 64) as u64),
        Value::F64(v) => (F64, v.to_bits(), 0),
        Value::Bytes(v) => (BYTES, u64::from(heap.alloc(Big::Bytes(v.to_vec()))), 0),
    };
    words[..WORDS].copy_from_slice(&[class, low, high]);
}

/// Makes it none.
pub fn clear(cell: Cell<'_>) {
    if cell.words[0] == BYTES {
        cell.heap.free(cell.words[1] as u32);
    }
    cell.words[..WORDS].fill(0);
}

/// The value as an answer.
pub fn answer<'a>(cell: CellRef<'a>) -> Answer<'a> {
    get(cell).map_or(Answer::Null, Answer::from)
}

/// Appends it.
pub fn save(cell: CellRef<'_>, out: &mut Vec<u8>) {
    put_u64(out, cell.words[0]);
    match get(cell) {
        Some(Value::Bytes(bytes)) => put_bytes(out, bytes),
        _ => cell.words[1..WORDS].iter().for_each(|&word| put_u64(out, word)),
    }
}

/// Reads it into an empty cell.
pub fn load(cell: Cell<'_>, bytes: &mut &[u8]) -> Result<()> {
    let class = take_u64(bytes)?;
    if class == BYTES {
        set(cell, Value::Bytes(take_bytes(bytes)?));
        return Ok(());
    }
    if class > BYTES {
        return Err(damaged("a value of no known class"));
    }
    let (low, high) = (take_u64(bytes)?, take_u64(bytes)?);
    cell.words[..WORDS].copy_from_slice(&[class, low, high]);
    Ok(())
}
