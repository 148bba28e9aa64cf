//! One layout behind the edge: one kind of string, of binary, of list, of decimal; no dictionary.
//!
//! Timestamps keep their unit and zone: the column passes through unchanged, and only the role of
//! event time floors to microseconds.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowTimestampType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType, Field, TimeUnit};

use super::{list, named, unsupported};
use crate::error::{Error, Result};

/// The type in which a column of `data_type` is carried from the edge on.
pub fn normalised(data_type: &DataType) -> Result<DataType> {
    Ok(match data_type {
        DataType::Dictionary(_, values) => normalised(values)?,
        DataType::RunEndEncoded(_, values) => normalised(values.data_type())?,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            one_decimal(*precision, *scale).ok_or_else(|| unsupported(data_type))?
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => list(normalised(item.data_type())?),
        DataType::Struct(fields) => {
            let fields: Result<Vec<Field>> = fields
                .iter()
                .map(|field| Ok(Field::new(field.name(), normalised(field.data_type())?, true)))
                .collect();
            DataType::Struct(fields?.into())
        }
        DataType::Interval(_) | DataType::Union(..) | DataType::Map(..) => {
            return Err(unsupported(data_type));
        }
        plain => plain.clone(),
    })
}

/// A decimal of at most 38 digits and no negative scale; values that need more are an error later.
fn one_decimal(precision: u8, scale: i8) -> Option<DataType> {
    let digits = i16::from(precision) - i16::from(scale).min(0);
    let scale = scale.max(0);
    (scale <= 38).then(|| DataType::Decimal128(digits.min(38) as u8, scale))
}

/// `array` as a column of type `to`, value for value.
///
/// Takes what [`normalised`] maps to `to`, integers and floats of other widths, timestamps of
/// other units. A value that `to` cannot hold exactly is an error, never a null or a rounding.
///
/// # Errors
///
/// `Schema` where the types do not belong together, `Data` where a value does not fit.
pub fn normalise(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let from = array.data_type();
    if from == to {
        return Ok(array.clone());
    }
    if from == &DataType::Null {
        return Ok(new_null_array(to, array.len()));
    }
    if !fits(from, to) || !can_cast_types(from, to) {
        return Err(Error::Schema(format!("the column is {}, not {}", named(from), named(to))));
    }
    if let (DataType::Timestamp(own, _), DataType::Timestamp(unit, zone)) = (from, to)
        && own == unit
    {
        return Ok(rezoned(array, zone.clone()));
    }
    let cast = |array: &ArrayRef, to: &DataType| {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(array, to, &strict)
            .map_err(|error| Error::Data(format!("a value does not fit {}: {error}", named(to))))
    };
    text_fits(array, to)?;
    let result = cast(array, to)?;
    if may_round(from) && cast(&result, from)?.to_data() != array.to_data() {
        return Err(Error::Data(format!("a value does not fit {} exactly", named(to))));
    }
    Ok(result)
}

/// Whether a column of type `from` may stand where the stream has `to`.
fn fits(from: &DataType, to: &DataType) -> bool {
    let same = normalised(from).is_ok_and(|plain| plain == *to);
    let numbers = (from.is_integer() && to.is_integer())
        || (from.is_floating() && to == &DataType::Float64)
        || (from.is_decimal() && to.is_decimal());
    let times = match (from, to) {
        (DataType::Timestamp(_, a), DataType::Timestamp(_, b)) => {
            a == b || (is_utc(a.as_deref()) && is_utc(b.as_deref()))
        }
        _ => false,
    };
    let dictionary = match from {
        DataType::Dictionary(_, values) => fits(values, to),
        _ => false,
    };
    same || numbers || times || dictionary
}

/// Whether the zone is a name of UTC itself.
pub fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, Some("UTC" | "Etc/UTC" | "utc" | "Z" | "GMT" | "Etc/GMT" | "+00:00" | "+0000"))
}

/// Whether a cast from this type, where it succeeds, may have dropped digits.
fn may_round(from: &DataType) -> bool {
    match from {
        DataType::Dictionary(_, values) => may_round(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => may_round(item.data_type()),
        DataType::RunEndEncoded(_, values) => may_round(values.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| may_round(field.data_type())),
        DataType::Date64 | DataType::Time64(_) | DataType::Timestamp(..) => true,
        DataType::Duration(_) => true,
        other => other.is_decimal(),
    }
}

/// Text and bytes with 64-bit offsets must fit 32-bit ones; the caller can split the batch.
fn text_fits(array: &ArrayRef, to: &DataType) -> Result<()> {
    let bytes: usize = match array.data_type() {
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets()),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => {
            array.as_binary_view().lengths().map(|length| length as usize).sum()
        }
        _ => 0,
    };
    if bytes <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::Data(format!(
        "a {} column of {bytes} bytes is more than one batch can hold\nhint: split the batch",
        named(to)
    )))
}

fn span(offsets: &[i64]) -> usize {
    match offsets {
        [first, .., last] => (last - first) as usize,
        [] | [_] => 0,
    }
}

