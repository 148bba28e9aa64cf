//! The named pieces of a snapshot, and the container that holds them.
//!
//! ```text
//! magic (8)  version (4)  chunk bytes, one after another  manifest (JSON)
//! length of the manifest (8)  xxh3-128 of magic, version, manifest and its length (16)  end (8)
//! ```
//!
//! The manifest stands last and lists every chunk with its place, its length and its own
//! xxh3-128, so there is no byte that nothing vouches for: a container that was cut, damaged or
//! appended to is refused before a single chunk is handed out. Numbers are little-endian.

mod sizes;

use std::collections::HashSet;
use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"MUNTSNAP";
const END: &[u8; 8] = b"MUNTEND\n";
const VERSION: u32 = 1;
const HEADER: usize = 12;
const TRAILER: usize = 8 + 16 + 8;

/// A named immutable piece of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name, unique in its container.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The name and the bytes of a chunk inside its container.
pub type Named<'a> = (String, &'a [u8]);

/// One chunk as the manifest lists it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedChunk {
    name: String,
    offset: usize,
    length: usize,
    xxh3: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    chunks: Vec<ListedChunk>,
    manifest: Value,
}

/// One record batch as an Arrow IPC stream, compressed with LZ4.
pub fn encode_batch(batch: &RecordBatch) -> Result<Vec<u8>> {
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options)?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

/// The one record batch of an Arrow IPC stream.
pub fn decode_batch(bytes: &[u8]) -> Result<RecordBatch> {
    let bad = |why: String| Error::Snapshot(format!("a chunk does not hold a record batch: {why}"));
    sizes::check(bytes).map_err(bad)?;
    // The reader verifies flatbuffers and arrays, but may index out of bounds in a malformed
    // message.
    let read = std::panic::catch_unwind(|| {
        let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        reader.collect::<std::result::Result<Vec<RecordBatch>, _>>()
    });
    let read = read.map_err(|_| bad("malformed message".into()))?;
    let mut batches = read.map_err(|error| bad(error.to_string()))?;
    match (batches.pop(), batches.is_empty()) {
        (Some(batch), true) => Ok(batch),
        (None, _) => Err(bad("it is empty".into())),
        (Some(_), false) => Err(bad(format!("there are {}", batches.len() + 1))),
    }
}

/// Serialises chunks and a manifest. Names must be unique.
pub fn pack(chunks: &[Chunk], manifest: &Value) -> Vec<u8> {
    let total: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    let mut out = Vec::with_capacity(HEADER + total + 1024);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let mut entries = Vec::with_capacity(chunks.len());
    for Chunk { name, bytes } in chunks {
        let xxh3 = format!("{:032x}", xxh3_128(bytes));
        entries.push(ListedChunk {
            name: name.clone(),
            offset: out.len(),
            length: bytes.len(),
            xxh3,
        });
        out.extend_from_slice(bytes);
    }
    let listing = Listing { chunks: entries, manifest: manifest.clone() };
    let json = serde_json::to_vec(&listing).expect("strings, numbers and values are JSON");
    let length = (json.len() as u64).to_le_bytes();
    let digest = digest(&out[..HEADER], &json, &length);
    out.extend_from_slice(&json);
    out.extend_from_slice(&length);
    out.extend_from_slice(&digest);
    out.extend_from_slice(END);
    out
}

/// Reads the manifest and chunks of a container and verifies them.
pub fn unpack(bytes: &[u8]) -> Result<(Value, Vec<Named<'_>>)> {
    let (body, json) = frame(bytes)?;
    let listing: Listing = serde_json::from_slice(json)
        .map_err(|error| Error::Snapshot(format!("the manifest cannot be read: {error}")))?;
    let mut next = HEADER;
    let mut names = HashSet::new();
    let mut chunks = Vec::with_capacity(listing.chunks.len());
    for ListedChunk { name, offset, length, xxh3 } in listing.chunks {
        let bad = |why| Error::Snapshot(format!("chunk \"{name}\" {why}"));
        let end = offset.checked_add(length).filter(|_| offset == next);
        let Some(content) = end.and_then(|end| body.get(offset..end)) else {
            return Err(bad("is not where the manifest says"));
        };
        if format!("{:032x}", xxh3_128(content)) != xxh3 {
            return Err(bad("is damaged\nhint: take the snapshot before it"));
        }
        if !names.insert(name.clone()) {
            return Err(bad("is there twice"));
        }
        next += length;
        chunks.push((name, content));
    }
    if next != body.len() {
        let extra = body.len() - next;
        return Err(Error::Snapshot(format!("{extra} bytes of the snapshot belong to no chunk")));
    }
    Ok((listing.manifest, chunks))
}

/// Identifies a container: the checksum over all of its checksums.
pub fn seal(bytes: &[u8]) -> Result<String> {
    frame(bytes)?;
    let end = bytes.len() - END.len();
    let digest: [u8; 16] = bytes[end - 16..end].try_into().expect("16 bytes");
    Ok(format!("{:032x}", u128::from_le_bytes(digest)))
}

