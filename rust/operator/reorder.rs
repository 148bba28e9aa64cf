//! Per-event windows answered when the watermark has passed: rows are held and sorted by event
//! time, so an answer counts all rows of its window, including peers, whatever the order of
//! arrival.

use std::sync::Arc;

use super::flow::{Context, Flow};
use super::sliding::SlidingWindows;
use super::slots::SavedPiece;
use super::{Dependence, Operator, Vitals, in_pieces};
use crate::block::{Block, RowMeta};
use crate::error::Result;
use crate::fate::{Counters, Reason, Record};
use crate::state::waiting::WAITING;
use crate::state::{Address, Waiting};
use crate::time::Micros;
use crate::watermark::bound;
use crate::wide::Cut;

/// Sorts rows by event time, then passes them to per-event windows.
#[derive(Debug)]
pub struct Reorder {
    inner: SlidingWindows,
    waiting: Waiting,
    changed: u64,
    vitals: Vitals,
}

impl Reorder {
    /// Holds back the input of `inner`.
    pub fn new(inner: SlidingWindows, node: u32) -> Reorder {
        let vitals = Vitals::new(node);
        Reorder { inner, waiting: Waiting::default(), changed: 0, vitals }
    }

    /// Rejects rows behind the watermark and holds the others.
    fn take_in(&mut self, flow: &Flow, context: &mut Context) -> Result<()> {
        let (block, clock) = flow;
        let meta = &block.meta;
        let prepared = self.inner.prepare(block)?;
        self.vitals.counters.invalid += prepared.invalid.len() as u64;
        self.vitals.counters.nan += prepared.nan;
        context.records.extend(prepared.invalid);
        let before = clock.before_each(&meta.seq);
        let mut keep = Vec::with_capacity(block.len());
        for row in prepared.rows.into_iter().map(|row| row as usize) {
            let limit = bound(meta.judge[row], before[row]);
            if limit <= meta.time[row] {
                keep.push(row as u32);
                continue;
            }
            self.vitals.counters.late += 1;
            let record = self.vitals.record(Reason::Late, block, row);
            let late_by = Some(limit.saturating_sub(meta.time[row]));
            let window = Some(self.inner.longest_window(meta.time[row]));
            context.records.push(Record { window, late_by, ..record });
        }
        if !keep.is_empty() {
            self.changed = context.epoch;
            self.waiting.push(block.take(&keep)?)?;
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
        self.vitals.counters.rows_in += inputs[0].0.len() as u64;
        self.take_in(&inputs[0], context)?;
        let ready = Arc::new(self.take_out(&inputs[0])?);
        if !ready.is_empty() {
            self.changed = context.epoch;
        }
        let flow = [(ready, inputs[0].1.clone())];
        let out = in_pieces(&mut self.inner, &flow, Cut::Times, context)?;
        self.vitals.counters.fired += out.0.len() as u64;
        self.vitals.clock = inputs[0].1.end();
        let Counters { rows_in, late, invalid, .. } = self.vitals.counters;
        self.vitals.counters.counted = rows_in - late - invalid;
        Ok(out)
    }

    fn peek(&mut self, inputs: &[Flow], _context: &mut Context) -> Result<Flow> {
        Ok((Arc::new(Block::empty(self.inner.schema())), inputs[0].1.clone()))
    }

    fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    fn vitals_mut(&mut self) -> &mut Vitals {
        &mut self.vitals
    }

    fn depends(&self) -> Dependence<'_> {
        self.inner.depends()
    }

    fn keys(&self) -> usize {
        self.inner.keys()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes() + self.waiting.bytes()
    }

    fn changed(&self, address: Address, name: &str) -> u64 {
        if name == WAITING { self.changed } else { self.inner.changed(address, name) }
    }

    fn save(&self, since: u64) -> Result<Vec<SavedPiece>> {
        let mut pieces = self.inner.save(since)?;
        if (self.changed > since || since == 0)
            && let Some(saved) = self.waiting.save()?
        {
            let (address, epoch) = (Address::default(), self.changed);
            pieces.push(SavedPiece { address, name: WAITING.into(), epoch, saved });
        }
        Ok(pieces)
    }

    fn load(&mut self, pieces: &[SavedPiece]) -> Result<()> {
        let (waiting, inner): (Vec<SavedPiece>, Vec<SavedPiece>) =
            pieces.iter().cloned().partition(|piece| piece.name == WAITING);
        let width = self.inner.schema().fields().len() - self.inner.features();
        let schema = Arc::new(self.inner.schema().project(&(0..width).collect::<Vec<_>>())?);
        for piece in waiting {
            self.changed = piece.epoch;
            self.waiting.load(&piece.saved, &schema)?;
        }
        self.inner.load(&inner)
    }
}
