//! Per-event windows answered when the watermark has passed: rows are held and sorted by event
//! time, so an answer counts all rows of its window, including peers, whatever the order of
//! arrival.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray};

use super::flow::{Context, Flow};
use super::sliding::SlidingWindows;
use super::slots::SavedPiece;
use super::waiting::Waiting;
use super::{CompleteFrom, Operator, Warming, in_pieces};
use crate::block::{Block, Firing, RowMeta};
use crate::error::{Error, Result};
use crate::fate::{Counters, Reason, Record};
use crate::origin::{Origin, Origins};
use crate::state::Saved;
use crate::state::saved::Saving;
use crate::time::Micros;
use crate::watermark::bound;
use crate::wide::{self, Cut};

const WAITING: &str = "waiting";

/// Sorts rows by event time, then passes them to per-event windows.
#[derive(Debug)]
pub struct Reorder {
    inner: SlidingWindows,
    node: u32,
    waiting: Waiting,
    input: Option<arrow_schema::SchemaRef>,
    changed: u64,
    counters: Counters,
}

impl Reorder {
    /// Holds back the input of `inner`.
    pub fn new(inner: SlidingWindows, node: u32) -> Reorder {
        let counters = Counters::default();
        Reorder { inner, node, waiting: Waiting::default(), input: None, changed: 0, counters }
    }

    /// Rejects rows behind the watermark and holds the others.
    fn take_in(&mut self, flow: &Flow, context: &mut Context) -> Result<()> {
        let (block, clock) = flow;
        let meta = &block.meta;
        let prepared = self.inner.prepare(block)?;
        self.counters.invalid += prepared.invalid.len() as u64;
        self.counters.nan += prepared.nan;
        context.records.extend(prepared.invalid);
        let before = clock.before_each(&meta.seq);
        let mut keep = Vec::with_capacity(block.len());
        for row in prepared.rows.into_iter().map(|row| row as usize) {
            let limit = bound(meta.judge[row], before[row]);
            if limit <= meta.time[row] {
                keep.push(row as u32);
                continue;
            }
            self.counters.late += 1;
            let record = Record::row(Reason::Late, self.node, meta.seq[row], meta.origin(row));
            let late_by = Some(limit.saturating_sub(meta.time[row]));
            let window = Some(self.inner.longest_window(meta.time[row]));
            context.records.push(Record { window, late_by, ..record });
        }
        if !keep.is_empty() {
            self.changed = context.epoch;
            let mut taken = block.take(&keep)?;
            let mut meta = RowMeta::clone(&taken.meta);
            let gone = |row| Origin { row: u32::MAX, ..taken.meta.origin(row) };
            meta.origins = Origins::Each((0..taken.len()).map(gone).collect());
            taken.meta = Arc::new(meta);
            self.waiting.push(taken)?;
        }
        Ok(())
    }

    /// Takes the rows that the clock has passed, by time, then arrival.
    fn take_out(&mut self, flow: &Flow) -> Result<Block> {
        let clock = &flow.1;
        let Some(mut sorted) = self.waiting.take(clock.end())? else {
            return Ok(Block::empty(&flow.0.schema));
        };
        let mut meta = RowMeta::clone(&sorted.meta);
        meta.judge.clone_from(&meta.time);
        let trigger = |&time: &Micros| clock.passed(time).unwrap_or(0);
        meta.seq = meta.time.iter().map(trigger).collect();
        sorted.meta = Arc::new(meta);
        Ok(sorted)
    }
}

impl Operator for Reorder {
    fn run(&mut self, inputs: &[Flow], context: &mut Context) -> Result<Flow> {
        self.input.get_or_insert_with(|| inputs[0].0.schema.clone());
        self.counters.rows_in += inputs[0].0.len() as u64;
        self.take_in(&inputs[0], context)?;
        let ready = Arc::new(self.take_out(&inputs[0])?);
        if !ready.is_empty() {
            self.changed = context.epoch;
        }
        let flow = [(ready, inputs[0].1.clone())];
        let out = in_pieces(&mut self.inner, &flow, Cut::Times, context)?;
        self.counters.fired += out.0.len() as u64;
        let Counters { rows_in, late, invalid, .. } = self.counters;
        self.counters.counted = rows_in - late - invalid;
        Ok(out)
    }

