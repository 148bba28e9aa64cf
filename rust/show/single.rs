//! Columns of single values.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

use super::form::{BoxedCells, Cells, ShownAs};
use super::{plain, times};

/// Prepares a column of single values; none if its values have parts.
pub fn single(column: &dyn Array, field: &Field) -> Option<BoxedCells> {
    macro_rules! whole {
        ($type:ty) => {
            number::<$type>(column, |value, _, out| {
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            })
        };
    }
    macro_rules! decimal {
        ($type:ty, $scale:expr) => {{
            let scale = *$scale;
            number::<$type>(column, move |value, form, out| {
                let digits = value.to_string();
                form.quote(out, |out| plain::decimal(out, &digits, scale));
            })
        }};
    }
    macro_rules! timed {
        ($type:ty, |$out:ident, $value:ident| $write:expr) => {
            number::<$type>(column, move |$value, form, out| form.quote(out, |$out| $write))
        };
    }
    macro_rules! texts {
        ($array:expr) => {
            plain($array.clone(), |array, row, form, out| match form {
                ShownAs::Text => out.extend_from_slice(array.value(row).as_bytes()),
                ShownAs::JsonInText | ShownAs::Json => plain::quoted(out, array.value(row)),
            })
        };
    }
    macro_rules! bytes {
        ($array:expr) => {
            plain($array.clone(), |array, row, form, out| {
                form.quote(out, |out| plain::base64(out, array.value(row)));
            })
        };
    }
    Some(match column.data_type() {
        DataType::Null => Box::new(Nulls),
        DataType::Boolean => plain(column.as_boolean().clone(), |array, row, _, out| {
            out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
        }),
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float16 => number::<Float16Type>(column, |value, form, out| {
            form.float(out, plain::shortest(value.to_f32()));
        }),
        DataType::Float32 => number::<Float32Type>(column, |value, form, out| {
            form.float(out, plain::shortest(value));
        }),
        DataType::Float64 => {
            number::<Float64Type>(column, |value, form, out| form.float(out, value))
        }
        DataType::Decimal32(_, scale) => decimal!(Decimal32Type, scale),
        DataType::Decimal64(_, scale) => decimal!(Decimal64Type, scale),
        DataType::Decimal128(_, scale) => decimal!(Decimal128Type, scale),
        DataType::Decimal256(_, scale) => decimal!(Decimal256Type, scale),
        DataType::Utf8 => texts!(column.as_string::<i32>()),
        DataType::LargeUtf8 => texts!(column.as_string::<i64>()),
        DataType::Utf8View => texts!(column.as_string_view()),
        DataType::Binary => bytes!(column.as_binary::<i32>()),
        DataType::LargeBinary => bytes!(column.as_binary::<i64>()),
        DataType::BinaryView => bytes!(column.as_binary_view()),
        DataType::FixedSizeBinary(16) if field.extension_type_name() == Some("arrow.uuid") => {
            plain(column.as_fixed_size_binary().clone(), |array, row, form, out| {
                form.quote(out, |out| plain::uuid(out, array.value(row)));
            })
        }
        DataType::FixedSizeBinary(_) => bytes!(column.as_fixed_size_binary()),
        DataType::Date32 => timed!(Date32Type, |out, days| times::date(out, days.into())),
        DataType::Date64 => {
            timed!(Date64Type, |out, value| times::date(out, value.div_euclid(86_400_000)))
        }
        DataType::Time32(unit) => {
            let unit = *unit;
            match unit {
                TimeUnit::Second => {
                    timed!(Time32SecondType, |out, v| times::clock(out, v.into(), unit))
                }
                _ => timed!(Time32MillisecondType, |out, v| times::clock(out, v.into(), unit)),
            }
        }
        DataType::Time64(unit) => {
            let unit = *unit;
            match unit {
                TimeUnit::Microsecond => {
                    timed!(Time64MicrosecondType, |out, v| times::clock(out, v, unit))
                }
                _ => timed!(Time64NanosecondType, |out, v| times::clock(out, v, unit)),
            }
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, zoned) = (*unit, zone.is_some());
            in_unit(column, unit, move |value, form, out| {
                form.quote(out, |out| times::timestamp(out, value, unit, zoned));
            })
        }
        DataType::Duration(unit) => {
            let unit = *unit;
            in_unit(column, unit, move |value, form, out| {
                form.quote(out, |out| times::duration(out, value, unit));
            })
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            timed!(IntervalYearMonthType, |out, months| times::interval(out, months.into(), 0, 0))
        }
        DataType::Interval(IntervalUnit::DayTime) => timed!(IntervalDayTimeType, |out, value| {
            let nanoseconds = i64::from(value.milliseconds) * 1_000_000;
            times::interval(out, 0, value.days.into(), nanoseconds);
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            timed!(IntervalMonthDayNanoType, |out, value| {
                times::interval(out, value.months.into(), value.days.into(), value.nanoseconds);
            })
        }
        _ => return None,
    })
}

/// Times in any unit, as their numbers.
fn in_unit(
    column: &dyn Array,
    unit: TimeUnit,
    write: impl Fn(i64, ShownAs, &mut Vec<u8>) + Send + Sync + 'static,
) -> BoxedCells {
    let timestamp = matches!(column.data_type(), DataType::Timestamp(..));
    match (unit, timestamp) {
        (TimeUnit::Second, true) => number::<TimestampSecondType>(column, write),
        (TimeUnit::Millisecond, true) => number::<TimestampMillisecondType>(column, write),
        (TimeUnit::Microsecond, true) => number::<TimestampMicrosecondType>(column, write),
        (TimeUnit::Nanosecond, true) => number::<TimestampNanosecondType>(column, write),
        (TimeUnit::Second, false) => number::<DurationSecondType>(column, write),
        (TimeUnit::Millisecond, false) => number::<DurationMillisecondType>(column, write),
        (TimeUnit::Microsecond, false) => number::<DurationMicrosecondType>(column, write),
        (TimeUnit::Nanosecond, false) => number::<DurationNanosecondType>(column, write),
    }
}

fn number<T: ArrowPrimitiveType>(
    column: &dyn Array,
    write: impl Fn(T::Native, ShownAs, &mut Vec<u8>) + Send + Sync + 'static,
) -> BoxedCells {
    plain(column.as_primitive::<T>().clone(), move |array: &PrimitiveArray<T>, row, form, out| {
        write(array.value(row), form, out);
    })
}

fn plain<A: Array + 'static>(
    array: A,
    write: impl Fn(&A, usize, ShownAs, &mut Vec<u8>) + Send + Sync + 'static,
) -> BoxedCells {
    Box::new(Single { array, write })
}

struct Single<A, W> {
    array: A,
    write: W,
}

impl<A: Array, W: Fn(&A, usize, ShownAs, &mut Vec<u8>) + Send + Sync> Cells for Single<A, W> {
    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn write_valid(&self, row: usize, form: ShownAs, out: &mut Vec<u8>) {
        (self.write)(&self.array, row, form, out);
    }
}

struct Nulls;

impl Cells for Nulls {
    fn is_null(&self, _: usize) -> bool {
        true
    }

    fn write_valid(&self, _: usize, _: ShownAs, _: &mut Vec<u8>) {}
}
