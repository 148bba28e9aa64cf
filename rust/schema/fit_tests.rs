//! What fits what.

use std::sync::Arc;

use super::texts::Misfit;
use super::{TextsFor, convert_column, fit, internal_type, parse_type, type_word};
use crate::error::{Error, Result};
use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, UInt32Type};
use arrow_array::*;
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{DataType, Field};

fn normal(array: impl Array + 'static) -> Result<ArrayRef> {
    let to = internal_type(array.data_type())?;
    convert_column(&(Arc::new(array) as ArrayRef), &to)
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
    assert!(matches!(convert_column(&long, &DataType::Int8), Err(Error::Data(_))));
    assert!(convert_column(&long, &DataType::Int32).is_ok());
    assert!(matches!(convert_column(&long, &DataType::Utf8), Err(Error::Schema(_))));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1]));
    assert!(convert_column(&nanos, &parse_type("timestamp[us]").unwrap()).is_err());
}

#[test]
fn names_of_utc_are_one_zone() {
    let times = TimestampMicrosecondArray::from(vec![5]).with_timezone("Etc/UTC");
    let times: ArrayRef = Arc::new(times);
    let utc = parse_type("timestamp[us, UTC]").unwrap();
    assert_eq!(convert_column(&times, &utc).unwrap().data_type(), &utc);
    // a time without a zone is UTC
    let naive = parse_type("timestamp[us]").unwrap();
    assert_eq!(convert_column(&times, &naive).unwrap().data_type(), &naive);
}

#[test]
fn lists_and_structs_are_normalised_inside() {
    let field = Arc::new(Field::new("element", DataType::LargeUtf8, false));
    let list = internal_type(&DataType::LargeList(field)).unwrap();
    assert_eq!(type_word(&list).unwrap(), "list[str]");
    assert_eq!(parse_type("list[str]").unwrap(), list);
    let values = LargeStringArray::from(vec!["a", "b", "c"]);
    let item = Arc::new(Field::new_list_field(DataType::LargeUtf8, true));
    let lists = FixedSizeListArray::new(item, 1, Arc::new(values), None);
    assert_eq!(normal(lists).unwrap().data_type(), &list);
    let negative = DataType::Decimal128(5, -2);
    assert_eq!(internal_type(&negative), Ok(DataType::Decimal128(7, 0)));
    let span = DataType::Interval(arrow_schema::IntervalUnit::DayTime);
    assert_eq!(internal_type(&span).as_ref(), Ok(&span));
}

#[test]
fn each_value_fits_by_itself_or_not() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("2024-05-01T10:00:00.1234567Z"),
        None,
        Some("x"),
        Some("2024-05-01T10:00:00.123456700"),
        Some("2024-05-01T10:00:00.123456000"),
    ]));
    let to = parse_type("timestamp[us, UTC]").unwrap();
    let fitted = fit(&texts, &to, TextsFor::Some).unwrap();
    let digits = Misfit::Digits;
    assert_eq!(fitted.misfits, [(0, digits), (2, Misfit::Kind), (3, digits)]);
    assert_eq!(fitted.array.data_type(), &to);
    assert!(fitted.array.is_valid(4));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5, f64::NAN, 1e300, -0.0]));
    let fitted = fit(&floats, &DataType::Int64, TextsFor::Some).unwrap();
    assert_eq!(fitted.misfits, [(1, digits), (2, Misfit::Range), (3, Misfit::Vague)]);
    let fitted = fit(&floats, &DataType::Float32, TextsFor::Some).unwrap();
    assert_eq!(fitted.misfits, [(3, Misfit::Range)]);
    let decimal = DataType::Decimal128(5, 2);
    let prices: ArrayRef = Arc::new(Float64Array::from(vec![19.99, 1.005, 1000.0]));
    let fitted = fit(&prices, &decimal, TextsFor::Some).unwrap();
    assert_eq!(fitted.misfits, [(1, digits), (2, Misfit::Range)]);
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![1 << 53, (1 << 53) + 1]));
    let fitted = fit(&whole, &DataType::Float64, TextsFor::Some).unwrap();
    assert_eq!(fitted.misfits, [(1, digits)]);
    let cells: ArrayRef = Arc::new(StringArray::from(vec![" 5", "5.0", "1e2", "5.5", "x", ""]));
    let fitted = fit(&cells, &DataType::UInt8, TextsFor::All).unwrap();
    assert_eq!(fitted.misfits, [(3, digits), (4, Misfit::Kind), (5, Misfit::Kind)]);
    assert_eq!(fit(&cells, &DataType::UInt8, TextsFor::Some).unwrap().misfits.len(), 6);
}

#[test]
fn a_list_fits_if_its_items_do() {
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    let values = Arc::new(Float64Array::from(vec![0.5, 1.0, 2.5, 3.0, 9.5]));
    let offsets = arrow_buffer::OffsetBuffer::new(vec![1, 2, 3, 3, 4, 5].into());
    let nulls = NullBuffer::from(vec![true, true, true, true, false]);
    let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, values, Some(nulls)));
    let fitted = fit(&lists, &parse_type("list[i64]").unwrap(), TextsFor::Some).unwrap();
    assert_eq!(fitted.misfits, [(1, Misfit::Digits)]);
    assert!(fitted.array.is_valid(0) && fitted.array.is_null(1) && fitted.array.is_null(4));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.0, 2.0]));
    let field = Arc::new(Field::new("a", DataType::Float64, true));
    let nulls = Some(NullBuffer::from(vec![false, true, true]));
    let rows: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![values], nulls));
    let to = parse_type("struct[a: i8, b: str]").unwrap();
    let fitted = fit(&rows, &to, TextsFor::Some).unwrap();
    assert_eq!((fitted.misfits.len(), fitted.array.null_count()), (0, 1));
}
