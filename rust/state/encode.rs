//! Encodes key columns as bytes and decodes them again; the only place that does.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal128Array, PrimitiveArray, new_null_array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::hash::{hash_bytes, hash_next, hash_null, hash_wide, hash_word, range_of};
use crate::error::{Error, Result};

/// The keys of a block's rows, in the form stored and compared by an index.
#[derive(Debug)]
pub enum Encoded {
    /// No key columns: one key.
    One,
    /// A single integer-like column.
    Words {
        /// The values, widened.
        values: ScalarBuffer<i64>,
        /// Which values are not null; `None` if all are.
        valid: Option<NullBuffer>,
    },
    /// All other keys: per column a tag (0 null, 1 value), then 8 or 16 bytes, or a length and
    /// bytes.
    Bytes {
        /// End offset of each row's bytes.
        ends: Vec<usize>,
        /// The bytes of all rows.
        data: Vec<u8>,
    },
}

impl Encoded {
    /// The bytes of a row.
    pub fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Encoded::Bytes { ends, data } => {
                &data[if row == 0 { 0 } else { ends[row - 1] }..ends[row]]
            }
            Encoded::One | Encoded::Words { .. } => &[],
        }
    }
}

/// One key in its stored form.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// A null in a single column, or the key of no columns.
    Null,
    /// See [`Encoded::Words`].
    Word(i64),
    /// See [`Encoded::Bytes`].
    Bytes(&'a [u8]),
}

/// One key column in the form used for hashing.
enum KeyColumn {
    Words(ScalarBuffer<i64>),
    Wide(Vec<i128>),
    Bytes(ArrayRef),
}

impl KeyColumn {
    fn words(self) -> Option<ScalarBuffer<i64>> {
        match self {
            KeyColumn::Words(words) => Some(words),
            KeyColumn::Wide(_) | KeyColumn::Bytes(_) => None,
        }
    }
}

/// Whether a column of this type can be a key.
pub fn check_key(name: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Decimal128(..)
        | DataType::Utf8
        | DataType::Binary => Ok(()),
        other => Err(Error::Plan(format!(
            "column \"{name}\" of type {} cannot be a key\nhint: keys are integers, text, binary, \
             bool, dates, timestamps and decimals; cast it with with_columns",
            crate::schema::type_word(other).unwrap_or_else(|_| other.to_string())
        ))),
    }
}

/// Encodes key columns; also returns the range of each row, or none if there are no columns.
pub fn encode(columns: &[ArrayRef], len: usize) -> Result<(Encoded, Option<Vec<u8>>)> {
    if columns.is_empty() {
        return Ok((Encoded::One, None));
    }
    let parts: Vec<KeyColumn> = columns.iter().map(part).collect::<Result<_>>()?;
    let ranges = ranges(&parts, columns, len);
    let encoded = match parts.as_slice() {
        [KeyColumn::Words(_)] => {
            let valid = columns[0].nulls().filter(|nulls| nulls.null_count() != 0).cloned();
            let words = parts.into_iter().find_map(KeyColumn::words);
            Encoded::Words { values: words.unwrap_or_default(), valid }
        }
        _ => encode_bytes(&parts, columns, len),
    };
    Ok((encoded, Some(ranges)))
}

/// The range of each row, from a fixed hash of its key's values.
fn ranges(parts: &[KeyColumn], columns: &[ArrayRef], len: usize) -> Vec<u8> {
    if let ([KeyColumn::Words(values)], 0) = (parts, columns[0].null_count()) {
        return values.iter().map(|&value| range_of(hash_word(value)) as u8).collect();
    }
    let mut hashes = hash_column(&parts[0], columns[0].nulls(), len);
    for (part, column) in parts.iter().zip(columns).skip(1) {
        let next = hash_column(part, column.nulls(), len);
        hashes.iter_mut().zip(next).for_each(|(hash, next)| *hash = hash_next(*hash, next));
    }
    hashes.into_iter().map(|hash| range_of(hash) as u8).collect()
}