    fn peek(&self, _inputs: &[Flow], _records: &mut Vec<Record>) -> Result<Arc<Block>> {
        Ok(Arc::new(Block::empty(self.inner.schema())))
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn keys(&self) -> usize {
        self.inner.keys()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes() + self.waiting.bytes()
    }

    fn clock(&self) -> Micros {
        self.inner.clock()
    }

    fn warming(&self) -> &Warming {
        self.inner.warming()
    }

    fn warming_mut(&mut self) -> &mut Warming {
        self.inner.warming_mut()
    }

    fn update_completeness(&mut self, inputs: &[&CompleteFrom]) -> CompleteFrom {
        self.inner.update_completeness(inputs)
    }

    fn emits_from(&self, _inputs: Micros) -> Micros {
        self.clock()
    }

    fn changed(&self, range: usize, part: &str) -> u64 {
        if part == WAITING { self.changed } else { self.inner.changed(range, part) }
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        let mut pieces = self.inner.save(since)?;
        if !self.waiting.is_empty() && (self.changed > since || since == 0) {
            let saved = save_rows(&self.waiting.all()?)?;
            pieces.push(SavedPiece { range: 0, part: WAITING.into(), epoch: self.changed, saved });
        }
        Ok(pieces)
    }

    fn load(&mut self, pieces: &[SavedPiece], counters: Counters, clock: Micros) -> Result<()> {
        let (waiting, inner): (Vec<SavedPiece>, Vec<SavedPiece>) =
            pieces.iter().cloned().partition(|piece| piece.part == WAITING);
        let width = self.inner.schema().fields().len() - self.inner.features();
        let schema = self.inner.schema().project(&(0..width).collect::<Vec<_>>())?;
        for piece in waiting {
            self.changed = piece.epoch;
            let rows = Arc::new(load_rows(&piece.saved, &Arc::new(schema.clone()))?);
            for rows in rows.pieces(Cut::Anywhere)? {
                self.waiting.push(Arc::unwrap_or_clone(rows))?;
            }
        }
        self.counters = counters;
        self.inner.load(&inner, Counters::default(), clock)
    }
}

/// Renumbers the inputs in a saved part for a plan that lists them in another order: input i is now
/// `places[i]`.
pub fn renumber(part: &str, saved: Saved, places: &[usize]) -> Result<Saved> {
    if part != WAITING || saved.column("input").is_err() {
        return Ok(saved);
    }
    let of = |&input: &i64| places.get(input as usize).map_or(input, |&at| at as i64);
    let inputs: Vec<i64> = saved.i64("input")?.iter().map(of).collect();
    let fields = saved.batch.schema();
    let columns = fields.fields().iter().zip(saved.batch.columns());
    let with = |all: Saving, (field, column): (&arrow_schema::FieldRef, &ArrayRef)| match field
        .name()
        .as_str()
    {
        "input" => all.i64("input", inputs.clone()),
        name => all.column(name, column.clone()),
    };
    columns.fold(Saving::default(), with).done()
}

fn save_rows(block: &Block) -> Result<Saved> {
    let meta = &block.meta;
    let late: BooleanArray = (0..block.len()).map(|row| Some(meta.is_late(row))).collect();
    let origin = |of: fn(Origin) -> i64| (0..block.len()).map(|row| of(meta.origin(row))).collect();
    let firing = |of: fn(&Firing) -> i64| match &meta.firing {
        Some(firing) => firing.iter().map(of).collect(),
        None => vec![],
    };
    let mut saving = Saving::default()
        .columns("column", block.columns.clone())
        .i64("time", meta.time.clone())
        .u64("seq", meta.seq.clone())
        .i64("judge", meta.judge.clone())
        .i64("input", origin(|origin| i64::from(origin.input)))
        .i64("partition", origin(|origin| origin.partition))
        .i64("position", origin(|origin| origin.position))
        .i64("arrival", origin(|origin| origin.arrival))
        .column("late", Arc::new(late));
    if meta.firing.is_some() {
        saving = saving
            .i64("start", firing(|firing| firing.start))
            .i64("end", firing(|firing| firing.end))
            .i64("revision", firing(|firing| firing.revision));
    }
    saving.done()
}

fn load_rows(saved: &Saved, schema: &arrow_schema::SchemaRef) -> Result<Block> {
    let type_of = |(i, field): (usize, &arrow_schema::FieldRef)| {
        let found = saved.column(&format!("column.{i}"))?;
        Ok(wide::saved_as(field.data_type(), found.data_type()))
    };
    let types: Vec<_> = schema.fields().iter().enumerate().map(type_of).collect::<Result<_>>()?;
    let columns = saved.columns("column", &types)?;
    let (input, partition) = (saved.i64("input")?, saved.i64("partition")?);
    let (position, arrival) = (saved.i64("position")?, saved.i64("arrival")?);
    let origin = |row: usize| Origin {
        input: input[row] as u32,
        row: u32::MAX,
        partition: partition[row],
        position: position[row],
        arrival: arrival[row],
    };
    let firing = match saved.i64("start") {
        Ok(start) => {
            let (end, revision) = (saved.i64("end")?, saved.i64("revision")?);
            let of = |row| Firing { start: start[row], end: end[row], revision: revision[row] };
            Some((0..saved.len()).map(of).collect())
        }
        Err(_) => None,
    };
    let late = saved.column("late")?;
    let late = late
        .as_boolean_opt()
        .ok_or_else(|| Error::Snapshot("column \"late\" is not bool".into()))?;
    let meta = RowMeta {
        time: saved.i64("time")?.to_vec(),
        seq: saved.u64("seq")?.to_vec(),
        judge: saved.i64("judge")?.to_vec(),
        origins: Origins::Each((0..saved.len()).map(origin).collect()),
        firing,
        late: Some(late.values().iter().collect()),
    };
    Ok(Block { schema: schema.clone(), columns, meta: Arc::new(meta) })
}
