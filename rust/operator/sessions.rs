//! Sessions of a slot's keys, with timers: shared by session windows and silence.

use arrow_schema::DataType;

use super::slots::SlotPart;
use super::task::{RowFacts, Task};
use super::windowed::SlotOut;
use crate::assign::Gaps;
use crate::error::Result;
use crate::fate::{Reason, Record};
use crate::state::saved::Saving;
use crate::state::sessions::{Open, Sessions};
use crate::state::{KeyColumns, Keys, Saved, Timers};
use crate::time::{Micros, NEVER};

/// The sessions of one range of keys.
#[derive(Debug)]
pub struct Spans {
    /// The keys.
    pub keys: Keys,
    /// The sessions of each key, by id.
    pub of: Vec<Sessions>,
    /// When each key must be checked again.
    pub timers: Timers,
}

impl Spans {
    /// Creates an empty set.
    pub fn new(gaps: &Gaps) -> Spans {
        Spans { keys: Keys::default(), of: vec![], timers: Timers::new(gaps.gap) }
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let of: usize = self.of.iter().map(Sessions::bytes).sum();
        self.keys.bytes() + self.timers.bytes() + of
    }

    /// The id of a row's key, created if needed.
    pub fn key(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let id = self.keys.intern(columns, row);
        self.of.resize(self.keys.capacity(), Sessions::default());
        id
    }

    /// Whether a row is accepted; if not, counts and records it.
    pub fn takes(
        &self,
        gaps: &Gaps,
        known: Option<u32>,
        task: &Task<'_>,
        facts: RowFacts,
        out: &mut SlotOut,
    ) -> bool {
        let RowFacts { row, time, limit, .. } = facts;
        // Reject times so close to the limits that the session's bounds would overflow.
        let Some(end) = gaps.end_of(time) else {
            out.counters.invalid += 1;
            out.records.push(task.record(Reason::WindowOutOfRange, row));
            return false;
        };
        let none = Sessions::default();
        let sessions = known.map_or(&none, |id| &self.of[id as usize]);
        let Some(reason) = sessions.refuses(gaps, time, limit) else {
            out.counters.counted += 1;
            return true;
        };
        out.counters.late += 1;
        out.counters.late_windows += 1;
        out.records.push(Record {
            window: Some((time, end)),
            windows: 1,
            late_by: Some(limit.saturating_sub(gaps.until(time)).max(0)),
            ..task.record(reason, row)
        });
        false
    }

    /// The ids of keys that are due, without duplicates.
    pub fn take_due(&mut self, now: Micros) -> Vec<u32> {
        let mut due = self.timers.take_due(now);
        due.sort_unstable();
        due.dedup();
        due
    }

    /// Rearms the timer of a key that was checked, or forgets the key; `due` is a further time at
    /// which it must be checked.
    pub fn look_again(&mut self, gaps: &Gaps, id: u32, now: Micros, due: Option<Micros>) {
        let next = self.of[id as usize].next_look(gaps, now);
        match next.into_iter().chain(due).min() {
            Some(next) => self.timers.arm(next, id),
            None => {
                self.of[id as usize] = Sessions::default();
                self.keys.remove(id);
            }
        }
    }

    /// The open sessions, in the order in which they are saved.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.of.iter().flat_map(|sessions| &sessions.open)
    }

    /// Saves the keys and bounds of the open sessions.
    pub fn save_open(&self, types: &[DataType]) -> Result<Saving> {
        let of = |(id, sessions): (usize, &Sessions)| vec![id as u32; sessions.open.len()];
        let ids: Vec<u32> = self.of.iter().enumerate().flat_map(of).collect();
        Ok(Saving::default()
            .columns("key", self.keys.columns(&ids, types)?)
            .i64("first", self.open().map(|open| open.first).collect())
            .i64("last", self.open().map(|open| open.last).collect()))
    }

    /// Saves what is remembered of closed sessions.
    pub fn save_past(&self, types: &[DataType]) -> Result<Vec<SlotPart>> {
        let of = |(id, sessions): (usize, &Sessions)| {
            let closed = sessions.closed.clone().into_iter();
            closed.map(move |(first, last)| (id as u32, first, last))
        };
        let closed: Vec<(u32, Micros, Micros)> = self.of.iter().enumerate().flat_map(of).collect();
        let ids: Vec<u32> = closed.iter().map(|closed| closed.0).collect();
        let markers = Saving::default()
            .columns("key", self.keys.columns(&ids, types)?)
            .i64("first", closed.iter().map(|closed| closed.1).collect())
            .i64("last", closed.iter().map(|closed| closed.2).collect())
            .done()?;
        let is_sealed = |&id: &u32| self.of[id as usize].floor != NEVER;
        let ids: Vec<u32> = (0..self.of.len() as u32).filter(is_sealed).collect();
        let of = |id: &u32| &self.of[*id as usize];
        let sealed = Saving::default()
            .columns("key", self.keys.columns(&ids, types)?)
            .i64("sealed", ids.iter().map(|id| of(id).sealed).collect())
            .i64("floor", ids.iter().map(|id| of(id).floor).collect())
            .done()?;
        Ok(vec![("closed", markers), ("sealed", sealed)])
    }

    /// Restores an open session.
    pub fn load_open(&mut self, gaps: &Gaps, keys: &KeyColumns, row: usize, session: Open) {
        let id = self.key(keys, row);
        self.timers.arm(gaps.until(session.last), id);
        self.of[id as usize].open.push(session);
    }

    /// Restores what is remembered of closed sessions; false if it does not know the part.
    pub fn load_past(
        &mut self,
        gaps: &Gaps,
        types: &[DataType],
        part: &str,
        saved: &Saved,
    ) -> Result<bool> {
        let (one, other) = match part {
            "closed" => (saved.i64("first")?, saved.i64("last")?),
            "sealed" => (saved.i64("sealed")?, saved.i64("floor")?),
            _ => return Ok(false),
        };
        let keys = keys_of(saved, types)?;
        for i in 0..saved.len() {
            let id = self.key(&keys, i);
            let of = &mut self.of[id as usize];
            match part {
                "closed" => of.closed.push((one[i], other[i])),
                _ => (of.sealed, of.floor) = (one[i], other[i]),
            }
            self.timers.arm(gaps.until(other[i]), id);
        }
        Ok(true)
    }
}

/// The key columns of a saved part.
pub fn keys_of(saved: &Saved, types: &[DataType]) -> Result<KeyColumns> {
    KeyColumns::new(&saved.columns("key", types)?, saved.len())
}