fn part(column: &ArrayRef) -> Result<KeyColumn> {
    fn words<T: ArrowPrimitiveType>(column: &ArrayRef) -> KeyColumn
    where
        T::Native: num::AsWord,
    {
        KeyColumn::Words(
            column.as_primitive::<T>().values().iter().map(num::AsWord::word).collect(),
        )
    }
    Ok(match column.data_type() {
        DataType::Boolean => {
            KeyColumn::Words(column.as_boolean().values().iter().map(i64::from).collect())
        }
        DataType::Int8 => words::<Int8Type>(column),
        DataType::Int16 => words::<Int16Type>(column),
        DataType::Int32 => words::<Int32Type>(column),
        DataType::Int64 => KeyColumn::Words(column.as_primitive::<Int64Type>().values().clone()),
        DataType::UInt8 => words::<UInt8Type>(column),
        DataType::UInt16 => words::<UInt16Type>(column),
        DataType::UInt32 => words::<UInt32Type>(column),
        DataType::UInt64 => words::<UInt64Type>(column),
        DataType::Date32 => words::<Date32Type>(column),
        DataType::Timestamp(TimeUnit::Second, _) => words::<TimestampSecondType>(column),
        DataType::Timestamp(TimeUnit::Millisecond, _) => words::<TimestampMillisecondType>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => words::<TimestampMicrosecondType>(column),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => words::<TimestampNanosecondType>(column),
        DataType::Duration(TimeUnit::Second) => words::<DurationSecondType>(column),
        DataType::Duration(TimeUnit::Millisecond) => words::<DurationMillisecondType>(column),
        DataType::Duration(TimeUnit::Microsecond) => words::<DurationMicrosecondType>(column),
        DataType::Duration(TimeUnit::Nanosecond) => words::<DurationNanosecondType>(column),
        DataType::Decimal128(..) => {
            KeyColumn::Wide(column.as_primitive::<Decimal128Type>().values().to_vec())
        }
        DataType::Utf8 | DataType::Binary => KeyColumn::Bytes(column.clone()),
        other => return Err(Error::Plan(format!("a column of type {other} cannot be a key"))),
    })
}

mod num {
    pub trait AsWord {
        fn word(&self) -> i64;
    }
    macro_rules! as_word {
        ($($t:ty)*) => { $(impl AsWord for $t { fn word(&self) -> i64 { *self as i64 } })* };
    }
    as_word!(i8 i16 i32 i64 u8 u16 u32 u64);
}

fn bytes_at(column: &ArrayRef, row: usize) -> &[u8] {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).as_bytes(),
        _ => column.as_binary::<i32>().value(row),
    }
}

fn hash_column(part: &KeyColumn, nulls: Option<&NullBuffer>, len: usize) -> Vec<u64> {
    let mut hashes: Vec<u64> = match part {
        KeyColumn::Words(values) => values.iter().map(|&value| hash_word(value)).collect(),
        KeyColumn::Wide(values) => values.iter().map(|&value| hash_wide(value)).collect(),
        KeyColumn::Bytes(column) => (0..len).map(|row| hash_bytes(bytes_at(column, row))).collect(),
    };
    if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() != 0) {
        let null = hash_null();
        (0..len).filter(|&row| nulls.is_null(row)).for_each(|row| hashes[row] = null);
    }
    hashes
}

fn encode_bytes(parts: &[KeyColumn], columns: &[ArrayRef], len: usize) -> Encoded {
    let mut data = Vec::with_capacity(len * parts.len() * 9);
    let mut ends = Vec::with_capacity(len);
    for row in 0..len {
        for (part, column) in parts.iter().zip(columns) {
            if column.is_null(row) {
                data.push(0);
                continue;
            }
            data.push(1);
            match part {
                KeyColumn::Words(values) => data.extend(values[row].to_le_bytes()),
                KeyColumn::Wide(values) => data.extend(values[row].to_le_bytes()),
                KeyColumn::Bytes(column) => {
                    let bytes = bytes_at(column, row);
                    data.extend((bytes.len() as u32).to_le_bytes());
                    data.extend(bytes);
                }
            }
        }
        ends.push(data.len());
    }
    Encoded::Bytes { ends, data }
}

/// One decoded column value.
enum Field<'a> {
    Null,
    Word(i64),
    Wide(i128),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Field::Bytes(bytes) => Some(bytes),
            Field::Null | Field::Word(_) | Field::Wide(_) => None,
        }
    }
}

fn field<'a>(bytes: &mut &'a [u8], data_type: &DataType) -> Field<'a> {
    fn split<'a>(bytes: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (head, tail) = bytes.split_at(n);
        *bytes = tail;
        head
    }
    if split(bytes, 1)[0] == 0 {
        return Field::Null;
    }
    match data_type {
        DataType::Decimal128(..) => {
            Field::Wide(i128::from_le_bytes(split(bytes, 16).try_into().expect("16 bytes")))
        }
        DataType::Utf8 | DataType::Binary => {
            let len = u32::from_le_bytes(split(bytes, 4).try_into().expect("4 bytes"));
            Field::Bytes(split(bytes, len as usize))
        }
        _ => Field::Word(i64::from_le_bytes(split(bytes, 8).try_into().expect("8 bytes"))),
    }
}

