//! Encoding of saved states: little-endian numbers, and bytes after their length. Decoding checks
//! everything.

use crate::error::{Error, Result};

/// The error for bytes that do not have the expected form.
pub fn damaged(what: &str) -> Error {
    Error::Snapshot(format!("a damaged aggregate state: {what}"))
}

/// Appends a number.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a length and then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a number and advances.
///
/// # Errors
///
/// [`Error::Snapshot`] if there are too few bytes.
pub fn take_u64(bytes: &mut &[u8]) -> Result<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged("it ends early"))?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*head))
}

/// Reads a length and that many bytes, and advances.
///
/// # Errors
///
/// [`Error::Snapshot`] if there are too few bytes.
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let len = usize::try_from(take_u64(bytes)?).map_err(|_| damaged("a length"))?;
    let (head, rest) = bytes.split_at_checked(len).ok_or_else(|| damaged("it ends early"))?;
    *bytes = rest;
    Ok(head)
}

/// Reads a count, which must fit an `i64`.
///
/// # Errors
///
/// [`Error::Snapshot`] if it does not fit, or there are too few bytes.
pub fn take_count(bytes: &mut &[u8]) -> Result<u64> {
    let count = take_u64(bytes)?;
    if count > i64::MAX as u64 { Err(damaged("a count")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken() {
        let mut out = Vec::new();
        put_u64(&mut out, 7);
        put_bytes(&mut out, b"abc");
        let mut bytes = out.as_slice();
        assert_eq!(take_u64(&mut bytes), Ok(7));
        assert_eq!(take_bytes(&mut bytes), Ok(&b"abc"[..]));
        assert!(bytes.is_empty());
        assert!(matches!(take_u64(&mut bytes), Err(Error::Snapshot(_))));
        assert!(take_bytes(&mut &u64::MAX.to_le_bytes()[..]).is_err());
        let (most, more) = (i64::MAX as u64, i64::MAX as u64 + 1);
        assert_eq!(take_count(&mut &most.to_le_bytes()[..]), Ok(most));
        assert!(take_count(&mut &more.to_le_bytes()[..]).is_err());
    }
}
