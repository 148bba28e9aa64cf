//! Times, decimals and casts.

use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::*;

use super::*;

#[test]
fn text_beside_a_time_is_a_time() {
    let day = 86_400_000_000;
    let table = Table(vec![
        column("t", TimestampMicrosecondArray::from(vec![day, day - 1]).with_timezone("UTC")),
        column("n", TimestampNanosecondArray::from(vec![day * 1_000 + 999, -1])),
        column("s", TimestampSecondArray::from(vec![86_400, i64::MAX])),
        column("d", Date32Array::from(vec![1, 0])),
    ]);
    let text = lit("1970-01-02", "str");
    for name in ["t", "n", "d"] {
        assert_eq!(table.bools(f("ge", &[col(name), text.clone()])), [T, F], "{name}");
        assert_eq!(table.bools(f("eq", &[text.clone(), col(name)])), [T, F], "{name}");
    }
    assert_eq!(table.bools(f("eq", &[col("t"), col("n")])), [T, F]);
    assert_eq!(table.bools(f("eq", &[col("t"), col("d")])), [T, F]);
    assert_eq!(table.bools(f("lt", &[col("d"), lit("1970-01-01T12:00Z", "str")])), [F, T]);
    assert_eq!(table.eval(f("eq", &[col("s"), col("t")])).1, [false, true]);
    let zoned = lit("1970-01-02T01:00:00+01:00", "str");
    assert_eq!(table.bools(f("eq", &[col("t"), zoned])), [T, F]);
    let floored = table.array(cast(col("n"), "timestamp[us]"));
    assert_eq!(floored.as_ref(), &TimestampMicrosecondArray::from(vec![day, -1]) as &dyn Array);
    let error = table.error(f("gt", &[col("t"), lit("yesterday", "str")]));
    assert!(
        error.starts_with("'yesterday' does not parse as timestamp[us, UTC] in: t > "),
        "{error}"
    );
    let error = table.error(f("gt", &[col("t"), lit(5, "i64")]));
    assert!(
        error.contains("compare timestamp[us, UTC] with i64 in: t > 5\nhint: epoch_s"),
        "{error}"
    );
}

#[test]
fn times_and_durations_compute() {
    let hour = 3_600_000_000;
    let table = Table(vec![
        column("t", TimestampMicrosecondArray::from(vec![Some(hour), None]).with_timezone("UTC")),
        column("d", Date32Array::from(vec![0, 1])),
        column("i", Int64Array::from(vec![-1, i64::MAX])),
    ]);
    let minute = lit(60_000_000, "duration[us]");
    let later = f("add", &[col("t"), minute.clone()]);
    assert_eq!(table.word(later.clone()), "timestamp[us, UTC]");
    assert_eq!(table.word(f("add", &[col("d"), minute.clone()])), "timestamp[us]");
    let age = f("sub", &[later, col("t")]);
    assert_eq!(table.bools(f("eq", &[age.clone(), minute.clone()])), [T, N]);
    assert_eq!(table.floats(f("div", &[age, lit(1, "duration[us]")])), [Some(6e7), None]);
    assert_eq!(table.word(f("sub", &[col("t"), lit("1970-01-01", "str")])), "duration[us]");
    assert_eq!(table.eval(f("mul", &[minute, col("i")])).1, [false, true]);
    assert_eq!(table.word(f("epoch_ms", &[col("i")])), "timestamp[us, UTC]");
    assert_eq!(table.eval(f("epoch_ms", &[col("i")])).1, [false, true]);
    let floored = table.array(f("epoch_ns", &[col("i")]));
    let expected = TimestampMicrosecondArray::from(vec![-1, i64::MAX / 1_000]).with_timezone("UTC");
    assert_eq!(floored.as_ref(), &expected as &dyn Array);
    assert!(table.error(f("add", &[col("t"), col("t")])).contains("cannot add timestamp"));
    assert!(table.error(f("epoch_s", &[col("t")])).contains("an integer is needed"));
}

