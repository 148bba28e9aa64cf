//! An aggregate that is not built in runs in every window, through snapshots, and is named by a plan
//! like the others.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use serde_json::json;

use super::*;
use crate::aggregate::example;
use crate::origin::Series;

/// A plan with one window over the product of `x` and `y`.
fn plan(window: &serde_json::Value) -> String {
    let half = json!({"lit": 0.5, "type": "f64"});
    let product = json!({
        "name": "p", "kind": "dot_product", "args": [{"col": "x"}, {"col": "y"}],
        "parameters": [half], "where": null,
    });
    let mut node = json!({"from": 0, "by": [], "allowed_lateness": 0, "aggregates": [product]});
    let fields = window.as_object().unwrap().clone();
    node.as_object_mut().unwrap().extend(fields);
    let schema = json!([["at", "timestamp[us]"], ["x", "i64"], ["y", "i64"]]);
    json!({
        "version": 1,
        "inputs": [{"name": "in", "time": {"col": "at"}, "out_of_order": 0, "idle_after": null,
                    "max_future_skew": null, "schema": schema}],
        "nodes": [{"op": "input", "input": 0}, node],
        "outputs": [{"name": "out", "node": 1, "rules": []}],
    })
    .to_string()
}

fn feed(rows: &[(i64, Option<i64>, i64)]) -> Vec<Feed> {
    let at: ArrayRef =
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<TimestampMicrosecondArray>());
    let x: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let y: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>());
    let columns = [("at", at, true), ("x", x, true), ("y", y, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let (schema, partition) = (batch.schema(), Series::Same(0));
    vec![Feed { input: 0, schema, batches: vec![batch], partition, position: None, arrival: None }]
}

fn products(step: &Step) -> Vec<Option<f64>> {
    let of = |batch: &RecordBatch| {
        let column = batch.column_by_name("p").unwrap().as_primitive::<Float64Type>();
        column.iter().collect::<Vec<_>>()
    };
    step.outputs[0].batches.iter().flat_map(of).collect()
}

#[test]
fn a_window_takes_an_aggregate_of_the_registry() {
    let aligned = json!({
        "op": "tumbling", "size": 10, "offset": 0, "emit": "final", "emit_every": null,
        "revisions": true,
    });
    let mut hopping = aligned.clone();
    hopping["op"] = json!("hopping");
    hopping["every"] = json!(5);
    let session = json!({"op": "session", "gap": 5, "gap_closed": true});
    let sliding = json!({
        "op": "sliding", "sizes": [10], "closed": "right", "include_current": true,
        "emit": "arrival", "null_key": "null", "columns": [{"name": "p", "aggregate": 0, "size": 0}],
    });
    let (one, all, last) = (Some(1.0), Some(4.0), Some(15.0));
    let cases = [
        (aligned, vec![all, last]),
        (hopping, vec![one, all, Some(18.0), last]),
        (session, vec![all, last]),
        (sliding, vec![one, one, all, Some(18.0)]),
    ];
    for (window, expected) in cases {
        let engine = |snapshot: Option<&[u8]>| {
            let (plan, registry) = (plan(&window), example::registry());
            Engine::with_registry(&plan, registry, vec![vec![0]], 1, vec![], snapshot, "refuse")
        };
        let mut first = engine(None).unwrap();
        let rows = [(1, Some(1), 2), (2, None, 9), (7, Some(2), 3), (13, Some(5), 6)];
        let mut found = products(&first.step(feed(&rows[..3]), Order::Given).unwrap());
        let snapshot = first.snapshot(0, &[]).unwrap();
        let mut second = engine(Some(&snapshot)).unwrap();
        found.extend(products(&second.step(feed(&rows[3..]), Order::Given).unwrap()));
        found.extend(products(&second.finish(None, None).unwrap()));
        assert_eq!(found, expected, "{window}");

        let unknown = Engine::new(&plan(&window), vec![vec![0]], 1, vec![], None, "refuse");
        let Err(Error::Plan(message)) = unknown else { panic!("it is known") };
        assert!(message.contains("unknown aggregate \"dot_product\"\nhint: there are count,"));
    }
}
