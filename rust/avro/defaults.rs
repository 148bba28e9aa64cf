//! The default of a field, as the bytes of a value.

use serde_json::Value;

use super::{AvroKind, AvroSchema};

impl AvroSchema {
    /// The bytes of a default that a schema gives as JSON; none if it is not one of the type.
    pub fn encoded(&self, kind: &AvroKind, value: &Value) -> Option<Vec<u8>> {
        let mut out = vec![];
        self.write(kind, value, &mut out).map(|()| out)
    }

    fn write(&self, kind: &AvroKind, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        match kind {
            AvroKind::Null => value.as_null()?,
            AvroKind::Boolean => out.push(value.as_bool()?.into()),
            AvroKind::Int
            | AvroKind::Long
            | AvroKind::Date
            | AvroKind::TimeMillis
            | AvroKind::TimeMicros
            | AvroKind::Moment(..) => long(out, value.as_i64()?),
            AvroKind::Float => out.extend_from_slice(&(value.as_f64()? as f32).to_le_bytes()),
            AvroKind::Double => out.extend_from_slice(&value.as_f64()?.to_le_bytes()),
            AvroKind::Text => text(out, value.as_str()?.as_bytes()),
            AvroKind::Bytes | AvroKind::Decimal(None, _) => text(out, &latin(value)?),
            AvroKind::Fixed(size) | AvroKind::Decimal(Some(size), _) => {
                out.extend(latin(value).filter(|bytes| bytes.len() == *size)?);
            }
            AvroKind::Uuid => out.extend(latin(value).filter(|bytes| bytes.len() == 16)?),
            AvroKind::Duration => out.extend(latin(value).filter(|bytes| bytes.len() == 12)?),
            AvroKind::Enum(symbols) => {
                let word = value.as_str()?;
                long(out, symbols.iter().position(|symbol| symbol == word)? as i64);
            }
            AvroKind::Array(item) => {
                let items = value.as_array()?;
                if !items.is_empty() {
                    long(out, items.len() as i64);
                }
                items.iter().try_for_each(|value| self.write(item, value, out))?;
                long(out, 0);
            }
            AvroKind::Map(item) => {
                let entries = value.as_object()?;
                if !entries.is_empty() {
                    long(out, entries.len() as i64);
                }
                for (key, value) in entries {
                    text(out, key.as_bytes());
                    self.write(item, value, out)?;
                }
                long(out, 0);
            }
            // the default of a union is one of its first type; newer schemas take any
            AvroKind::Union(kinds) => {
                let fits = |kind: &AvroKind| self.encoded(kind, value);
                let found = kinds.iter().enumerate().find_map(|(i, kind)| Some((i, fits(kind)?)));
                let (branch, bytes) = found?;
                long(out, branch as i64);
                out.extend(bytes);
            }
            AvroKind::Record(place) => {
                for field in &self.records[*place].fields {
                    let value = value.get(&field.name).or(field.default.as_ref())?;
                    self.write(&field.kind, value, out)?;
                }
            }
        }
        Some(())
    }
}

/// A whole number in as few groups of 7 bits as it needs, those near zero in one.
pub fn long(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Bytes behind their length.
pub fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Bytes as JSON has them: a text whose characters are their values.
fn latin(value: &Value) -> Option<Vec<u8>> {
    value.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
