//! Windows of any grid through the engine: windows of several lengths, and windows that start
//! together, fire what a list of their rows says.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::assign::ListedGrid;
use crate::fire::Shape;
use crate::graph::{TypedNode, Verb, declared, type_plan};
use crate::operator::aligned::AlignedWindows;
use crate::operator::windowed::WindowOperator;
use crate::origin::Series;
use crate::plan::Emit;
use crate::watermark::is_late;

/// How the windows of a test fire.
#[derive(Debug, Clone, Copy)]
struct EmitCase {
    emit: Emit,
    lateness: i64,
    revisions: bool,
}

const OUT_OF_ORDER: i64 = 3;

/// An engine that counts rows by key over the windows of a list.
fn engine(grid: ListedGrid, firing: EmitCase) -> Engine {
    let EmitCase { emit, lateness, revisions } = firing;
    let columns = json!([["at", "timestamp[us]"], ["k", "str"]]);
    let input = json!({"name": "in", "time": {"col": "at"}, "out_of_order": OUT_OF_ORDER,
        "idle_after": null, "max_future_skew": null, "schema": columns});
    let count = json!({"name": "n", "kind": "count", "args": [], "where": null});
    let window = json!({"op": "tumbling", "from": 0, "by": ["k"], "size": 10, "offset": 0,
        "emit": emit, "emit_every": null, "allowed_lateness": lateness, "revisions": revisions,
        "aggregates": [count]});
    let plan = json!({"version": 1, "inputs": [input],
        "nodes": [json!({"op": "input", "input": 0}), window],
        "outputs": [{"name": "rows", "node": 1, "rules": []}]});
    let mut engine =
        Engine::new(&plan.to_string(), vec![vec![0]], 1, vec![], None, "refuse").unwrap();
    let plan = &engine.pipeline.plan;
    let columns = declared(&plan.inputs[0]).unwrap();
    let node = type_plan(plan, &Registry::default(), &[columns]).unwrap().pop().unwrap().unwrap();
    let TypedNode { schema, zone, revisions: revision, verb, .. } = node;
    let Verb::Aligned(_, _, aggregates) = verb else { panic!("not a window") };
    let shape = Shape { schema, zone, last: false, revision };
    let verb = AlignedWindows::new(grid, lateness, revisions, emit);
    let operator = WindowOperator::new(verb, aggregates, shape, 1).unwrap();
    engine.pipeline.running.as_mut().unwrap().operators[1] = Box::new(operator);
    engine
}

fn feed(rows: &[(i64, u8)]) -> Vec<Feed> {
    let at: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.0)).collect();
    let keys: StringArray = rows.iter().map(|row| Some(row.1.to_string())).collect();
    let columns = [("at", Arc::new(at) as ArrayRef, true), ("k", Arc::new(keys) as ArrayRef, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let (schema, partition) = (batch.schema(), Series::Same(0));
    vec![Feed { input: 0, schema, batches: vec![batch], partition, position: None, arrival: None }]
}

/// By key, start and end of a window: the count it fired last.
type Counts = BTreeMap<(String, i64, i64), i64>;

fn collect(step: &Step, counts: &mut Counts) {
    for batch in &step.outputs[0].batches {
        let keys = batch.column(0).as_string::<i32>();
        let bound = |k: usize| batch.column(k).as_primitive::<TimestampMicrosecondType>();
        let (starts, ends) = (bound(1), bound(2));
        let n = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let window = (keys.value(row).to_string(), starts.value(row), ends.value(row));
            counts.insert(window, n.value(row));
        }
    }
}