/// Checks everything except the chunks.
fn frame(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let bad = |why: &str| Err(Error::Snapshot(why.to_owned()));
    if bytes.is_empty() {
        return bad("the snapshot is empty");
    }
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return bad("this is not a snapshot of muntin: it starts with other bytes");
    }
    let cut = "the snapshot is cut off, or has bytes behind its end\nhint: take the one before it";
    let Some((version, _)) = bytes[known..].split_first_chunk::<4>() else {
        return bad(cut);
    };
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return bad(&format!("the snapshot has format version {version}, known is {VERSION}"));
    }
    let Some(at) = bytes.len().checked_sub(TRAILER).filter(|&at| at >= HEADER) else {
        return bad(cut);
    };
    let (length, rest) = bytes[at..].split_at(8);
    let (expected, end) = rest.split_at(16);
    if end != END {
        return bad(cut);
    }
    let json_length = u64::from_le_bytes(length.try_into().expect("8 bytes"));
    let start = usize::try_from(json_length).ok().and_then(|length| at.checked_sub(length));
    let Some(start) = start.filter(|&start| start >= HEADER) else {
        return bad("the manifest is damaged: its length is beyond the snapshot");
    };
    let json = &bytes[start..at];
    if digest(&bytes[..HEADER], json, length) != expected {
        return bad("the manifest is damaged: its checksum does not match");
    }
    Ok((&bytes[..start], json))
}

fn digest(header: &[u8], json: &[u8], length: &[u8]) -> [u8; 16] {
    let mut hash = Xxh3::new();
    hash.update(header);
    hash.update(json);
    hash.update(length);
    hash.digest128().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatchOptions, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use serde_json::json;

    use super::*;

    fn chunk(name: &str, bytes: &[u8]) -> Chunk {
        Chunk { name: name.into(), bytes: bytes.to_vec() }
    }

    fn small() -> Vec<u8> {
        pack(
            &[chunk("keys", b"abc"), chunk("empty", b""), chunk("panes", b"\0\xff")],
            &json!({"seq": i64::MIN}),
        )
    }

    fn message(bytes: &[u8]) -> String {
        match unpack(bytes) {
            Err(Error::Snapshot(message)) => message,
            other => panic!("expected a snapshot error, got {other:?}"),
        }
    }

    fn columns(numbers: Vec<Option<i64>>, texts: Vec<Option<&str>>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("s", texts, true)])
            .unwrap()
    }

    #[test]
    fn chunks_come_back_with_the_manifest() {
        let bytes = small();
        let (manifest, chunks) = unpack(&bytes).unwrap();
        assert_eq!(manifest, json!({"seq": i64::MIN}));
        let expected: [(&str, &[u8]); 3] = [("keys", b"abc"), ("empty", b""), ("panes", b"\0\xff")];
        let got: Vec<(&str, &[u8])> = chunks.iter().map(|(n, b)| (n.as_str(), *b)).collect();
        assert_eq!(got, expected);
        let none = pack(&[], &Value::Null);
        assert_eq!(unpack(&none).unwrap(), (Value::Null, vec![]));
    }

    #[test]
    fn cut_anywhere_is_refused() {
        let bytes = small();
        assert_eq!(message(&[]), "the snapshot is empty");
        for length in 0..bytes.len() {
            message(&bytes[..length]);
        }
        for start in 1..bytes.len() {
            message(&bytes[start..]);
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = small();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                message(&damaged);
            }
        }
    }

    #[test]
    fn a_message_names_what_is_wrong() {
        let bytes = small();
        let with = |at: usize, byte: u8| {
            let mut other = bytes.clone();
            other[at] = byte;
            message(&other)
        };
        assert!(message(b"PK\x03\x04 something else").contains("not a snapshot of muntin"));
        assert_eq!(with(8, 9), "the snapshot has format version 9, known is 1");
        assert!(with(HEADER, b'z').starts_with("chunk \"keys\" is damaged\nhint: "));
        assert!(with(bytes.len() - TRAILER - 1, b']').contains("checksum does not match"));
        assert!(with(bytes.len() - 26, 0x7f).contains("length is beyond"));
        assert!(message(&[bytes.as_slice(), b"x"].concat()).contains("behind its end"));
        let twice = pack(&[chunk("a", b"1"), chunk("a", b"2")], &Value::Null);
        assert_eq!(message(&twice), "chunk \"a\" is there twice");
    }

    #[test]
    fn batches_come_back() {
        let batch = columns(vec![Some(1), None], vec![None, Some("é")]);
        let empty = batch.slice(0, 0);
        let sliced = batch.slice(1, 1);
        for batch in [batch, empty, sliced] {
            assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap(), batch);
        }
        let long = columns(vec![Some(7); 9999], vec![Some("x"); 9999]);
        let bytes = encode_batch(&long).unwrap();
        assert!(bytes.len() < long.get_array_memory_size() / 2);
        assert_eq!(decode_batch(&bytes).unwrap(), long);
    }

    #[test]
    fn rows_without_columns_come_back() {
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let back = decode_batch(&encode_batch(&batch).unwrap()).unwrap();
        assert_eq!((back.num_rows(), back.num_columns()), (7, 0));
    }

    #[test]
    fn a_chunk_that_is_no_batch_is_refused() {
        let bytes = encode_batch(&columns(vec![Some(1)], vec![Some("a")])).unwrap();
        for length in 0..bytes.len() {
            // The end marker may be missing: a stream may also simply end.
            let cut = decode_batch(&bytes[..length]);
            assert!(matches!(cut, Ok(_) | Err(Error::Snapshot(_))));
        }
        assert!(decode_batch(b"").is_err());
        assert!(decode_batch(b"no batch at all, but long enough to be read as one").is_err());
        let none = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let empty = StreamWriter::try_new(Vec::new(), &none).unwrap().into_inner().unwrap();
        assert!(decode_batch(&empty).unwrap_err().message().contains("it is empty"));
    }
}