/// Decodes stored keys to columns of the given types.
pub fn decode<'a>(
    types: &[DataType],
    len: usize,
    key: impl Fn(usize) -> Key<'a>,
) -> Result<Vec<ArrayRef>> {
    let mut fields: Vec<Vec<Field<'a>>> = types.iter().map(|_| Vec::with_capacity(len)).collect();
    for i in 0..len {
        match key(i) {
            Key::Null => fields.iter_mut().for_each(|column| column.push(Field::Null)),
            Key::Word(word) => fields.iter_mut().for_each(|column| column.push(Field::Word(word))),
            Key::Bytes(mut bytes) => {
                for (column, data_type) in fields.iter_mut().zip(types) {
                    column.push(field(&mut bytes, data_type));
                }
            }
        }
    }
    types.iter().zip(fields).map(|(data_type, column)| build(data_type, &column)).collect()
}

fn build(data_type: &DataType, fields: &[Field<'_>]) -> Result<ArrayRef> {
    let word = |field: &Field<'_>| match field {
        Field::Word(word) => Some(*word),
        Field::Null | Field::Wide(_) | Field::Bytes(_) => None,
    };
    Ok(match data_type {
        DataType::Null => new_null_array(data_type, fields.len()),
        DataType::Decimal128(precision, scale) => {
            let wide = fields.iter().map(|field| match field {
                Field::Wide(wide) => Some(*wide),
                Field::Null | Field::Word(_) | Field::Bytes(_) => None,
            });
            let array: Decimal128Array = wide.collect();
            Arc::new(array.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Utf8 => {
            let mut column = StringBuilder::new();
            for f in fields {
                let text = f.bytes().map(std::str::from_utf8).transpose();
                column.append_option(text.map_err(|e| Error::Snapshot(e.to_string()))?);
            }
            Arc::new(column.finish())
        }
        DataType::Binary => {
            let mut column = BinaryBuilder::new();
            fields.iter().for_each(|f| column.append_option(f.bytes()));
            Arc::new(column.finish())
        }
        _ => words_as(fields.iter().map(word).collect(), data_type)?,
    })
}

/// Converts 64-bit words to an integer-like column of the original type.
pub fn words_as(words: PrimitiveArray<Int64Type>, data_type: &DataType) -> Result<ArrayRef> {
    match data_type {
        DataType::Int64 => Ok(Arc::new(words)),
        DataType::Boolean => {
            Ok(Arc::new(words.iter().map(|word| word.map(|w| w != 0)).collect::<BooleanArray>()))
        }
        DataType::UInt64 | DataType::Timestamp(..) | DataType::Duration(_) => {
            let data = words.into_data().into_builder().data_type(data_type.clone());
            Ok(arrow_array::make_array(data.build()?))
        }
        _ => Ok(arrow_cast::cast(&words, data_type)?),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Date32Array, TimestampNanosecondArray, UInt64Array};

    use super::*;
    use crate::state::keys::{KeyColumns, Keys};

    #[test]
    fn every_key_type_comes_back() {
        let decimals = Decimal128Array::from(vec![Some(-5), None]).with_precision_and_scale(9, 2);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(PrimitiveArray::<Int8Type>::from(vec![Some(-3), None])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            Arc::new(Date32Array::from(vec![Some(-1), None])),
            Arc::new(TimestampNanosecondArray::from(vec![Some(7), None]).with_timezone("UTC")),
            Arc::new(decimals.unwrap()),
            Arc::new(arrow_array::StringArray::from(vec![Some(""), None])),
            Arc::new(arrow_array::BinaryArray::from(vec![Some(b"\x00".as_slice()), None])),
        ];
        let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
        let all = |by: &[ArrayRef], types: &[DataType]| {
            let encoded = KeyColumns::new(by, 2).unwrap();
            let mut keys = Keys::default();
            let ids = [keys.intern(&encoded, 0), keys.intern(&encoded, 1)];
            let back = keys.columns(&ids, types).unwrap();
            assert!(back.iter().zip(by).all(|(a, b)| a.as_ref() == b.as_ref()), "{types:?}");
        };
        all(&columns, &types);
        for (column, data_type) in columns.iter().zip(&types) {
            check_key("k", data_type).unwrap();
            all(std::slice::from_ref(column), std::slice::from_ref(data_type));
        }
        assert!(check_key("k", &DataType::Float64).is_err());
    }
}
