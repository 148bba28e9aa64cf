//! Expressions from their JSON to their values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::*;
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema};
use serde_json::{Value as Json, json};

use super::*;
use crate::error::{Error, Result};
use crate::schema::{parse_type, type_word};

mod types;

/// A table of columns by name.
struct Table(Vec<(&'static str, ArrayRef)>);

fn column(name: &'static str, array: impl Array + 'static) -> (&'static str, ArrayRef) {
    (name, Arc::new(array))
}

impl Table {
    fn schema(&self) -> Schema {
        let field =
            |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
        Schema::new(self.0.iter().map(field).collect::<Vec<_>>())
    }

    fn check(&self, json: Json) -> Result<Typed> {
        check(&serde_json::from_value(json).unwrap(), &self.schema())
    }

    fn eval(&self, json: Json) -> (ArrayRef, Vec<bool>) {
        let columns: Vec<ArrayRef> = self.0.iter().map(|(_, array)| array.clone()).collect();
        let len = columns.first().map_or(1, |array| array.len());
        let rows = RowColumns { columns: &columns, len, late: None, arrival: None };
        let typed = self.check(json).unwrap();
        let Evaluated { array, lost } = typed.eval(&rows).unwrap();
        assert_eq!((array.len(), array.data_type()), (len, typed.data_type()));
        let overflow = lost.rows().map_or(vec![false; len], |over| over.iter().collect());
        (array, overflow)
    }

    fn array(&self, json: Json) -> ArrayRef {
        let (array, overflow) = self.eval(json);
        assert!(!overflow.contains(&true), "{overflow:?}");
        array
    }

    fn bools(&self, json: Json) -> Vec<Option<bool>> {
        self.array(json).as_boolean().iter().collect()
    }

    fn longs(&self, json: Json) -> Vec<Option<i64>> {
        self.array(json).as_primitive::<Int64Type>().iter().collect()
    }

    fn floats(&self, json: Json) -> Vec<Option<f64>> {
        self.array(json).as_primitive::<Float64Type>().iter().collect()
    }

    fn error(&self, json: Json) -> String {
        match self.check(json).unwrap_err() {
            Error::Expression(message) | Error::Column(message) => message,
            other => panic!("{other:?}"),
        }
    }

    fn word(&self, json: Json) -> String {
        type_word(self.check(json).unwrap().data_type()).unwrap()
    }
}

fn col(name: &str) -> Json {
    json!({"col": name})
}

fn lit(value: impl Into<Json>, word: &str) -> Json {
    json!({"lit": value.into(), "type": word})
}

fn f(name: &str, args: &[Json]) -> Json {
    json!({"fn": name, "args": args})
}

fn cast(inner: Json, word: &str) -> Json {
    json!({"fn": "cast", "args": [inner], "to": word})
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const N: Option<bool> = None;

fn truths() -> Table {
    Table(vec![
        column("a", BooleanArray::from(vec![T, T, T, F, F, F, N, N, N])),
        column("b", BooleanArray::from(vec![T, F, N, T, F, N, T, F, N])),
    ])
}

#[test]
fn three_valued_logic() {
    let (table, a, b) = (truths(), col("a"), col("b"));
    let args = [a.clone(), b.clone()];
    assert_eq!(table.bools(f("and", &args)), [T, F, N, F, F, F, N, F, N]);
    assert_eq!(table.bools(f("or", &args)), [T, T, T, T, F, N, T, N, N]);
    assert_eq!(table.bools(f("not", std::slice::from_ref(&a))), [F, F, F, T, T, T, N, N, N]);
    assert_eq!(table.bools(f("eq", &args)), [T, F, N, F, T, N, N, N, N]);
    assert_eq!(table.bools(f("lt", &args)), [F, F, N, T, F, N, N, N, N]);
    let null = lit(Json::Null, "null");
    assert_eq!(table.bools(f("and", &[a.clone(), null.clone()])), [N, N, N, F, F, F, N, N, N]);
    assert_eq!(table.bools(f("or", &[null.clone(), a.clone()])), [T, T, T, N, N, N, N, N, N]);
    assert_eq!(table.bools(f("eq", &[a.clone(), null.clone()])), [N; 9]);
    assert_eq!(table.bools(f("is_null", &[a])), [F, F, F, F, F, F, T, T, T]);
    assert_eq!(table.bools(f("is_null", std::slice::from_ref(&null))), [T; 9]);
    assert_eq!(table.bools(f("eq", &[null.clone(), null])), [N; 9]);
}

#[test]
fn a_filter_keeps_what_is_true() {
    let table = truths();
    let columns: Vec<ArrayRef> = table.0.iter().map(|(_, array)| array.clone()).collect();
    let rows = RowColumns { columns: &columns, len: 9, late: None, arrival: None };
    let (kept, over) = table.check(f("or", &[col("a"), col("b")])).unwrap().test(&rows).unwrap();
    assert_eq!(kept.set_indices().collect::<Vec<_>>(), [0, 1, 2, 3, 6]);
    assert!(over.is_empty());
    let null = table.check(lit(Json::Null, "null")).unwrap();
    assert!(!null.test(&rows).unwrap().0.has_true());
    assert!(table.check(lit(1, "i64")).unwrap().test(&rows).is_err());
}

fn numbers() -> Table {
    Table(vec![
        column(
            "i",
            Int64Array::from(vec![Some(7), Some(-7), Some(i64::MAX), Some(i64::MIN), None]),
        ),
        column("j", Int32Array::from(vec![Some(2), Some(2), Some(1), Some(-1), Some(0)])),
        column("z", Int64Array::from(vec![Some(0), Some(3), Some(0), Some(-1), Some(0)])),
        column("u", UInt64Array::from(vec![Some(7), Some(0), Some(u64::MAX), Some(1 << 63), None])),
    ])
}

#[test]
fn an_overflow_is_of_its_row_only() {
    let table = numbers();
    let (array, over) = table.eval(f("add", &[col("i"), col("j")]));
    assert_eq!(over, [false, false, true, true, false]);
    let values: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(values, [Some(9), Some(-5), None, None, None]);
    assert_eq!(table.eval(f("neg", &[col("i")])).1, [false, false, false, true, false]);
    assert_eq!(table.eval(f("abs", &[col("i")])).1, [false, false, false, true, false]);
    assert_eq!(table.eval(f("mul", &[col("i"), col("j")])).1, [false, false, false, true, false]);
    assert_eq!(
        table.eval(f("add", &[col("u"), lit(0, "i64")])).1,
        [false, false, true, true, false]
    );
}

#[test]
fn division_and_remainder() {
    let table = numbers();
    assert_eq!(
        table.longs(f("mod", &[col("i"), col("j")])),
        [Some(1), Some(-1), Some(0), Some(0), None]
    );
    let by_zero = table.longs(f("mod", &[col("j"), col("z")]));
    assert_eq!(by_zero, [None, Some(2), None, Some(0), None]);
    let ratio = table.floats(f("div", &[col("j"), col("z")]));
    assert_eq!(ratio, [None, Some(2.0 / 3.0), None, Some(1.0), None]);
    assert_eq!(table.floats(f("mod", &[lit(-7.5, "f64"), lit(2, "i64")])), [Some(-1.5); 5]);
    assert_eq!(table.word(f("div", &[col("i"), col("i")])), "f64");
    assert_eq!(table.word(f("add", &[col("j"), col("j")])), "i64");
    assert_eq!(table.word(col("j")), "i32");
}

#[test]
fn an_overflow_that_does_not_decide_is_none() {
    let table = numbers();
    let sum = f("add", &[col("i"), col("j")]);
    let bad = f("gt", &[sum.clone(), lit(0, "i64")]);
    let small = f("lt", &[col("i"), lit(100, "i64")]);
    let overflow = |json| table.eval(json).1;
    // i + j overflows in rows 2 and 3; i < 100 is false in 2, true in 3
    assert_eq!(
        overflow(f("and", &[small.clone(), bad.clone()])),
        [false, false, false, true, false]
    );
    assert_eq!(
        overflow(f("or", &[small.clone(), bad.clone()])),
        [false, false, true, false, false]
    );
    assert!(overflow(f("and", &[bad.clone(), small.clone()]))[2]);
    let case = json!({"case": [[small, lit(0, "i64")]], "else": sum});
    assert_eq!(overflow(case), [false, false, true, false, false]);
    assert_eq!(overflow(f("coalesce", &[col("i"), sum.clone()])), [false; 5]);
    assert_eq!(overflow(f("coalesce", &[sum, col("i")])), [false, false, true, true, false]);
    let typed = table.check(bad).unwrap();
    let columns: Vec<ArrayRef> = table.0.iter().map(|(_, array)| array.clone()).collect();
    let rows = RowColumns { columns: &columns, len: 5, late: None, arrival: None };
    let (kept, over) = typed.test(&rows).unwrap();
    assert_eq!(kept, BooleanBuffer::from(vec![true, false, false, false, false]));
    let rows = BooleanBuffer::from(vec![false, false, true, true, false]);
    assert_eq!(over.rows(), Some(rows));
}

#[test]
fn large_integers_compare_exactly() {
    let table = numbers();
    assert_eq!(table.bools(f("gt", &[col("u"), col("i")])), [F, T, T, T, N]);
    assert_eq!(table.bools(f("eq", &[col("u"), col("u")])), [T, T, T, T, N]);
    let max = lit(9223372036854775807.0, "f64"); // 2^63: one more than i64::MAX
    assert_eq!(table.bools(f("lt", &[col("i"), max.clone()])), [T, T, T, T, N]);
    assert_eq!(table.bools(f("eq", &[col("u"), max])), [F, F, F, T, N]);
    assert_eq!(table.bools(f("gt", &[col("i"), lit(6.5, "f64")])), [T, F, T, F, N]);
    assert_eq!(table.bools(f("lt", &[lit("-inf", "f64"), col("i")])), [T, T, T, T, N]);
    assert_eq!(table.bools(f("lt", &[col("i"), lit("nan", "f64")])), [F, F, F, F, N]);
    assert_eq!(table.bools(f("ne", &[lit("nan", "f64"), col("u")])), [T, T, T, T, N]);
}

#[test]
fn with_nan_only_unequal_holds() {
    let nan = f64::NAN;
    let table = Table(vec![
        column("x", Float64Array::from(vec![Some(nan), Some(-0.0), Some(1.0), Some(nan), None])),
        column("y", Float64Array::from(vec![-nan, 0.0, nan, f64::INFINITY, nan])),
    ]);
    let args = [col("x"), col("y")];
    assert_eq!(table.bools(f("eq", &args)), [F, T, F, F, N]);
    assert_eq!(table.bools(f("ne", &args)), [T, F, T, T, N]);
    assert_eq!(table.bools(f("lt", &args)), [F, F, F, F, N]);
    assert_eq!(table.bools(f("le", &args)), [F, T, F, F, N]);
    assert_eq!(table.bools(f("gt", &args)), [F, F, F, F, N]);
    assert_eq!(table.bools(f("ge", &args)), [F, T, F, F, N]);
    assert_eq!(table.bools(f("is_nan", &[col("x")])), [T, F, F, T, N]);
    assert_eq!(
        table.bools(f("in", &[col("x"), lit("nan", "f64"), lit(0, "i64")])),
        [F, T, F, F, N]
    );
    assert_eq!(table.floats(f("neg", &[col("x")]))[1].unwrap().to_bits(), 0.0f64.to_bits());
    assert_eq!(table.floats(f("abs", &[col("x")]))[1].unwrap().to_bits(), 0.0f64.to_bits());
}

#[test]
fn membership_with_null() {
    let table = Table(vec![
        column("s", StringArray::from(vec![Some("a"), Some("b"), None])),
        column("i", Int16Array::from(vec![Some(1), Some(12), None])),
        column("d", Date32Array::from(vec![Some(0), Some(1), None])),
    ]);
    let null = lit(Json::Null, "null");
    let texts = [col("s"), lit("a", "str"), null.clone()];
    assert_eq!(table.bools(f("in", &texts)), [T, N, N]);
    assert_eq!(table.bools(f("in", &texts[..2])), [T, F, N]);
    assert_eq!(table.bools(f("not", &[f("in", &texts)])), [F, N, N]);
    assert_eq!(table.bools(f("in", &[col("s"), null])), [N, N, N]);
    assert_eq!(table.bools(f("in", &[col("s")])), [F, F, F]);
    let many: Vec<Json> = std::iter::once(col("i")).chain((2..20).map(|i| lit(i, "i64"))).collect();
    assert_eq!(table.bools(f("in", &many)), [F, T, N]);
    assert_eq!(table.bools(f("in", &[col("i"), lit(1.0, "f64"), lit(3, "i64")])), [T, F, N]);
    assert_eq!(table.bools(f("in", &[col("d"), lit("1970-01-02", "str")])), [F, T, N]);
    assert!(table.error(f("in", &[col("i"), col("i")])).contains("constants only"));
    assert!(table.error(f("in", &[col("i"), lit("a", "str")])).contains("compare i16 with str"));
}

#[test]
fn text_functions() {
    let table = Table(vec![column(
        "s",
        StringArray::from(vec![Some("Straße"), Some("ÄB"), Some(""), None]),
    )]);
    let texts = |json| -> Vec<Option<String>> {
        table.array(json).as_string::<i32>().iter().map(|v| v.map(str::to_string)).collect()
    };
    let some = |text: &str| Some(text.to_string());
    assert_eq!(texts(f("upper", &[col("s")])), [some("STRASSE"), some("ÄB"), some(""), None]);
    assert_eq!(texts(f("lower", &[col("s")])), [some("straße"), some("äb"), some(""), None]);
    assert_eq!(table.longs(f("length", &[col("s")])), [Some(6), Some(2), Some(0), None]);
    assert_eq!(table.bools(f("starts_with", &[col("s"), lit("Str", "str")])), [T, F, F, N]);
    assert_eq!(table.bools(f("ends_with", &[col("s"), lit("ße", "str")])), [T, F, F, N]);
    assert_eq!(table.bools(f("contains", &[col("s"), lit("", "str")])), [T, T, T, N]);
    assert_eq!(table.bools(f("contains", &[col("s"), lit(Json::Null, "null")])), [N, N, N, N]);
    assert_eq!(table.bools(f("lt", &[col("s"), lit("T", "str")])), [T, F, T, N]);
    assert_eq!(table.bools(f("ge", &[lit("T", "str"), col("s")])), [T, F, T, N]);
}

#[test]
fn choices() {
    let table = Table(vec![
        column("i", Int32Array::from(vec![Some(5), None, Some(50)])),
        column("s", StringArray::from(vec![None, Some("b"), Some("c")])),
        column("x", Float32Array::from(vec![Some(0.5), Some(1.5), None])),
        column(
            "l",
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)]), None, None]),
        ),
    ]);
    let large = f("gt", &[col("i"), lit(10, "i64")]);
    let case = |value, otherwise| json!({"case": [[large, value]], "else": otherwise});
    assert_eq!(table.longs(case(lit(1, "i64"), lit(0, "i64"))), [Some(0), Some(0), Some(1)]);
    assert_eq!(table.floats(case(col("i"), col("x"))), [Some(0.5), Some(1.5), Some(50.0)]);
    assert_eq!(table.longs(case(col("i"), Json::Null)), [None, None, Some(50)]);
    let texts = table.array(case(lit("L", "str"), col("s")));
    assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("b"), Some("L")]);
    let nulls = case(lit(Json::Null, "null"), Json::Null);
    assert_eq!(table.word(nulls.clone()), "null");
    assert_eq!(table.array(nulls).len(), 3);
    assert_eq!(table.word(case(col("l"), Json::Null)), "list[i64]");
    assert_eq!(table.array(case(Json::clone(&col("l")), col("l"))).null_count(), 2);
    assert_eq!(
        table.longs(f("coalesce", &[col("i"), lit(-1, "i64")])),
        [Some(5), Some(-1), Some(50)]
    );
    let error = table.error(f("coalesce", &[col("i"), col("s")]));
    assert!(error.contains("i64 and str have no type in common in: coalesce(i, s)"), "{error}");
}

