//! One value stored in a cell, for aggregates whose answer is the value of one row.

use std::cmp::Ordering;
use std::fmt::Debug;

use arrow_schema::DataType;

use super::codec::{damaged, put_bytes, put_u64, take_bytes, take_u64};
use super::heap::{Big, Heap};
use super::value::{Class, Value};
use crate::error::Result;

/// How values of one class are stored in words and compared.
pub trait Stored: Send + Sync + Debug + 'static {
    /// Number of words of a value.
    const WORDS: usize;

    /// Whether a value can be stored: it has this class and is not NaN.
    fn accepts(value: Value<'_>) -> bool;

    /// Stores a value over the previous one (or over zeros).
    fn put(words: &mut [u64], heap: &mut Heap, value: Value<'_>);

    /// The stored value.
    fn read<'a>(words: &'a [u64], heap: &'a Heap) -> Value<'a>;

    /// The total order of the class.
    fn compare(a: Value<'_>, b: Value<'_>) -> Ordering;

    /// Appends the value.
    fn save(words: &[u64], heap: &Heap, out: &mut Vec<u8>) {
        let _ = heap;
        words.iter().for_each(|word| put_u64(out, *word));
    }

    /// Loads a saved value into zeroed words.
    fn load(words: &mut [u64], heap: &mut Heap, bytes: &mut &[u8]) -> Result<()>;
}

/// Integers, and types represented as such: bool, dates, timestamps, durations.
#[derive(Debug)]
pub struct Ints;

/// u64 and decimals.
#[derive(Debug)]
pub struct Wides;

/// Floats; `-0.0 < 0.0`.
#[derive(Debug)]
pub struct StoredFloats;

/// Text and binary, stored in the heap and compared byte by byte.
#[derive(Debug)]
pub struct StoredTexts;

impl Stored for Ints {
    const WORDS: usize = 1;

    #[inline(always)]
    fn accepts(value: Value<'_>) -> bool {
        matches!(value, Value::I64(_))
    }

    #[inline(always)]
    fn put(words: &mut [u64], _: &mut Heap, value: Value<'_>) {
        if let Value::I64(v) = value {
            words[0] = v as u64;
        }
    }

    #[inline(always)]
    fn read<'a>(words: &'a [u64], _: &'a Heap) -> Value<'a> {
        Value::I64(words[0] as i64)
    }

    #[inline(always)]
    fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
        match (a, b) {
            (Value::I64(a), Value::I64(b)) => a.cmp(&b),
            (_, _) => Ordering::Equal,
        }
    }

    fn load(words: &mut [u64], _: &mut Heap, bytes: &mut &[u8]) -> Result<()> {
        words[0] = take_u64(bytes)?;
        Ok(())
    }
}

impl Stored for Wides {
    const WORDS: usize = 2;

    #[inline(always)]
    fn accepts(value: Value<'_>) -> bool {
        matches!(value, Value::I128(_))
    }

    #[inline(always)]
    fn put(words: &mut [u64], _: &mut Heap, value: Value<'_>) {
        if let Value::I128(v) = value {
            (words[0], words[1]) = (v as u64, (v >> 64) as u64);
        }
    }

    #[inline(always)]
    fn read<'a>(words: &'a [u64], _: &'a Heap) -> Value<'a> {
        Value::I128((u128::from(words[1]) << 64 | u128::from(words[0])) as i128)
    }

    #[inline(always)]
    fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
        match (a, b) {
            (Value::I128(a), Value::I128(b)) => a.cmp(&b),
            (_, _) => Ordering::Equal,
        }
    }

    fn load(words: &mut [u64], _: &mut Heap, bytes: &mut &[u8]) -> Result<()> {
        (words[0], words[1]) = (take_u64(bytes)?, take_u64(bytes)?);
        Ok(())
    }
}

impl Stored for StoredFloats {
    const WORDS: usize = 1;

    #[inline(always)]
    fn accepts(value: Value<'_>) -> bool {
        matches!(value, Value::F64(v) if !v.is_nan())
    }

    #[inline(always)]
    fn put(words: &mut [u64], _: &mut Heap, value: Value<'_>) {
        if let Value::F64(v) = value {
            words[0] = v.to_bits();
        }
    }

    #[inline(always)]
    fn read<'a>(words: &'a [u64], _: &'a Heap) -> Value<'a> {
        Value::F64(f64::from_bits(words[0]))
    }

    #[inline(always)]
    fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
        match (a, b) {
            (Value::F64(a), Value::F64(b)) => a.total_cmp(&b),
            (_, _) => Ordering::Equal,
        }
    }

    fn load(words: &mut [u64], _: &mut Heap, bytes: &mut &[u8]) -> Result<()> {
        let word = take_u64(bytes)?;
        if f64::from_bits(word).is_nan() {
            return Err(damaged("not a number"));
        }
        words[0] = word;
        Ok(())
    }
}

impl Stored for StoredTexts {
    const WORDS: usize = 1;

    #[inline(always)]
    fn accepts(value: Value<'_>) -> bool {
        matches!(value, Value::Bytes(_))
    }

    fn put(words: &mut [u64], heap: &mut Heap, value: Value<'_>) {
        let Value::Bytes(v) = value else { return };
        let kept = heap.change(words[0] as u32, |big| match big {
            Big::Bytes(kept) => {
                kept.clear();
                kept.extend_from_slice(v);
                true
            }
            Big::Exact(_) | Big::Distinct(_) | Big::Own(_) => false,
        });
        if kept != Some(true) {
            words[0] = heap.alloc(Big::Bytes(v.to_vec())).into();
        }
    }

