//! Joined: the results and the counters of several engines as those of one.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use serde_json::{Map, Value, json};

use crate::engine::{Batches, Step};
use crate::error::Result;
use crate::limits::TEXT_BYTES_MAX;
use crate::wide;

/// The steps one after another. Each comes with the numbers of its rows among all rows of the
/// step; `none` is a step of nothing.
pub fn joined(none: Step, steps: impl IntoIterator<Item = (Step, Vec<u32>)>) -> Result<Step> {
    let mut all = none;
    for (step, rows) in steps {
        let Step { outputs, alerts, late, invalid, leaps } = step;
        all.outputs.iter_mut().zip(outputs).for_each(append);
        append((&mut all.alerts, alerts));
        all.late.iter_mut().zip(late).for_each(append);
        all.invalid.iter_mut().zip(invalid).for_each(append);
        all.leaps.extend(leaps.into_iter().map(|(input, mut leap)| {
            leap.row = rows.get(leap.row).map_or(leap.row, |&row| row as usize);
            (input, leap)
        }));
    }
    let Step { outputs, alerts, late, invalid, .. } = &mut all;
    let tables = outputs.iter_mut().chain([alerts]).chain(late).chain(invalid);
    tables.into_iter().try_for_each(merge)?;
    Ok(all)
}

fn append((all, more): (&mut Batches, Batches)) {
    if all.schema.fields().is_empty() {
        all.schema = more.schema;
    }
    all.batches.extend(more.batches);
}

/// Makes one batch of several: whoever reads them pays for each.
fn merge(table: &mut Batches) -> Result<()> {
    let text = |batch: &RecordBatch| batch.columns().iter().map(|c| wide::bytes(c.as_ref())).sum();
    let total: usize = table.batches.iter().map(text).fold(0, usize::saturating_add);
    let alike = table.batches.iter().all(|batch| batch.schema() == table.schema);
    if table.batches.len() > 1 && alike && total <= TEXT_BYTES_MAX {
        table.batches = vec![concat_batches(&table.schema, &table.batches)?];
    }
    Ok(())
}

/// Counters of several engines as those of one: sums, the least watermark, the newest time.
pub fn stats(all: impl Iterator<Item = Value>, epoch: u64) -> Value {
    let mut all = all.collect::<Vec<_>>();
    // the last engine takes rows of no partition, so it has no watermark
    let rest = all.pop().unwrap_or_default();
    let mut sum = rest.clone();
    all.iter().for_each(|stats| add(&mut sum, stats));
    let inputs = |stats: &Value| stats["inputs"][0].clone();
    let parts: Vec<Value> = all.iter().map(inputs).collect();
    let numbers = |field: &str| parts.iter().map(|part| part[field].as_i64()).collect::<Vec<_>>();
    let least = numbers("watermark").into_iter().collect::<Option<Vec<i64>>>();
    sum["inputs"] = json!([{
        "name": rest["inputs"][0]["name"],
        "watermark": least.and_then(|all| all.into_iter().min()),
        "newest": numbers("newest").into_iter().flatten().max(),
        "idle": !parts.is_empty() && parts.iter().all(|part| part["idle"] == json!(true)),
    }]);
    sum["watermark"] = sum["inputs"][0]["watermark"].clone();
    let silent =
        |stats: &&Value| stats["waiting_for"].as_array().is_some_and(|all| !all.is_empty());
    let waits = all.iter().find(silent).map_or(json!([]), |stats| stats["waiting_for"].clone());
    sum["waiting_for"] = waits;
    sum["restored"] = all.iter().map(|s| &s["restored"]).find(|r| !r.is_null()).cloned().into();
    sum["epoch"] = json!(epoch);
    sum
}

/// Adds numbers to numbers, in lists and objects too; the rest stays.
fn add(sum: &mut Value, more: &Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => add_fields(sum, more),
        (Value::Array(sum), Value::Array(more)) => {
            sum.iter_mut().zip(more).for_each(|(sum, more)| add(sum, more));
            sum.extend(more.iter().skip(sum.len()).cloned());
        }
        (Value::Number(sum), Value::Number(more)) => {
            *sum = match (sum.as_u64(), more.as_u64()) {
                (Some(a), Some(b)) => a.saturating_add(b).into(),
                _ => {
                    let total = sum.as_f64().unwrap_or(0.0) + more.as_f64().unwrap_or(0.0);
                    serde_json::Number::from_f64(total).unwrap_or_else(|| 0.into())
                }
            };
        }
        _ => {}
    }
}

fn add_fields(sum: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (name.as_str(), sum.get_mut(name)) {
            // a place, not an amount
            ("node", Some(_)) => {}
            // the latest of moments
            ("full_from", Some(known)) => {
                if known.as_i64() < value.as_i64() {
                    *known = value.clone();
                }
            }
            (_, Some(known)) => add(known, value),
            (_, None) => {
                sum.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The manifests of several engines as that of one, as far as people read them.
pub fn manifest<'a>(all: impl Iterator<Item = &'a Value>) -> Value {
    let mut whole = json!({});
    for manifest in all {
        let known = whole["watermarks"].is_array();
        if !known {
            whole = manifest.clone();
            continue;
        }
        let more = manifest["watermarks"][0]["partitions"].as_array().cloned().unwrap_or_default();
        if let Some(partitions) = whole["watermarks"][0]["partitions"].as_array_mut() {
            partitions.extend(more);
        }
        for field in ["seq", "undecoded", "rules"] {
            add_amounts(&mut whole[field], &manifest[field]);
        }
        let operators = manifest["operators"].as_array().into_iter().flatten();
        for (i, more) in operators.enumerate() {
            let operator = &mut whole["operators"][i];
            for field in ["counters", "warming"] {
                add_amounts(&mut operator[field], &more[field]);
            }
        }
    }
    whole
}

/// Adds numbers, except those that say which output or rule is meant.
fn add_amounts(sum: &mut Value, more: &Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            for (name, value) in more {
                let is_amount = !["output", "rule"].contains(&name.as_str());
                if let (true, Some(known)) = (is_amount, sum.get_mut(name)) {
                    add_amounts(known, value);
                }
            }
        }
        (Value::Array(sum), Value::Array(more)) => {
            sum.iter_mut().zip(more).for_each(|(sum, more)| add_amounts(sum, more));
        }
        (sum, more) => add(sum, more),
    }
}
