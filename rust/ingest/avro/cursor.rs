//! A place in the bytes of an Avro value.

use super::super::fault::{DEPTH_MAX, Fault, Parse, Wrong};
use crate::avro::{AvroKind, AvroSchema};

/// How many items that have no bytes a message may have: a count of them costs nothing to write.
const EMPTY_ITEMS_MAX: usize = 1 << 12;

/// How many bytes of text a message may bring without having them: words of enums, defaults.
pub const GROWTH_MAX: usize = 1 << 28;

/// A place in the bytes of a value.
pub struct AvroCursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many more items without bytes may come.
    empty_left: usize,
    grown: usize,
}

impl<'a> AvroCursor<'a> {
    /// The start of a value that begins at this byte.
    pub fn new(bytes: &'a [u8], at: usize) -> AvroCursor<'a> {
        AvroCursor { bytes, at, empty_left: EMPTY_ITEMS_MAX, grown: 0 }
    }

    /// The byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// An error at this byte.
    #[cold]
    pub fn wrong<T>(&self, said: impl Into<String>) -> Parse<T> {
        Err(Wrong::new(self.at, Fault::Said(said.into())))
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Parse<()> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => {
                self.wrong(format!("{left} bytes are left after the record, at byte {}", self.at))
            }
        }
    }

    /// Counts bytes of text that the message does not have itself.
    #[inline]
    pub fn grow(&mut self, count: usize) -> Parse<()> {
        self.grown += count;
        match self.grown > GROWTH_MAX {
            false => Ok(()),
            true => self.wrong(format!("its enums and defaults have more than {GROWTH_MAX} bytes")),
        }
    }

    /// How many bytes of text the message did not have itself.
    pub fn grown(&self) -> usize {
        self.grown
    }

    /// The next bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Parse<&'a [u8]> {
        match self.bytes[self.at..].get(..count) {
            Some(bytes) => {
                self.at += count;
                Ok(bytes)
            }
            None => self.cut(),
        }
    }

    /// So many bytes.
    #[inline]
    pub fn exactly<const N: usize>(&mut self) -> Parse<[u8; N]> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => self.cut(),
        }
    }

    #[cold]
    fn cut<T>(&self) -> Parse<T> {
        let len = self.bytes.len();
        self.wrong(format!("it ends after {len} bytes, in the middle of its record"))
    }

    /// A whole number of 64 bits.
    #[inline]
    pub fn long(&mut self) -> Parse<i64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let Some(&byte) = self.bytes.get(self.at) else { return self.cut() };
            if shift > 63 || (shift == 63 && byte > 1) {
                return self.wrong(format!("a number has more than 64 bits, at byte {}", self.at));
            }
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
        }
    }

    /// A whole number of 32 bits.
    #[inline]
    pub fn int(&mut self) -> Parse<i32> {
        let start = self.at;
        let value = self.long()?;
        i32::try_from(value).or_else(|_| {
            self.at = start;
            self.wrong(format!("{value} does not fit into 32 bits, at byte {start}"))
        })
    }

    /// Bytes behind their length.
    #[inline]
    pub fn bytes(&mut self) -> Parse<&'a [u8]> {
        let start = self.at;
        let len = self.long()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => {
                self.at = start;
                self.wrong(format!("a length is {len}, at byte {start}"))
            }
        }
    }

    /// A text.
    #[inline]
    pub fn text(&mut self) -> Parse<&'a str> {
        let start = self.at;
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).or_else(|_| {
            self.at = start;
            self.wrong(format!("a text is not UTF-8, at byte {start}"))
        })
    }

    /// One of so many choices.
    #[inline]
    pub fn choice(&mut self, count: usize, what: &str) -> Parse<usize> {
        let start = self.at;
        let choice = self.long()?;
        match usize::try_from(choice) {
            Ok(choice) if choice < count => Ok(choice),
            _ => {
                self.at = start;
                self.wrong(format!("{what} {choice} of {count}, at byte {start}"))
            }
        }
    }

    /// Items in blocks, each read by `read`.
    pub fn blocks(&mut self, mut read: impl FnMut(&mut Self) -> Parse<()>) -> Parse<()> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // the length in bytes, for readers that skip
                self.long()?;
                count = count.saturating_neg();
            }
            for _ in 0..count {
                let start = self.at;
                read(self)?;
                if self.at == start {
                    let Some(left) = self.empty_left.checked_sub(1) else {
                        let max = EMPTY_ITEMS_MAX;
                        return self.wrong(format!("it has more than {max} items without bytes"));
                    };
                    self.empty_left = left;
                }
            }
        }
    }

    /// Passes over a value.
    pub fn skip(&mut self, kind: &AvroKind, schema: &AvroSchema, depth: usize) -> Parse<()> {
        if depth > DEPTH_MAX {
            return Err(Wrong::new(self.at, Fault::Deep));
        }
        match kind {
            AvroKind::Null => {}
            AvroKind::Boolean => {
                self.take(1)?;
            }
            AvroKind::Int
            | AvroKind::Long
            | AvroKind::Enum(_)
            | AvroKind::Date
            | AvroKind::TimeMillis
            | AvroKind::TimeMicros
            | AvroKind::Moment(..) => {
                self.long()?;
            }
            AvroKind::Float => {
                self.take(4)?;
            }
            AvroKind::Double => {
                self.take(8)?;
            }
            AvroKind::Bytes | AvroKind::Text | AvroKind::Decimal(None, _) => {
                self.bytes()?;
            }
            AvroKind::Fixed(size) | AvroKind::Decimal(Some(size), _) => {
                self.take(*size)?;
            }
            AvroKind::Uuid => {
                self.take(16)?;
            }
            AvroKind::Duration => {
                self.take(12)?;
            }
            AvroKind::Array(item) => self.blocks(|cursor| cursor.skip(item, schema, depth + 1))?,
            AvroKind::Map(item) => self.blocks(|cursor| {
                cursor.bytes()?;
                cursor.skip(item, schema, depth + 1)
            })?,
            AvroKind::Union(kinds) => {
                let branch = self.choice(kinds.len(), "there is no type")?;
                self.skip(&kinds[branch], schema, depth + 1)?;
            }
            AvroKind::Record(place) => {
                for field in &schema.records[*place].fields {
                    self.skip(&field.kind, schema, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}
