//! Session windows: groups rows of a key that are at most a gap apart and fires when no row can
//! join any more.
//!
//! [`crate::state::sessions`] decides which session a row joins and which have closed; this file
//! holds the accumulators.

use super::dependence::WindowFacts;
use super::prepare::Aggregator;
use super::sessions::{self, Spans};
use super::slots::{Slot, SlotPart};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::aggregate::{Moment, StateRows};
use crate::assign::Gaps;
use crate::error::{Error, Result};
use crate::fire::FiredRow;
use crate::plan;
use crate::state::Saved;
use crate::state::sessions::{NO_ROW, Open};
use crate::time::Micros;
use crate::watermark::Clock;

/// The verb `session`.
#[derive(Debug)]
pub struct SessionOperator {
    gaps: Gaps,
}

/// The sessions of one range of keys.
#[derive(Debug)]
pub struct SessionSlot {
    spans: Spans,
    hot: StateRows,
    free: Vec<u32>,
}

impl Slot for SessionSlot {
    fn keys(&self) -> usize {
        self.spans.keys.len()
    }

    fn bytes(&self) -> usize {
        self.spans.bytes() + self.hot.bytes()
    }
}

impl SessionSlot {
    fn hot_row(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.hot.push())
    }
}

impl SessionOperator {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: &plan::Session) -> SessionOperator {
        let reach = if plan.gap_closed { plan.gap } else { plan.gap - 1 };
        SessionOperator { gaps: Gaps { gap: plan.gap, reach, lateness: plan.allowed_lateness } }
    }

    /// Fires the sessions of a key that the clock has passed at `now`.
    fn close(
        &self,
        aggregator: &Aggregator,
        slot: &mut SessionSlot,
        id: u32,
        (clock, now): (&Clock, Micros),
        out: &mut SlotOut,
    ) {
        while let Some(session) = slot.spans.of[id as usize].close(&self.gaps, now) {
            out.fired.ids.push(id);
            let row = FiredRow {
                trigger: clock.passed(self.gaps.until(session.last)).unwrap_or(0),
                end: session.last + self.gaps.gap,
                start: session.first,
                last: session.last,
                revision: 0,
                touch: session.opened,
            };
            out.fired.push(row, 1);
            for (j, column) in out.fired.answers.iter_mut().enumerate() {
                column.push(aggregator.layout.evaluate(&slot.hot, session.row, j));
            }
            aggregator.layout.clear(&mut slot.hot, session.row);
            slot.free.push(session.row);
        }
        slot.spans.of[id as usize].forget(&self.gaps, now);
    }

    /// Adds a row that is not late to its session; this may merge several sessions.
    fn take(
        &self,
        aggregator: &Aggregator,
        slot: &mut SessionSlot,
        id: u32,
        task: &Task<'_>,
        facts: RowFacts,
    ) {
        let RowFacts { row, time, before, .. } = facts;
        let touch = (0, task.ordinal(row));
        let alone = Open { first: time, last: time, opened: touch, newest: touch, row: NO_ROW };
        let (hot, free) = (&mut slot.hot, &mut slot.free);
        let session = slot.spans.of[id as usize].join(&self.gaps, alone, before, |kept, more| {
            aggregator.layout.merge_within(hot, kept, more);
            aggregator.layout.clear(hot, more);
            free.push(more);
        });
        if session.row == NO_ROW {
            session.row = slot.free.pop().unwrap_or_else(|| slot.hot.push());
            slot.spans.timers.arm(self.gaps.until(time), id);
        }
        let (at, hot_row) = (Moment { time, seq: task.seq(row) }, session.row);
        aggregator.layout.update_one(&mut slot.hot, hot_row, task.columns, row as usize, at);
    }
}

impl Windowed for SessionOperator {
    type Slot = SessionSlot;

    fn slot(&self, aggregator: &Aggregator) -> SessionSlot {
        SessionSlot { spans: Spans::new(&self.gaps), hot: aggregator.layout.hot(), free: vec![] }
    }

    fn due(&self, slot: &SessionSlot, clock: Micros) -> bool {
        slot.spans.timers.is_due(clock)
    }

    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut SessionSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        for &facts in task.facts {
            let known = slot.spans.keys.get(task.keys, facts.row as usize);
            if let Some(id) = known {
                self.close(aggregator, slot, id, (task.clock, facts.before), out);
            }
            if slot.spans.takes(&self.gaps, known, task, facts, out) {
                let id = slot.spans.key(task.keys, facts.row as usize);
                self.take(aggregator, slot, id, task, facts);
            }
        }
        let now = task.clock.end();
        let due = slot.spans.take_due(now);
        for &id in &due {
            self.close(aggregator, slot, id, (task.clock, now), out);
        }
        out.fired.keys = slot.spans.keys.fired(&out.fired.ids, &aggregator.folding.key_types)?;
        for id in due {
            slot.spans.look_again(&self.gaps, id, now, None);
        }
        Ok(())
    }

    fn delay(&self) -> Micros {
        self.gaps.lateness + 1
    }

    fn facts(&self) -> WindowFacts<'_> {
        WindowFacts::new(&self.gaps)
    }

    fn save(&self, aggregator: &Aggregator, slot: &SessionSlot) -> Result<Vec<SlotPart>> {
        let mut state = Vec::new();
        for session in slot.spans.open() {
            let mut bytes = Vec::new();
            aggregator.layout.save(&slot.hot, session.row, &mut bytes);
            state.push(bytes);
        }
        let types = &aggregator.folding.key_types;
        let first_row = slot.spans.open().map(|open| open.opened.1).collect();
        let open = slot.spans.save_open(types)?.u64("first_row", first_row);
        let open = open.binary("state", &state).done()?;
        let mut parts = vec![("open", open)];
        parts.extend(slot.spans.save_past(types)?);
        Ok(parts)
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut SessionSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        if part != "open" {
            let known =
                slot.spans.load_past(&self.gaps, &aggregator.folding.key_types, part, saved)?;
            let unknown = || Error::Snapshot(format!("a session does not have a part \"{part}\""));
            return known.then_some(()).ok_or_else(unknown);
        }
        let (first, last) = (saved.i64("first")?, saved.i64("last")?);
        let (first_row, state) = (saved.u64("first_row")?, saved.binary("state")?);
        let keys = sessions::keys_of(saved, &aggregator.folding.key_types)?;
        for i in 0..saved.len() {
            let row = slot.hot_row();
            aggregator.layout.load(&mut slot.hot, row, state.value(i))?;
            let touch = (0, first_row[i]);
            let (first, last) = (first[i], last[i]);
            let session = Open { first, last, opened: touch, newest: touch, row };
            slot.spans.load_open(&self.gaps, &keys, i, session);
        }
        Ok(())
    }
}
