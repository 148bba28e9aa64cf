//! Sizes: checks the lengths claimed in an Arrow IPC stream against the bytes present.
//!
//! The reader allocates what a message claims before reading it, so a forged length could exhaust
//! memory and abort the process.

use arrow_ipc::{Buffer, MessageHeader, RecordBatch, root_as_message};

/// The marker before a message's length.
const MARK: [u8; 4] = [0xff; 4];

/// The greatest ratio by which LZ4 can expand data.
const RATIO_MAX: u64 = 255;

/// Checks each message of a stream; the error says what is wrong.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    while let Some(length) = length_of_message(&mut rest)? {
        let meta = take(&mut rest, length, "a message")?;
        let message =
            root_as_message(meta).map_err(|error| format!("malformed message: {error}"))?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a negative length")?;
        let body = take(&mut rest, body, "the body of a message")?;
        match message.header_type() {
            MessageHeader::Schema => {}
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or("a message without content")?;
                check_batch(&batch, body)?;
            }
            other => return Err(format!("a message of the kind {other:?}")),
        }
    }
    Ok(())
}

/// The length of the next message; `None` at the end of the stream.
fn length_of_message(rest: &mut &[u8]) -> Result<Option<usize>, String> {
    if rest.is_empty() {
        return Ok(None);
    }
    if take(rest, 4, "a message")? != MARK {
        return Err("a message that does not begin as one".into());
    }
    let length = take(rest, 4, "a message")?.try_into().map_or(0, i32::from_le_bytes);
    match usize::try_from(length) {
        Ok(0) => Ok(None),
        Ok(length) => Ok(Some(length)),
        Err(_) => Err("a negative length".into()),
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize, what: &str) -> Result<&'a [u8], String> {
    let (taken, behind) = rest
        .split_at_checked(length)
        .ok_or_else(|| format!("{what} of {length} bytes where there are {}", rest.len()))?;
    *rest = behind;
    Ok(taken)
}

/// Checks that the buffers of a batch are within its body, do not overlap, and have the claimed
/// sizes.
fn check_batch(batch: &RecordBatch<'_>, body: &[u8]) -> Result<(), String> {
    if batch.length() < 0 {
        return Err("a negative number of rows".into());
    }
    let is_compressed = batch.compression().is_some();
    let mut end = 0;
    for buffer in batch.buffers().into_iter().flatten() {
        end = check_buffer(buffer, body, end, is_compressed)?;
    }
    Ok(())
}

/// Checks one buffer, which must not start before `least`; returns its end.
fn check_buffer(
    buffer: &Buffer,
    body: &[u8],
    least: usize,
    is_compressed: bool,
) -> Result<usize, String> {
    let (Ok(start), Ok(length)) =
        (usize::try_from(buffer.offset()), usize::try_from(buffer.length()))
    else {
        return Err("a buffer with a negative place or length".into());
    };
    let end = start.checked_add(length).filter(|_| start >= least);
    let content = end.and_then(|end| body.get(start..end));
    let Some((content, end)) = content.zip(end) else {
        return Err(format!("a buffer of {length} bytes at {start} of {}", body.len()));
    };
    if let (true, Some((claimed, packed))) = (is_compressed, content.split_first_chunk::<8>()) {
        let claimed = i64::from_le_bytes(*claimed);
        let most = (packed.len() as u64).saturating_mul(RATIO_MAX);
        if claimed != -1 && u64::try_from(claimed).is_ok_and(|claimed| claimed > most) {
            let packed = packed.len();
            return Err(format!("a buffer that claims {claimed} bytes out of {packed}"));
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch};

    use super::super::{decode_batch, encode_batch};
    use super::*;

    fn chunk() -> Vec<u8> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 5000]));
        encode_batch(&RecordBatch::try_from_iter([("n", numbers)]).unwrap()).unwrap()
    }

    /// Replaces a number in the bytes.
    fn forged(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
        let at = bytes.windows(old.len()).position(|part| part == old).expect("it is there");
        let mut forged = bytes.to_vec();
        forged[at..at + new.len()].copy_from_slice(new);
        forged
    }

    #[test]
    fn a_forged_length_is_found_before_memory_is_asked_for() {
        let good = chunk();
        assert_eq!(check(&good), Ok(()));
        let claimed = 40_000i64.to_le_bytes();
        for length in [1 << 50, i64::MAX, 40_000_000] {
            let bad = forged(&good, &claimed, &length.to_le_bytes());
            assert!(check(&bad).unwrap_err().contains("claims"), "{length}");
            assert!(decode_batch(&bad).is_err());
        }
        let huge = [MARK, 0x7fff_fff0i32.to_le_bytes()].concat();
        assert!(check(&huge).unwrap_err().contains("where there are 0"));
        assert!(check(&[MARK, (-8i32).to_le_bytes()].concat()).is_err());
    }

    #[test]
    fn every_changed_byte_is_refused_or_read() {
        let good = chunk();
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = decode_batch(&bad);
            }
        }
    }
}
