//! What a failure leaves behind: a failed step an engine that refuses all more, a failed read an
//! engine that goes on.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};

use super::*;
use crate::chunk::{Chunk, pack, unpack};
use crate::operator::{Dependence, Operator, SavedPiece, Vitals};
use crate::origin::Series;

const PLAN: &str = r#"{"version": 1,
    "inputs": [{"name": "in", "time": {"col": "at"}, "out_of_order": 0, "idle_after": null,
                "max_future_skew": null, "schema": [["at", "timestamp[us]"]]}],
    "nodes": [{"op": "input", "input": 0}],
    "outputs": [{"name": "out", "node": 0, "rules": []}]}"#;

/// How an operator fails, in a step and in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fails {
    WithError,
    WithPanic,
}

impl Fails {
    fn fail<R>(self, what: &str) -> Result<R> {
        match self {
            Fails::WithError => Err(Error::Engine(format!("{what} broke"))),
            Fails::WithPanic => panic!("{what} broke"),
        }
    }
}

#[derive(Debug)]
struct Failing(Fails, Vitals);

impl Operator for Failing {
    fn run(&mut self, _: &[Flow], _: &mut Context) -> Result<Flow> {
        self.0.fail("a step")
    }

    fn vitals(&self) -> &Vitals {
        &self.1
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.1
    }

    fn depends(&self) -> Dependence<'_> {
        Dependence::Source
    }

    fn save(&self, _: u64) -> Result<Vec<SavedPiece>> {
        self.0.fail("a snapshot")
    }
}

fn engine() -> Engine {
    Engine::new(PLAN, vec![vec![0]], 1, vec![], None, "refuse").unwrap()
}

/// Puts another operator in the place of the only one; gives that one.
fn replace(engine: &mut Engine, by: Box<dyn Operator>) -> Box<dyn Operator> {
    let running = engine.pipeline.running.as_mut().unwrap();
    std::mem::replace(&mut running.operators[0], by)
}

fn failing(fails: Fails) -> Box<dyn Operator> {
    Box::new(Failing(fails, Vitals::new(0)))
}

fn feed(partition: i64) -> Vec<Feed> {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter_with_nullable([("at", at, true)]).unwrap();
    let schema = batch.schema();
    let partition = Series::Same(partition);
    vec![Feed { input: 0, schema, batches: vec![batch], partition, position: None, arrival: None }]
}

fn push(engine: &mut Engine) -> Result<usize> {
    let step = engine.step(feed(0), Order::Given)?;
    Ok(step.outputs[0].batches.iter().map(RecordBatch::num_rows).sum())
}

fn message<R>(result: Result<R>) -> String {
    match result {
        Err(Error::Engine(message)) => message,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it did not fail"),
    }
}

#[test]
fn a_push_after_a_failed_step_is_refused_with_its_cause() {
    for fails in [Fails::WithError, Fails::WithPanic] {
        let mut engine = engine();
        assert_eq!(push(&mut engine), Ok(2));
        let good = replace(&mut engine, failing(fails));
        assert!(message(push(&mut engine)).contains("a step broke"));
        replace(&mut engine, good);
        let refused = [
            message(push(&mut engine)),
            message(engine.advance(0, None, 9)),
            message(engine.idle(0, None)),
            message(engine.finish(None, None)),
            message(engine.open(0, 1)),
            message(engine.peek(feed(0).remove(0))),
            message(engine.snapshot(0, &[])),
        ];
        for refusal in refused {
            assert!(refusal.starts_with("a step failed before"), "{refusal}");
            assert!(refusal.contains("a step broke"), "{refusal}");
            assert_eq!(refusal.matches("hint: ").count(), 1, "{refusal}");
            assert!(refusal.ends_with("hint: restore it from its last snapshot"), "{refusal}");
        }
        assert_eq!(engine.pipeline().clocks(), [[(0, 2)]]);
    }
}

#[test]
fn a_clock_event_that_fails_poisons_too() {
    let mut engine = engine();
    let good = replace(&mut engine, failing(Fails::WithPanic));
    message(engine.advance(0, None, 9));
    replace(&mut engine, good);
    assert!(message(push(&mut engine)).contains("a step broke"));
}

#[test]
fn a_failed_snapshot_leaves_the_engine_as_it_was() {
    for fails in [Fails::WithError, Fails::WithPanic] {
        let mut engine = engine();
        assert_eq!(push(&mut engine), Ok(2));
        let before = engine.snapshot(0, &[]).unwrap();
        let good = replace(&mut engine, failing(fails));
        assert!(message(engine.snapshot(0, &[])).contains("a snapshot broke"));
        replace(&mut engine, good);
        assert_eq!(engine.snapshot(0, &[]), Ok(before));
        assert_eq!(push(&mut engine), Ok(2));
    }
}

#[test]
fn what_is_refused_before_a_step_changes_nothing() {
    let mut engine = engine();
    let mut unknown = feed(0);
    unknown[0].input = 7;
    assert!(matches!(engine.step(unknown, Order::Given), Err(Error::Data(_))));
    assert!(engine.advance(3, None, 9).is_err() && engine.open(0, 0).is_err());
    assert_eq!(push(&mut engine), Ok(2));
}

#[test]
fn rows_of_an_undeclared_partition_are_invalid_and_the_engine_lives_on() {
    let mut engine = engine();
    let step = engine.step(feed(7), Order::Given).unwrap();
    let invalid: usize = step.invalid[0].batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(invalid, 2);
    assert_eq!(
        format!("{:?}", step.invalid[0].batches[0].column(0))
            .matches("undeclared_partition")
            .count(),
        2
    );
    assert_eq!(push(&mut engine), Ok(2));
}

#[test]
fn a_snapshot_of_a_part_that_does_not_exist_yet_is_refused() {
    let session = r#"{"op": "input", "input": 0}, {"op": "session", "from": 0, "by": ["at"],
        "gap": 5, "gap_closed": true, "allowed_lateness": 0, "aggregates": []}"#;
    let plan = PLAN.replace(r#"{"op": "input", "input": 0}"#, session);
    let new = |snapshot: Option<Vec<u8>>| {
        Engine::new(&plan, vec![vec![0]], 1, vec![], snapshot.as_deref(), "refuse")
    };
    let mut engine = new(None).unwrap();
    assert_eq!(push(&mut engine), Ok(2));
    let snapshot = engine.snapshot(0, &[]).unwrap();
    let (manifest, chunks) = unpack(&snapshot).unwrap();
    let packed = |part: &str| {
        let renamed = chunks.iter().map(|(name, bytes)| Chunk {
            name: name.replacen('/', &format!("/{part}"), 1),
            bytes: bytes.to_vec(),
        });
        pack(&renamed.collect::<Vec<_>>(), &manifest)
    };
    assert!(!chunks.is_empty() && new(Some(packed(""))).is_ok());
    let message = |part| new(Some(packed(part))).err().unwrap().message().to_string();
    assert!(message("3.").contains("is of part 3 of the stream"), "{}", message("3."));
    assert!(message("0.").contains("has an invalid name"), "{}", message("0."));
}
