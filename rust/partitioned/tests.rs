//! Partitions next to each other: what one engine per partition must not change.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::*;
use crate::origin::Series;

const PLAN: &str = r#"{"version": 1,
    "inputs": [{"name": "in", "time": {"col": "at"}, "out_of_order": 0, "idle_after": null,
                "max_future_skew": null,
                "schema": [["at", "timestamp[us]"], ["k", "str"], ["n", "i64"]]}],
    "nodes": [{"op": "input", "input": 0},
              {"op": "tumbling", "from": 0, "by": ["k"], "size": 10, "offset": 0,
               "emit": "final", "emit_every": null, "allowed_lateness": 0, "revisions": true,
               "aggregates": [{"name": "sum", "kind": "sum", "args": [{"col": "n"}],
                               "where": null}]}],
    "outputs": [{"name": "out", "node": 1, "rules": []}]}"#;

fn declared() -> Declared {
    Declared { columns: vec!["k".into()], groups_null: true, partitioner: None, count: None }
}

fn engines(partitions: &[i64], snapshot: Option<&[u8]>) -> Result<Partitioned> {
    let masks: Masks = Box::new(Vec::new);
    Partitioned::new(PLAN, partitions, 2, masks, snapshot, "refuse", declared())
}

/// Rows of time, key, number and partition.
fn feed(rows: &[(i64, &str, i64, i64)]) -> Feed {
    let at: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0)));
    let k: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>());
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    let batch = RecordBatch::try_from_iter([("at", at), ("k", k), ("n", n)]).unwrap();
    Feed {
        input: 0,
        schema: batch.schema(),
        batches: vec![batch],
        partition: Series::Each(rows.iter().map(|row| row.3).collect()),
        position: None,
        arrival: None,
    }
}

fn push(engines: &mut Partitioned, rows: &[(i64, &str, i64, i64)]) -> Result<Step> {
    engines.step(vec![feed(rows)], Order::Given)
}

fn shown(batches: &crate::engine::Batches) -> Vec<String> {
    let row = |batch: &RecordBatch, row| {
        let text = |c: &ArrayRef| crate::show::json(c.as_ref(), row);
        batch.columns().iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let rows = batches.batches.iter().flat_map(|b| (0..b.num_rows()).map(move |i| row(b, i)));
    rows.collect()
}

#[test]
fn rows_go_to_the_engine_of_their_partition_and_results_come_in_its_order() {
    let mut both = engines(&[3, 1], None).unwrap();
    let rows = [(1, "a", 1, 3), (2, "b", 2, 1), (3, "a", 4, 3), (25, "a", 1, 3), (26, "b", 1, 1)];
    let step = push(&mut both, &rows).unwrap();
    let rows = shown(&step.outputs[0]);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].starts_with("\"b\"") && rows[0].ends_with(" 2"), "{rows:?}");
    assert!(rows[1].starts_with("\"a\"") && rows[1].ends_with(" 5"), "{rows:?}");
    assert_eq!(step.outputs[0].batches.len(), 1);
}

#[test]
fn rows_of_a_partition_that_is_not_open_are_invalid() {
    let mut one = engines(&[1], None).unwrap();
    let step = push(&mut one, &[(1, "a", 1, 1), (2, "b", 2, 7)]).unwrap();
    let invalid = shown(&step.invalid[0]);
    assert!(invalid.len() == 1 && invalid[0].contains("undeclared_partition"), "{invalid:?}");
    assert!(one.stats().contains("\"rows_in\":2"), "{}", one.stats());
}

#[test]
fn a_key_in_two_partitions_is_refused_and_changes_nothing() {
    let mut two = engines(&[1, 2], None).unwrap();
    push(&mut two, &[(1, "a", 1, 1)]).unwrap();
    let before = two.snapshot(None, 0, &[]).unwrap();
    let error = push(&mut two, &[(2, "c", 1, 2), (2, "a", 1, 2)]).unwrap_err();
    let Error::Partition(said) = &error else { panic!("{error:?}") };
    assert!(said.starts_with("k=\"a\" came from partition 1 and now from partition 2"), "{said}");
    assert_eq!(two.snapshot(None, 0, &[]).unwrap(), before);
    // "c" is not noted for partition 2
    push(&mut two, &[(2, "c", 1, 1)]).unwrap();
    // a restored one still knows
    let mut restored = engines(&[1, 2], Some(&before)).unwrap();
    assert!(push(&mut restored, &[(2, "a", 1, 2)]).is_err());
    let own = restored.snapshot(Some(1), 0, &[]).unwrap();
    restored.close(1).unwrap();
    push(&mut restored, &[(2, "b", 1, 2)]).unwrap();
    restored.open(1, Some(&own)).unwrap();
    assert!(push(&mut restored, &[(3, "b", 1, 1)]).is_err());
    assert!(push(&mut restored, &[(3, "a", 1, 2)]).is_err());
    push(&mut restored, &[(3, "b", 1, 2), (3, "a", 1, 1)]).unwrap();
}

#[test]
fn the_keys_of_a_partition_are_bounded() {
    let mut keys = HomeKeys::default();
    let mut gone = 0;
    for epoch in 1..50 {
        let many: Vec<u128> = (0..crate::limits::HOME_KEYS_MAX as u128 / 16 + 1)
            .map(|key| key << 64 | epoch)
            .collect();
        gone += keys.add(&many, epoch as u64).len();
    }
    let left = keys.all().count();
    assert!(left <= crate::limits::HOME_KEYS_MAX && gone > 0);
    let saved = keys.save(0).unwrap();
    assert_eq!(
        HomeKeys::load(saved).unwrap().all().collect::<Vec<_>>(),
        keys.all().collect::<Vec<_>>()
    );
}

#[test]
fn another_number_of_partitions_refuses_to_start() {
    let with = |count, snapshot: Option<&[u8]>| {
        let declared = Declared { count: Some(count), ..declared() };
        Partitioned::new(PLAN, &[0], 1, Box::new(Vec::new), snapshot, "refuse", declared)
    };
    let mut one = with(2, None).unwrap();
    let saved = one.snapshot(None, 0, &[]).unwrap();
    assert!(with(2, Some(&saved)).is_ok());
    let error = with(3, Some(&saved)).err().unwrap();
    assert!(error.message().starts_with("the source had 2 partitions and has 3"), "{error}");
    assert!(one.open(1, None).is_ok());
    let error = one.open(2, None).unwrap_err();
    assert!(error.message().starts_with("the source had 2 partitions and has 3"), "{error}");
}