/// What the windows of a list must have fired by the end, and how many of them rows were late for.
fn expected(windows: &[(i64, i64)], firing: EmitCase, rows: &[(i64, u8)]) -> (Counts, u64) {
    let (mut clock, mut late) = (i64::MIN, 0);
    let mut held: Vec<BTreeMap<u8, Vec<usize>>> = vec![BTreeMap::new(); windows.len()];
    for (i, &(time, key)) in rows.iter().enumerate() {
        for (window, held) in windows.iter().zip(&mut held) {
            if !(window.0 <= time && time < window.1) {
                continue;
            }
            if is_late(clock, window.1, firing.lateness) {
                late += 1;
            } else {
                held.entry(key).or_default().push(i);
            }
        }
        clock = clock.max(time - OUT_OF_ORDER);
    }
    let mut counts = Counts::new();
    for (w, (&(start, end), keys)) in windows.iter().zip(&held).enumerate() {
        for (key, rows) in keys {
            let before = w.checked_sub(1).and_then(|before| held[before].get(key));
            if firing.emit != Emit::Changed || before != Some(rows) {
                counts.insert((key.to_string(), start, end), rows.len() as i64);
            }
        }
    }
    (counts, late)
}

fn grids() -> impl Strategy<Value = ListedGrid> {
    let lengths = (prop::collection::vec(1i64..12, 1..5), 1usize..4);
    let uneven =
        lengths.prop_map(|(lengths, merged)| ListedGrid::uneven(-20, &lengths, merged, 150));
    let steps = (1i64..8, 1i64..6);
    let cumulative = steps.prop_map(|(step, steps)| {
        ListedGrid::cumulative(-20, step, steps, 160 / (step * steps) + 1)
    });
    prop_oneof![uneven, cumulative]
}

fn firings() -> impl Strategy<Value = EmitCase> {
    let ways =
        [(Emit::Final, false), (Emit::Final, true), (Emit::Each, true), (Emit::Changed, false)];
    (prop::sample::select(ways.to_vec()), 0i64..9)
        .prop_map(|((emit, revisions), lateness)| EmitCase { emit, lateness, revisions })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn any_grid_counts_the_rows_of_its_windows(
        grid in grids(), firing in firings(), cuts in 1usize..20,
        rows in prop::collection::vec((0i64..12, 0u8..3), 1..60),
    ) {
        let rows: Vec<(i64, u8)> =
            rows.iter().zip(0..).map(|(&(ahead, key), i)| (i + ahead, key)).collect();
        let mut engine = engine(grid.clone(), firing);
        let mut counts = Counts::new();
        for part in rows.chunks(cuts) {
            collect(&engine.step(feed(part), Order::Given).unwrap(), &mut counts);
        }
        collect(&engine.finish(None, None).unwrap(), &mut counts);
        let late = engine.pipeline.running.as_ref().unwrap().operators[1].vitals().counters.late_windows;
        prop_assert_eq!((counts, late), expected(grid.windows(), firing, &rows));
    }
}

#[test]
fn rows_of_a_snapshot_stay_in_a_window_if_its_bounds_have_moved() {
    let firing = EmitCase { emit: Emit::Final, lateness: 0, revisions: false };
    let before = ListedGrid::new(vec![(0, 10), (10, 20), (20, 30)]);
    let rows: Vec<(i64, u8)> = [2, 9, 11, 12].map(|time| (time, 0)).to_vec();
    let cases = [
        (vec![(0, 11), (11, 20)], vec![((0, 11), 2), ((11, 20), 2)]),
        (vec![(1, 10), (10, 19), (19, 30)], vec![((1, 10), 2), ((19, 30), 2)]),
        (vec![(-1, 9), (9, 21)], vec![((9, 21), 4)]),
    ];
    for (windows, expected) in cases {
        let mut old = engine(before.clone(), firing);
        let mut new = engine(ListedGrid::new(windows), firing);
        // The clock stays before the first end.
        old.step(feed(&rows), Order::Given).unwrap();
        let operator = |engine: &mut Engine| engine.pipeline.running.take().unwrap();
        let pieces = operator(&mut old).operators[1].save(0).unwrap();
        new.pipeline.running.as_mut().unwrap().operators[1].load(&pieces).unwrap();
        let mut counts = Counts::new();
        collect(&new.finish(None, None).unwrap(), &mut counts);
        let counts: Vec<((i64, i64), i64)> =
            counts.into_iter().map(|((_, start, end), n)| ((start, end), n)).collect();
        assert_eq!(counts, expected);
    }
}
