//! Fuzz: what comes from outside, changed at random, is an error or is taken; nothing panics.
//!
//! Each loop has a seed of its own a round, which a failure names. `MUNTIN_FUZZ_ROUNDS` makes the
//! loops longer, `MUNTIN_FUZZ_SEED` begins elsewhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use serde_json::{Value, json};

use super::Engine;
use crate::aggregate::Registry;
use crate::chunk::{Chunk, decode_batch, encode_batch, pack, unpack};
use crate::decode::{Feed, Order};
use crate::error::Result;
use crate::origin::Series;

const PLANS: [&str; 8] = [
    include_str!("../../tests/corpus/plans/tumbling.json"),
    include_str!("../../tests/corpus/plans/hopping.json"),
    include_str!("../../tests/corpus/plans/session.json"),
    include_str!("../../tests/corpus/plans/sliding.json"),
    include_str!("../../tests/corpus/plans/watermark.json"),
    include_str!("../../tests/corpus/plans/silent.json"),
    include_str!("../../tests/corpus/plans/keyed.json"),
    include_str!("../../tests/corpus/plans/union.json"),
];

/// Numbers at which arithmetic likes to break.
const EDGES: [i64; 10] =
    [0, 1, -1, 255, i32::MAX as i64, i32::MIN as i64, 1 << 50, i64::MAX, i64::MIN, i64::MIN + 1];

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn edge(&mut self) -> i64 {
        match self.below(3) {
            0 => self.next() as i64,
            _ => EDGES[self.below(EDGES.len())],
        }
    }
}

/// Runs `work` with a new seed each round; a panic names the seed.
fn rounds(normal: u64, work: impl Fn(&mut Rng)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (rounds, first) =
        (number("MUNTIN_FUZZ_ROUNDS").unwrap_or(normal), number("MUNTIN_FUZZ_SEED").unwrap_or(0));
    for seed in first..first + rounds {
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut Rng(seed))));
        assert!(done.is_ok(), "MUNTIN_FUZZ_SEED={seed} panics");
    }
}

fn batch(from: i64, rng: &mut Rng) -> RecordBatch {
    let rows = 1 + rng.below(40) as i64;
    let time = |i: i64| from + i * 700_000 - (i * 7919 % 5) * 600_000;
    let at: ArrayRef =
        Arc::new((0..rows).map(|i| Some(time(i))).collect::<TimestampMicrosecondArray>());
    let text = |of: i64| -> ArrayRef {
        let one = |i: i64| (i % of > 0).then(|| format!("key {}", i * 31 % of));
        Arc::new((0..rows).map(one).collect::<StringArray>())
    };
    let value = |i: i64| (i % 5 > 0).then_some(i as f64 * 1e20 - 7.5);
    let v: ArrayRef = Arc::new((0..rows).map(value).collect::<Float64Array>());
    let columns = [("at", at, true), ("k", text(6), true), ("v", v, true), ("s", text(9), true)];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn feed(input: usize, from: i64, rng: &mut Rng) -> Feed {
    let batch = batch(from, rng);
    let (schema, partition) = (batch.schema(), Series::Same(0));
    Feed { input, schema, batches: vec![batch], partition, position: None, arrival: None }
}

fn engine(plan: &str, snapshot: Option<&[u8]>) -> Result<Engine> {
    let inputs = serde_json::from_str::<Value>(plan)
        .map_or(1, |plan| plan["inputs"].as_array().map_or(1, Vec::len));
    Engine::new(plan, vec![vec![0]; inputs], 1, vec![], snapshot, "refuse")
}

/// Steps of all kinds; what was caught inside the engine is a panic, too.
fn drive(engine: &mut Engine, from: i64, rng: &mut Rng) {
    let inputs = engine.pipeline().plan.inputs.len();
    let mut done = vec![];
    for input in 0..inputs {
        done.push(engine.step(vec![feed(input, from, rng)], Order::Given).map(|_| ()));
    }
    done.push(engine.peek(feed(0, from, &mut Rng(0)).first_row()).map(|_| ()));
    done.push(engine.advance(0, None, from + 9_000_000).map(|_| ()));
    done.push(engine.snapshot(0, &[]).map(|_| ()));
    done.push(engine.finish(None, None).map(|_| ()));
    for error in done.into_iter().filter_map(Result::err) {
        assert!(!error.message().contains("this is a bug"), "{error}");
    }
    engine.pipeline().stats();
}

impl Feed {
    fn first_row(mut self) -> Feed {
        self.batches = self.batches.iter().map(|batch| batch.slice(0, 1)).collect();
        self
    }
}

/// A snapshot of a plan in the middle of its input.
fn snapshot(plan: &str, rng: &mut Rng) -> Vec<u8> {
    let mut engine = engine(plan, None).expect("a plan of the corpus");
    for from in [0, 15_000_000] {
        for input in 0..engine.pipeline().plan.inputs.len() {
            engine.step(vec![feed(input, from, rng)], Order::Given).expect("rows that are read");
        }
    }
    engine.snapshot(0, &[]).expect("a healthy engine")
}

fn change_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len());
        match rng.below(5) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, rng.next() as u8),
            _ => {
                let edge = rng.edge().to_le_bytes();
                let at = at / 8 * 8;
                bytes.iter_mut().skip(at).zip(edge).for_each(|(byte, new)| *byte = new);
            }
        }
    }
}

