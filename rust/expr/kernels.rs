//! The loops under comparison, arithmetic and choice.
//!
//! Arrow's own kernels order floats by their bits and fail a whole batch for one overflow, hence
//! these. A side that is `one` is a constant: its first value stands for every row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, Scalar};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use arrow_select::zip::zip as arrow_zip;

use super::cast::{retyped, ticks};
use crate::error::Result;

/// One argument: an array of all rows, or of one value used for all rows.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The values.
    pub array: &'a ArrayRef,
    /// Whether there is one value for all rows.
    pub one: bool,
}

impl Side<'_> {
    /// Where the value of a row is.
    pub fn index(self, row: usize) -> usize {
        if self.one { 0 } else { row }
    }

    /// Which of `len` rows are there.
    pub fn valid(self, len: usize) -> Option<NullBuffer> {
        match self.array.logical_nulls() {
            Some(nulls) if self.one => nulls.is_null(0).then(|| NullBuffer::new_null(len)),
            nulls => nulls,
        }
    }
}

/// Calls `f` on the values of each row, and collects.
pub fn zip<A: Copy, B: Copy, O>(
    len: usize,
    (a, a_one): (&[A], bool),
    (b, b_one): (&[B], bool),
    f: impl Fn(A, B) -> O,
) -> Vec<O> {
    match (a_one, b_one) {
        (false, false) => a[..len].iter().zip(&b[..len]).map(|(a, b)| f(*a, *b)).collect(),
        (false, true) => {
            let b = b[0];
            a[..len].iter().map(|a| f(*a, b)).collect()
        }
        (true, false) => {
            let a = a[0];
            b[..len].iter().map(|b| f(a, *b)).collect()
        }
        (true, true) => (0..len).map(|_| f(a[0], b[0])).collect(),
    }
}

/// As [`zip`], into bits.
pub fn bits<A: Copy, B: Copy>(
    len: usize,
    (a, a_one): (&[A], bool),
    (b, b_one): (&[B], bool),
    f: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    match (a_one, b_one) {
        (false, false) => {
            let (a, b) = (&a[..len], &b[..len]);
            BooleanBuffer::collect_bool(len, |i| f(a[i], b[i]))
        }
        (false, true) => {
            let (a, b) = (&a[..len], b[0]);
            BooleanBuffer::collect_bool(len, |i| f(a[i], b))
        }
        (true, false) => {
            let (a, b) = (a[0], &b[..len]);
            BooleanBuffer::collect_bool(len, |i| f(a, b[i]))
        }
        (true, true) => BooleanBuffer::collect_bool(len, |_| f(a[0], b[0])),
    }
}

/// The rows of `yes` where `mask` is set, else those of `no`; both are of one type.
pub fn choose(mask: &BooleanBuffer, yes: Side, no: Side) -> Result<ArrayRef> {
    match yes.array.data_type() {
        DataType::Float64 => {
            let values = |side: Side| side.array.as_primitive::<Float64Type>().values().clone();
            let values = picked(mask, (&values(yes), yes.one), (&values(no), no.one));
            Ok(Arc::new(Float64Array::new(values.into(), picked_valid(mask, yes, no))))
        }
        whole @ (DataType::Int64 | DataType::Timestamp(..) | DataType::Duration(_)) => {
            let (a, b) = (ticks(yes.array), ticks(no.array));
            let values = picked(mask, (a.values(), yes.one), (b.values(), no.one));
            Ok(retyped(&Int64Array::new(values.into(), picked_valid(mask, yes, no)), whole))
        }
        _ => {
            let mask = BooleanArray::new(mask.clone(), None);
            let one = |side: Side| side.one.then(|| Scalar::new(side.array.clone()));
            Ok(match (one(yes), one(no)) {
                (Some(yes), Some(no)) => arrow_zip(&mask, &yes, &no)?,
                (Some(yes), None) => arrow_zip(&mask, &yes, no.array)?,
                (None, Some(no)) => arrow_zip(&mask, yes.array, &no)?,
                (None, None) => arrow_zip(&mask, yes.array, no.array)?,
            })
        }
    }
}

fn picked<T: Copy>(
    mask: &BooleanBuffer,
    (a, a_one): (&[T], bool),
    (b, b_one): (&[T], bool),
) -> Vec<T> {
    let (a_step, b_step) = (usize::from(!a_one), usize::from(!b_one));
    mask.iter()
        .enumerate()
        .map(|(i, yes)| if yes { a[i * a_step] } else { b[i * b_step] })
        .collect()
}

fn picked_valid(mask: &BooleanBuffer, yes: Side, no: Side) -> Option<NullBuffer> {
    let (yes, no) = match (yes.valid(mask.len()), no.valid(mask.len())) {
        (None, None) => return None,
        sides => sides,
    };
    let bits = |valid: Option<NullBuffer>| {
        valid.map_or_else(|| BooleanBuffer::new_set(mask.len()), NullBuffer::into_inner)
    };
    Some(NullBuffer::new(&(mask & &bits(yes)) | &(&!mask & &bits(no))))
}