#[test]
fn late_rows_and_arrivals() {
    let (schema, late) = (Schema::empty(), BooleanBuffer::from(vec![true, false]));
    let rows =
        RowColumns { columns: &[], len: 2, late: Some(&late), arrival: Some(&[7, i64::MIN]) };
    let eval = |json: Json, rows: &RowColumns| {
        let expr = serde_json::from_value(json).unwrap();
        check(&expr, &schema).unwrap().eval(rows).unwrap().array
    };
    assert_eq!(eval(f("is_late", &[]), &rows).as_boolean(), &BooleanArray::from(vec![true, false]));
    let arrival = eval(f("arrival", &[]), &rows);
    let expected = TimestampMicrosecondArray::from(vec![Some(7), None]).with_timezone("UTC");
    assert_eq!(arrival.as_ref(), &expected as &dyn Array);
    let unknown = RowColumns { columns: &[], len: 2, late: None, arrival: None };
    assert_eq!(eval(f("is_late", &[]), &unknown).as_boolean().true_count(), 0);
    assert_eq!(eval(f("arrival", &[]), &unknown).null_count(), 2);
}

#[test]
fn slices_and_empty_batches() {
    let i = Int64Array::from((0..100).map(|i| (i % 7 != 0).then_some(i)).collect::<Vec<_>>());
    let s = StringArray::from((0..100).map(|i| Some(format!("s{i}"))).collect::<Vec<_>>());
    let exprs = [
        f("gt", &[f("mul", &[col("i"), lit(3, "i64")]), lit(60, "i64")]),
        f("coalesce", &[f("mod", &[col("i"), lit(5, "i64")]), lit(9, "i64")]),
        f("and", &[f("in", &[col("s"), lit("s13", "str")]), f("ne", &[col("i"), lit(1.5, "f64")])]),
        json!({"case": [[f("is_null", &[col("i")]), f("upper", &[col("s")])]], "else": col("s")}),
        lit(Json::Null, "null"),
    ];
    let whole = Table(vec![column("i", i.clone()), column("s", s.clone())]);
    for (from, len) in [(0, 0), (3, 70), (99, 1), (13, 0)] {
        let part = Table(vec![column("i", i.slice(from, len)), column("s", s.slice(from, len))]);
        for expr in &exprs {
            assert_eq!(&part.array(expr.clone()), &whole.array(expr.clone()).slice(from, len));
        }
    }
    let none =
        Table(vec![column("i", Int64Array::new_null(3)), column("s", StringArray::new_null(3))]);
    for expr in &exprs[..1] {
        assert_eq!(none.bools(expr.clone()), [N; 3]);
    }
}