/// Puts another value into a column of a chunk.
fn change_value(bytes: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let batch = decode_batch(bytes).ok().filter(|batch| batch.num_rows() > 0)?;
    let (at, row) = (rng.below(batch.num_columns()), rng.below(batch.num_rows()));
    let mut columns = batch.columns().to_vec();
    let column = &columns[at];
    let changed: ArrayRef = if let Some(all) = column.as_primitive_opt::<Int64Type>() {
        let mut all = all.values().to_vec();
        all[row] = rng.edge();
        Arc::new(Int64Array::from(all))
    } else if let Some(all) = column.as_primitive_opt::<UInt64Type>() {
        let mut all = all.values().to_vec();
        all[row] = rng.edge() as u64;
        Arc::new(UInt64Array::from(all))
    } else if let Some(all) = column.as_binary_opt::<i32>() {
        let mut all: Vec<Vec<u8>> = (0..all.len())
            .map(|i| if all.is_null(i) { vec![] } else { all.value(i).to_vec() })
            .collect();
        change_bytes(&mut all[row], rng);
        Arc::new(all.iter().map(|value| Some(value.as_slice())).collect::<BinaryArray>())
    } else {
        column.slice(row, 1)
    };
    if changed.len() < batch.num_rows() {
        return encode_batch(&batch.slice(row, 1)).ok();
    }
    columns[at] = changed;
    encode_batch(&RecordBatch::try_new(batch.schema(), columns).ok()?).ok()
}

/// Changes something somewhere in a JSON value.
fn change_json(value: &mut Value, rng: &mut Rng) {
    let deeper = rng.below(5) > 0;
    match value {
        Value::Array(all) if !all.is_empty() && deeper => {
            let at = rng.below(all.len());
            match rng.below(12) {
                0 => drop(all.remove(at)),
                1 => all.push(all[at].clone()),
                _ => change_json(&mut all[at], rng),
            }
        }
        Value::Object(all) if !all.is_empty() && deeper => {
            let at = rng.below(all.len());
            let name = all.keys().nth(at).cloned().unwrap_or_default();
            match rng.below(12) {
                0 => drop(all.remove(&name)),
                1 => drop(all.insert(format!("{name}x"), json!(1))),
                _ => change_json(&mut all[&name], rng),
            }
        }
        other => {
            *other = match rng.below(8) {
                0 => Value::Null,
                1 => json!(""),
                2 => json!([]),
                3 => json!({}),
                4 => json!(true),
                5 => json!(-0.5),
                6 => json!("at"),
                _ => json!(rng.edge()),
            }
        }
    }
}

#[test]
fn changed_snapshots_with_right_checksums() {
    rounds(150, |rng| {
        let plan = PLANS[rng.below(PLANS.len())];
        let good = snapshot(plan, rng);
        let (mut manifest, chunks) = unpack(&good).expect("a good snapshot");
        let chunk =
            |(name, bytes): &(String, &[u8])| Chunk { name: name.clone(), bytes: bytes.to_vec() };
        let mut chunks: Vec<Chunk> = chunks.iter().map(chunk).collect();
        if chunks.is_empty() {
            return; // an engine that has seen no rows may have no state
        }
        let (at, other) = (rng.below(chunks.len()), rng.below(chunks.len()));
        match rng.below(6) {
            0 => change_bytes(&mut chunks[at].bytes, rng),
            1 => chunks[at].bytes = chunks[other].bytes.clone(),
            2 => drop(chunks.remove(at)),
            3 => change_json(&mut manifest, rng),
            _ => {
                let changed = change_value(&chunks[at].bytes, rng);
                chunks[at].bytes = changed.unwrap_or_default();
            }
        }
        if let Ok(mut engine) = engine(plan, Some(&pack(&chunks, &manifest))) {
            drive(&mut engine, 18_000_000, rng);
        }
    });
}

#[test]
fn changed_plans() {
    rounds(600, |rng| {
        let mut plan: Value = serde_json::from_str(PLANS[rng.below(PLANS.len())]).expect("JSON");
        for _ in 0..1 + rng.below(2) {
            change_json(&mut plan, rng);
        }
        let plan = plan.to_string();
        let _ = crate::graph::describe(&plan, &Registry::default(), None);
        if let Ok(mut engine) = engine(&plan, None) {
            drive(&mut engine, 0, rng);
        }
    });
}

#[test]
fn changed_bytes_of_snapshots() {
    rounds(300, |rng| {
        let plan = PLANS[rng.below(PLANS.len())];
        let mut bytes = snapshot(plan, rng);
        change_bytes(&mut bytes, rng);
        let _ = engine(plan, Some(&bytes));
        let _ = crate::snapshot::contents(&bytes);
        let _ = crate::snapshot::assemble(&[&bytes, &bytes]);
    });
}
