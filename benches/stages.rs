//! What each stage of the core costs: `cargo bench`. Times are of a thread, by divan; the cost of a
//! stage is the difference of the rows that differ by it alone.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use muntin::decode::{Feed, Order};
use muntin::encode::{RowBytes, encoder};
use muntin::engine::{Engine, Step};
use muntin::ingest::decoder;
use muntin::origin::Series;

const ROWS: usize = 65_536;
const KEYS: u64 = 10_000;
const START: i64 = 1_704_067_200_000_000;
const SECOND: i64 = 1_000_000;

fn main() {
    divan::main();
}

/// Rows of ten seconds, which begin `after` seconds after the start.
fn batch(after: i64) -> RecordBatch {
    let numbers = 0..ROWS as i64;
    let mix = |n: i64| (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let at = numbers.clone().map(|n| START + after * SECOND + n * 10 * SECOND / ROWS as i64);
    let at: TimestampMicrosecondArray = at.collect::<Vec<_>>().into();
    let key: Int64Array =
        numbers.clone().map(|n| (mix(n) % KEYS) as i64).collect::<Vec<_>>().into();
    let val: Float64Array =
        numbers.map(|n| (mix(n) % 50_000) as f64 / 100.0).collect::<Vec<_>>().into();
    let columns: [(&str, ArrayRef); 3] =
        [("ts", Arc::new(at)), ("key", Arc::new(key)), ("val", Arc::new(val))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn plan(node: &str) -> String {
    let schema = r#"[["ts","timestamp[us]"],["key","i64"],["val","f64"]]"#;
    let input = format!(
        r#"{{"name":"input","time":{{"col":"ts"}},"out_of_order":0,"idle_after":null,
            "max_future_skew":86400000000,"schema":{schema}}}"#
    );
    let last = usize::from(!node.is_empty());
    format!(
        r#"{{"version":1,"inputs":[{input}],"nodes":[{{"op":"input","input":0}}{node}],
            "outputs":[{{"name":"rows","node":{last},"rules":[]}}]}}"#
    )
}

const COUNT: &str = r#"{"name":"n","kind":"count","args":[],"where":null}"#;
const SUM: &str = r#"{"name":"s","kind":"sum","args":[{"col":"val"}],"where":null}"#;

fn tumbling(aggregates: &[&str]) -> String {
    plan(&format!(
        r#",{{"op":"tumbling","from":0,"by":["key"],"size":60000000,"offset":0,"emit":"final",
            "emit_every":null,"allowed_lateness":0,"revisions":true,"aggregates":[{}]}}"#,
        aggregates.join(",")
    ))
}

fn sliding() -> String {
    plan(&format!(
        r#",{{"op":"sliding","from":0,"by":["key"],"sizes":[3600000000],"closed":"right",
            "include_current":true,"emit":"arrival","allowed_lateness":0,"null_key":"null",
            "aggregates":[{COUNT},{SUM}],"columns":[{{"name":"n","aggregate":0,"size":0}},
            {{"name":"s","aggregate":1,"size":0}}]}}"#
    ))
}

fn engine(plan: &str, snapshot: Option<&[u8]>) -> Engine {
    Engine::new(plan, vec![vec![0]], 1, vec![], snapshot, "refuse").unwrap()
}

fn push(engine: &mut Engine, rows: RecordBatch) -> Step {
    let (schema, partition) = (rows.schema(), Series::Same(0));
    let batches = vec![rows];
    let feed = Feed { input: 0, schema, batches, partition, position: None, arrival: None };
    engine.step(vec![feed], Order::Given).unwrap()
}

/// An engine that has seen one batch, so that its keys are known.
fn warm(plan: &str) -> Engine {
    let mut engine = engine(plan, None);
    push(&mut engine, batch(0));
    engine
}

fn bench_step(bencher: Bencher, plan: &str) {
    let next = batch(20);
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| (warm(plan), next.clone()))
        .bench_local_values(|(mut engine, rows)| (push(&mut engine, rows), engine));
}

#[divan::bench]
fn step_1_decode_and_watermark(bencher: Bencher) {
    bench_step(bencher, &plan(""));
}

#[divan::bench]
fn step_2_assign_and_count(bencher: Bencher) {
    bench_step(bencher, &tumbling(&[COUNT]));
}

#[divan::bench]
fn step_3_aggregate_a_sum(bencher: Bencher) {
    bench_step(bencher, &tumbling(&[COUNT, SUM]));
}

#[divan::bench]
fn step_4_answer_each_row(bencher: Bencher) {
    bench_step(bencher, &sliding());
}

#[divan::bench]
fn fire(bencher: Bencher) {
    let plan = tumbling(&[COUNT, SUM]);
    bencher
        .counter(ItemsCount::new(KEYS))
        .with_inputs(|| warm(&plan))
        .bench_local_values(|mut engine| (engine.finish(None, None).unwrap(), engine));
}

#[divan::bench]
fn snapshot(bencher: Bencher) {
    let engine = warm(&tumbling(&[COUNT, SUM]));
    let keys = ItemsCount::new(KEYS);
    bencher.counter(keys).bench_local(|| engine.snapshot(0, &[]).unwrap());
}

#[divan::bench]
fn restore(bencher: Bencher) {
    let plan = tumbling(&[COUNT, SUM]);
    let bytes = warm(&plan).snapshot(0, &[]).unwrap();
    let keys = ItemsCount::new(KEYS);
    bencher.counter(keys).bench_local(|| engine(black_box(&plan), Some(&bytes)));
}

#[divan::bench]
fn decode_json(bencher: Bencher) {
    let rows = batch(0);
    let mut text = RowBytes::lines();
    encoder("json", &rows.schema(), "{}").unwrap().encode(&rows, &mut text).unwrap();
    let messages: Vec<Option<&[u8]>> = text.rows().collect();
    let mut json = decoder("json", &rows.schema(), "{}").unwrap();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| json.decode(&messages).unwrap());
}

#[divan::bench(args = ["json", "csv"])]
fn encode(bencher: Bencher, format: &str) {
    let rows = batch(0);
    let encoder = encoder(format, &rows.schema(), "{}").unwrap();
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(RowBytes::lines).bench_local_values(
        |mut out| {
            encoder.encode(&rows, &mut out).unwrap();
            out
        },
    );
}
