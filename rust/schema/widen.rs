//! The one type of two columns that a union makes one.

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::fit::{Fitted, fit};
use super::single::TextsFor;
use crate::error::Result;

/// The type in which a union carries two columns of one name, if there is one.
///
/// Equal types stay, integers become i64, floats f64, both together f64. u64 does not mix with
/// other integers: not all of its values are an i64.
pub fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    let whole = |t: &DataType| t.is_integer() && t != &DataType::UInt64;
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        _ if whole(a) && whole(b) => Some(DataType::Int64),
        _ if number(a) && number(b) && !(a.is_integer() && b.is_integer()) => {
            Some(DataType::Float64)
        }
        _ => None,
    }
}

/// `array` in the type that [`widen`] gave. Integers that no float is exactly are misfits.
pub fn widened(array: &ArrayRef, to: &DataType) -> Result<Fitted> {
    fit(array, to, TextsFor::Some)
}

fn number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn a_union_widens_numbers_only() {
        use DataType::*;
        assert_eq!(widen(&Int8, &UInt32), Some(Int64));
        assert_eq!(widen(&Int8, &Int8), Some(Int8));
        assert_eq!(widen(&Int8, &Float32), Some(Float64));
        assert_eq!(widen(&Float32, &Float64), Some(Float64));
        assert_eq!(widen(&Null, &Utf8), Some(Utf8));
        assert_eq!(widen(&UInt64, &Int64), None);
        assert_eq!(widen(&UInt64, &Float64), Some(Float64));
        assert_eq!(widen(&Utf8, &Int64), None);
        let big: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1]));
        assert_eq!(widened(&big, &Float64).unwrap().misfits.len(), 1);
    }
}