#[test]
fn decimals_are_exact() {
    let decimal = |values: Vec<Option<i128>>, p, s| {
        Decimal128Array::from(values).with_precision_and_scale(p, s).unwrap()
    };
    let most = 10i128.pow(38) - 1;
    let table = Table(vec![
        column("a", decimal(vec![Some(110), Some(-5), None], 10, 2)),
        column("b", decimal(vec![Some(11), Some(0), Some(1)], 5, 1)),
        column("w", decimal(vec![Some(most), Some(-most), Some(0)], 38, 0)),
        column("i", Int8Array::from(vec![1, 0, 2])),
    ]);
    let values = |json| -> Vec<Option<i128>> {
        table.array(json).as_primitive::<Decimal128Type>().iter().collect()
    };
    assert_eq!(table.bools(f("eq", &[col("a"), col("b")])), [T, F, N]);
    assert_eq!(table.bools(f("eq", &[col("a"), lit("1.1", "str")])), [T, F, N]);
    assert_eq!(table.bools(f("lt", &[col("a"), lit(1.2, "f64")])), [T, T, N]);
    assert_eq!(table.bools(f("eq", &[col("a"), lit(1.1, "f64")])), [T, F, N]);
    assert_eq!(table.bools(f("gt", &[col("w"), col("a")])), [T, F, N]);
    assert_eq!(table.bools(f("lt", &[col("a"), col("w")])), [T, F, N]);
    assert_eq!(values(f("add", &[col("a"), col("b")])), [Some(220), Some(-5), None]);
    assert_eq!(values(f("mul", &[col("a"), col("b")])), [Some(1210), Some(0), None]);
    assert_eq!(values(f("sub", &[col("a"), col("i")])), [Some(10), Some(-5), None]);
    assert_eq!(values(f("mod", &[col("a"), col("b")])), [Some(0), None, None]);
    assert_eq!(values(f("abs", &[col("a")])), [Some(110), Some(5), None]);
    assert_eq!(table.floats(f("div", &[col("a"), col("b")])), [Some(1.0), None, None]);
    assert_eq!(table.eval(f("add", &[col("w"), col("w")])).1, [true, true, false]);
    assert_eq!(table.word(f("coalesce", &[col("a"), lit("0.5", "str")])), "decimal(10, 2)");
    assert_eq!(table.eval(cast(col("a"), "decimal(2, 2)")).1, [true, false, false]);
    let wide = f("mul", &[cast(col("a"), "decimal(38, 20)"), cast(col("a"), "decimal(38, 20)")]);
    assert!(table.error(wide).contains("at most 38 digits"));
}

#[test]
fn a_cast_that_does_not_fit_is_of_its_row() {
    let table = Table(vec![
        column("s", StringArray::from(vec![Some("12"), Some("x"), Some("300"), None])),
        column("x", Float64Array::from(vec![Some(-1.9), Some(f64::NAN), Some(1e300), None])),
        column("t", TimestampMicrosecondArray::from(vec![Some(-1), Some(0), None, Some(1)])),
    ]);
    let (array, over) = table.eval(cast(col("s"), "i8"));
    assert_eq!(array.data_type(), &DataType::Int8);
    assert_eq!(over, [false, true, true, false]);
    let (array, over) = table.eval(cast(col("x"), "i64"));
    assert_eq!(over, [false, true, true, false]);
    assert_eq!(array.as_primitive::<Int64Type>().value(0), -1);
    assert_eq!(table.eval(cast(col("s"), "timestamp[us]")).1, [true, true, true, false]);
    assert_eq!(table.eval(cast(lit(300, "i64"), "i8")).1, [true; 4]);
    let days = table.array(cast(col("t"), "date"));
    let expected = Date32Array::from(vec![Some(-1), Some(0), None, Some(0)]);
    assert_eq!(days.as_ref(), &expected as &dyn Array);
    assert_eq!(table.longs(cast(col("t"), "i64")), [Some(-1), Some(0), None, Some(1)]);
    assert_eq!(
        table.array(cast(col("t"), "str")).as_string::<i32>().value(1),
        "1970-01-01T00:00:00"
    );
    let error = table.error(cast(cast(col("t"), "i64"), "timestamp[us]"));
    assert!(error.contains("hint: epoch_s"), "{error}");
    let berlin = cast(cast(col("t"), "timestamp[us, Europe/Berlin]"), "str");
    assert!(table.error(berlin).contains("hint: cast to timestamp[us, UTC] first"));
    let null = cast(lit(Json::Null, "null"), "list[i64]");
    assert_eq!(table.array(null).null_count(), 4);
}