#[test]
fn errors_name_the_place_and_a_way_out() {
    let table = numbers();
    let error = table.error(f("gt", &[col("i"), lit("5", "str")]));
    assert_eq!(
        error,
        "cannot compare i64 with str in: i > '5'\nhint: cast one side, as in cast(x as f64) or \
         cast(x as str)"
    );
    assert!(table.error(col("ii")).contains("did you mean \"i\"?"));
    assert!(
        table.error(f("and", &[col("i")])).starts_with("a condition (bool) is needed, not i64")
    );
    assert!(table.error(f("not", &[lit("x", "str")])).contains("in: not 'x'"));
    assert!(table.error(f("lower", &[col("i")])).contains("text (str) is needed, not i64"));
    assert!(table.error(f("neg", &[lit(true, "bool")])).contains("a number or a duration"));
    assert!(
        table.error(f("add", &[lit(true, "bool"), col("i")])).contains("cannot add bool and i64")
    );
    assert_eq!(table.check(col("u")).unwrap().as_column(), Some(3));
    assert_eq!(table.check(f("neg", &[col("i")])).unwrap().as_column(), None);
    let schema = table.schema();
    let column: Expr = serde_json::from_value(col("i")).unwrap();
    assert!(check_condition(&column, &schema).is_err());
    assert_eq!(parse_type("bool"), Ok(DataType::Boolean));
}