    #[inline]
    fn read<'a>(words: &'a [u64], heap: &'a Heap) -> Value<'a> {
        match heap.get(words[0] as u32) {
            Some(Big::Bytes(kept)) => Value::Bytes(kept),
            Some(Big::Exact(_) | Big::Distinct(_) | Big::Own(_)) | None => Value::Bytes(&[]),
        }
    }

    #[inline]
    fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
        match (a, b) {
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (_, _) => Ordering::Equal,
        }
    }

    fn save(words: &[u64], heap: &Heap, out: &mut Vec<u8>) {
        if let Value::Bytes(kept) = Self::read(words, heap) {
            put_bytes(out, kept);
        }
    }

    fn load(words: &mut [u64], heap: &mut Heap, bytes: &mut &[u8]) -> Result<()> {
        let kept = take_bytes(bytes)?;
        Self::put(words, heap, Value::Bytes(kept));
        Ok(())
    }
}

/// Frees what words of any class own: only bytes own a heap part, whose handle is the first word.
pub fn release<S: Stored>(words: &mut [u64], heap: &mut Heap) {
    if S::accepts(Value::Bytes(&[])) {
        heap.free(words[0] as u32);
    }
    words.fill(0);
}

/// The [`Stored`] of an argument whose type is known only when the aggregate is built.
#[derive(Clone, Copy, Debug)]
pub enum AnyStored {
    /// [`Ints`].
    Ints,
    /// [`Wides`].
    Wides,
    /// [`StoredFloats`].
    Floats,
    /// [`StoredTexts`].
    Texts,
}

macro_rules! by_class {
    ($any:expr, $S:ident => $do:expr) => {
        match $any {
            AnyStored::Ints => {
                type $S = Ints;
                $do
            }
            AnyStored::Wides => {
                type $S = Wides;
                $do
            }
            AnyStored::Floats => {
                type $S = StoredFloats;
                $do
            }
            AnyStored::Texts => {
                type $S = StoredTexts;
                $do
            }
        }
    };
}

impl AnyStored {
    /// How values of a type are stored; `None` for types that are not.
    pub fn for_type(data_type: &DataType) -> Option<AnyStored> {
        match Class::for_type(data_type) {
            Class::I64 => Some(AnyStored::Ints),
            Class::I128 => Some(AnyStored::Wides),
            Class::F64 => Some(AnyStored::Floats),
            Class::Bytes => Some(AnyStored::Texts),
            Class::Unit => None,
        }
    }

    /// See [`Stored::WORDS`].
    pub fn words(self) -> usize {
        by_class!(self, S => S::WORDS)
    }

    /// See [`Stored::accepts`].
    pub fn accepts(self, value: Value<'_>) -> bool {
        by_class!(self, S => S::accepts(value))
    }

    /// See [`Stored::put`].
    pub fn put(self, words: &mut [u64], heap: &mut Heap, value: Value<'_>) {
        by_class!(self, S => S::put(words, heap, value));
    }

    /// See [`Stored::read`].
    pub fn read<'a>(self, words: &'a [u64], heap: &'a Heap) -> Value<'a> {
        by_class!(self, S => S::read(words, heap))
    }

    /// See [`Stored::compare`].
    pub fn compare(self, a: Value<'_>, b: Value<'_>) -> Ordering {
        by_class!(self, S => S::compare(a, b))
    }

    /// See [`Stored::save`].
    pub fn save(self, words: &[u64], heap: &Heap, out: &mut Vec<u8>) {
        by_class!(self, S => S::save(words, heap, out));
    }

    /// See [`Stored::load`].
    pub fn load(self, words: &mut [u64], heap: &mut Heap, bytes: &mut &[u8]) -> Result<()> {
        by_class!(self, S => S::load(words, heap, bytes))
    }

    /// See [`release`].
    pub fn release(self, words: &mut [u64], heap: &mut Heap) {
        by_class!(self, S => release::<S>(words, heap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trip<S: Stored>(value: Value<'_>) {
        let (mut heap, mut other) = (Heap::default(), Heap::default());
        let (mut words, mut back) = (vec![0; S::WORDS], vec![0; S::WORDS]);
        assert!(S::accepts(value));
        S::put(&mut words, &mut heap, value);
        S::put(&mut words, &mut heap, value);
        let mut out = Vec::new();
        S::save(&words, &heap, &mut out);
        S::load(&mut back, &mut other, &mut &out[..]).unwrap();
        assert_eq!(S::read(&back, &other), value);
        assert!(S::load(&mut back, &mut other, &mut &out[1..]).is_err());
        release::<S>(&mut words, &mut heap);
        assert!(heap.is_empty() && words.iter().all(|w| *w == 0));
    }

    #[test]
    fn values_are_kept_saved_and_read() {
        trip::<Ints>(Value::I64(-3));
        trip::<Wides>(Value::I128(-(1 << 100)));
        trip::<StoredFloats>(Value::F64(-0.0));
        trip::<StoredTexts>(Value::Bytes(b"abc"));
        assert!(!StoredFloats::accepts(Value::F64(f64::NAN)));
        let nan = f64::NAN.to_bits().to_le_bytes();
        assert!(StoredFloats::load(&mut [0], &mut Heap::default(), &mut &nan[..]).is_err());
        assert_eq!(StoredFloats::compare(Value::F64(-0.0), Value::F64(0.0)), Ordering::Less);
    }
}
