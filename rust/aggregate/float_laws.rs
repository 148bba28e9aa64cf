//! Laws of float sums: the exact rational sum rounded once, and removed values leave no trace.

use arrow_schema::DataType;
use proptest::prelude::*;

use super::{Aggregate, Answer, Moment, Retract, StateRows, Value, build};

const AT: Moment = Moment { time: 0, seq: 0 };

/// The answer and the saved bytes after rows were added and removed.
fn says(kind: &str, came: &[f64], left: &[f64]) -> (Option<u64>, Vec<u8>) {
    let aggregate: Box<dyn Aggregate> = build(kind, &[DataType::Float64]).unwrap();
    let words = aggregate.words();
    let mut hot = StateRows::new(words);
    hot.push();
    came.iter().for_each(|v| aggregate.update(hot.cell(0, 0, words), &[Value::F64(*v)], AT));
    for v in left {
        let done = aggregate.retract(hot.cell(0, 0, words), &[Value::F64(*v)], AT);
        assert_eq!(done, Retract::Done);
    }
    let mut out = Vec::new();
    aggregate.save(hot.peek(0, 0, words), &mut out);
    match aggregate.evaluate(hot.peek(0, 0, words)) {
        Answer::F64(v) => (Some(v.to_bits()), out),
        Answer::Null => (None, out),
        other => panic!("{other:?}"),
    }
}

/// An independent, slow reference: a sum of whole numbers `m * 2^-40`, |m| < 2^100, written as a
/// decimal fraction, which the standard library rounds once.
fn reference(values: &[(i64, u32)]) -> f64 {
    let total: i128 = values.iter().map(|(m, shift)| i128::from(*m) << shift).sum();
    let unit = 1u128 << 40;
    let magnitude = total.unsigned_abs();
    let mut text = format!("{}{}.", if total < 0 { "-" } else { "" }, magnitude / unit);
    let mut rest = magnitude % unit;
    for _ in 0..40 {
        rest *= 10;
        text.push(char::from(b'0' + (rest / unit) as u8));
        rest %= unit;
    }
    text.parse::<f64>().unwrap() + 0.0
}

#[test]
fn known_sums_to_the_bit() {
    let (inf, tiny, nan) = (f64::INFINITY, 5e-324, f64::NAN);
    let cases: [(&[f64], f64); 14] = [
        (&[1e40, 1e20, 0.01, -1e40, -1e20], 0.01),
        (&[1.7e308, 1.7e308, -1.7e308], 1.7e308),
        (&[1.7e308, 1.7e308], inf),
        (&[-1.7e308, -1.7e308], -inf),
        (&[0.1; 10], 1.0),
        (&[0.1, 0.2, 0.3], 0.6),
        (&[1e16, 1.0, -1e16], 1.0),
        (&[tiny, tiny, 1e300, -1e300], 1e-323),
        (&[1.0, 1.1102230246251565e-16], 1.0),
        (&[1.0, 1.1102230246251565e-16, tiny], 1.0000000000000002),
        (&[-0.0, -0.0], 0.0),
        (&[1e308, -1e308, nan], 0.0),
        (&[1.0, inf], inf),
        (&[1.0, -inf, nan], -inf),
    ];
    for (values, expected) in cases {
        assert_eq!(says("sum", values, &[]).0, Some(expected.to_bits()), "{values:?}");
        let reversed: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(says("sum", &reversed, &[]), says("sum", values, &[]), "{values:?}");
    }
    assert!(says("sum", &[inf, -inf], &[]).0.is_some_and(|v| f64::from_bits(v).is_nan()));
    assert_eq!(says("sum", &[nan], &[]).0, None);
}

#[test]
fn outliers_that_left_leave_no_trace() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let stay = [0.1, -0.25, 3e-5, 1e10];
    for left in [
        vec![1e40],
        vec![1e300, -1e-300],
        vec![inf],
        vec![inf, -inf, -inf],
        vec![nan, inf],
        vec![f64::MAX, f64::MAX, -f64::MAX],
        vec![5e-324, 1.7e308],
    ] {
        let came: Vec<f64> = left.iter().chain(&stay).copied().collect();
        for kind in ["sum", "mean"] {
            assert_eq!(says(kind, &came, &left), says(kind, &stay, &[]), "{kind} {left:?}");
            let all: Vec<f64> = came.iter().rev().copied().collect();
            assert_eq!(says(kind, &came, &all), says(kind, &[], &[]), "{kind} {left:?}");
        }
    }
}

#[test]
fn a_decimal_mean_is_rounded_once() {
    // Dividing by 10^19 and then by 10 gives ...887e-5.
    let aggregate = build("mean", &[DataType::Decimal128(38, 20)]).unwrap();
    let words = aggregate.words();
    let mut hot = StateRows::new(words);
    hot.push();
    aggregate.update(hot.cell(0, 0, words), &[Value::I128(4_482_919_593_512_389)], AT);
    assert_eq!(aggregate.evaluate(hot.peek(0, 0, words)), Answer::F64(4.482919593512389e-5));
}

proptest! {
    #[test]
    fn a_sum_is_the_rational_sum_rounded_once(
        values in prop::collection::vec(
            (-(1i64 << 53)..=1 << 53, prop_oneof![Just(0u32), Just(47), 0u32..48]),
            1..24,
        ),
    ) {
        let unit = 0.5f64.powi(40);
        let floats: Vec<f64> =
            values.iter().map(|(m, shift)| *m as f64 * 2f64.powi(*shift as i32) * unit).collect();
        let expected = reference(&values);
        prop_assert_eq!(says("sum", &floats, &[]).0, Some(expected.to_bits()));
        let mean = expected / floats.len() as f64;
        prop_assert_eq!(says("mean", &floats, &[]).0, Some(mean.to_bits()));
        let (kept, left) = floats.split_at(floats.len() / 2);
        prop_assert_eq!(says("sum", &floats, left), says("sum", kept, &[]));
    }
}