/// The same instants, shown in another zone; `array` is a timestamp.
pub fn rezoned(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
    fn of<T: ArrowTimestampType>(array: &ArrayRef, zone: Option<Arc<str>>) -> ArrayRef {
        Arc::new(array.as_primitive::<T>().clone().with_timezone_opt(zone))
    }
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array, zone),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            of::<TimestampMillisecondType>(array, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            of::<TimestampMicrosecondType>(array, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of::<TimestampNanosecondType>(array, zone),
        _ => array.clone(),
    }
}

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

/// `array` in the type that [`widen`] gave; integers beyond 2^53 become the nearest float.
pub fn widened(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if number(array.data_type()) && to == &DataType::Float64 {
        return Ok(cast_with_options(array, to, &CastOptions::default())?);
    }
    normalise(array, to)
}

fn number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{parse_type, type_word};
    use arrow_array::builder::StringDictionaryBuilder;
    use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, UInt32Type};
    use arrow_array::*;
    use arrow_buffer::i256;

    fn normal(array: impl Array + 'static) -> Result<ArrayRef> {
        let to = normalised(array.data_type())?;
        normalise(&(Arc::new(array) as ArrayRef), &to)
    }

    #[test]
    fn layouts_become_one() {
        fn dictionary<K: ArrowDictionaryKeyType>() -> ArrayRef {
            let mut builder = StringDictionaryBuilder::<K>::new();
            builder.extend([Some("a"), None, Some("b"), Some("a")]);
            normal(builder.finish()).unwrap()
        }
        let texts = vec![Some("a"), None, Some("b"), Some("a")];
        let expected: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        assert_eq!(&dictionary::<Int8Type>(), &expected);
        assert_eq!(&dictionary::<UInt32Type>(), &expected);
        assert_eq!(&normal(LargeStringArray::from(texts.clone())).unwrap(), &expected);
        assert_eq!(&normal(StringViewArray::from(texts)).unwrap(), &expected);
        let sliced = LargeStringArray::from(vec!["x", "a", "b"]).slice(1, 2);
        assert_eq!(normal(sliced).unwrap().as_string::<i32>().value(1), "b");
        let days = normal(Date64Array::from(vec![Some(-86_400_000), None])).unwrap();
        assert_eq!(days.as_ref(), &Date32Array::from(vec![Some(-1), None]) as &dyn Array);
    }

    #[test]
    fn nothing_is_rounded() {
        assert!(normal(Date64Array::from(vec![1])).is_err());
        assert!(normal(DurationNanosecondArray::from(vec![1_500])).is_err());
        assert!(normal(DurationSecondArray::from(vec![i64::MAX])).is_err());
        assert!(normal(Time64NanosecondArray::from(vec![1])).is_err());
        let wide = |v| Decimal256Array::from(vec![v]).with_precision_and_scale(76, 2).unwrap();
        let fits = normal(wide(i256::from_i128(150))).unwrap();
        assert_eq!(fits.data_type(), &DataType::Decimal128(38, 2));
        assert_eq!(fits.as_primitive::<arrow_array::types::Decimal128Type>().value(0), 150);
        assert!(normal(wide(i256::MAX)).is_err());
        let long: ArrayRef = Arc::new(Int64Array::from(vec![Some(300), None]));
        assert!(matches!(normalise(&long, &DataType::Int8), Err(Error::Data(_))));
        assert!(normalise(&long, &DataType::Int32).is_ok());
        assert!(matches!(normalise(&long, &DataType::Utf8), Err(Error::Schema(_))));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1]));
        assert!(normalise(&nanos, &parse_type("timestamp[us]").unwrap()).is_err());
    }

    #[test]
    fn names_of_utc_are_one_zone() {
        let times = TimestampMicrosecondArray::from(vec![5]).with_timezone("Etc/UTC");
        let times: ArrayRef = Arc::new(times);
        let utc = parse_type("timestamp[us, UTC]").unwrap();
        assert_eq!(normalise(&times, &utc).unwrap().data_type(), &utc);
        let error = normalise(&times, &parse_type("timestamp[us]").unwrap()).unwrap_err();
        assert_eq!(error.message(), "the column is timestamp[us, Etc/UTC], not timestamp[us]");
    }

    #[test]
    fn lists_and_structs_are_normalised_inside() {
        let field = Arc::new(Field::new("element", DataType::LargeUtf8, false));
        let list = normalised(&DataType::LargeList(field)).unwrap();
        assert_eq!(type_word(&list).unwrap(), "list[str]");
        assert_eq!(parse_type("list[str]").unwrap(), list);
        let values = LargeStringArray::from(vec!["a", "b", "c"]);
        let item = Arc::new(Field::new_list_field(DataType::LargeUtf8, true));
        let lists = FixedSizeListArray::new(item, 1, Arc::new(values), None);
        assert_eq!(normal(lists).unwrap().data_type(), &list);
        let negative = DataType::Decimal128(5, -2);
        assert_eq!(normalised(&negative), Ok(DataType::Decimal128(7, 0)));
        assert!(normalised(&DataType::Interval(arrow_schema::IntervalUnit::DayTime)).is_err());
    }

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
        assert!(widened(&big, &Float64).is_ok());
    }
}
