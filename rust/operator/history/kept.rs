//! What is kept of each key: its rows, each as the accumulators of that row alone; and the
//! accumulators of those that no answer tells apart any more.

use crate::aggregate::{ArgumentColumns, Layout, Moment, StateRows};
use crate::operator::slots::Slot;
use crate::state::{KeyColumns, Keys, Timers};
use crate::time::{Micros, NEVER};

/// A row that is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptRow {
    /// Event time.
    pub time: Micros,
    /// Its accumulators.
    pub state: u32,
}

/// One key.
#[derive(Debug, Default)]
pub struct KeyRows {
    /// The newest time of its rows; [`NEVER`] if it has none.
    pub newest: Micros,
    /// Its rows in order of time, then arrival.
    pub rows: Vec<KeptRow>,
    /// When its timer is due.
    pub armed: Option<Micros>,
}

/// The keys of one range.
#[derive(Debug)]
pub struct HistorySlot {
    /// The keys.
    pub keys: Keys,
    /// Their rows, by id.
    pub of: Vec<KeyRows>,
    /// By id, the accumulators of rows that were added up.
    pub base: StateRows,
    /// By id, the accumulators of all rows.
    pub total: StateRows,
    /// The accumulators of single rows.
    pub states: StateRows,
    free: Vec<u32>,
    has_total: bool,
    /// When to look at a key again.
    pub timers: Timers,
}

impl Slot for HistorySlot {
    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        let rows: usize = self.of.iter().map(|of| of.rows.capacity() * size_of::<KeptRow>()).sum();
        let of = self.of.capacity() * size_of::<KeyRows>();
        let states = self.base.bytes() + self.total.bytes() + self.states.bytes();
        self.keys.bytes() + rows + of + states + self.timers.bytes()
    }
}

impl HistorySlot {
    /// An empty slot; keys are looked at again after about `span`; `has_total` is whether all rows
    /// of a key are ever asked for.
    pub fn new(layout: &Layout, span: Micros, has_total: bool) -> HistorySlot {
        HistorySlot {
            keys: Keys::default(),
            of: vec![],
            base: layout.hot(),
            total: layout.hot(),
            states: layout.hot(),
            free: vec![],
            has_total,
            timers: Timers::new(span),
        }
    }

    /// The id of a row's key, created if needed.
    pub fn key(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let id = self.keys.intern(columns, row);
        while self.of.len() < self.keys.capacity() {
            self.of.push(KeyRows { newest: NEVER, ..KeyRows::default() });
            self.base.push();
            self.total.push();
        }
        id
    }

    /// An empty row of accumulators.
    pub fn state(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.states.push())
    }

    /// The accumulators of one row.
    pub fn state_of(
        &mut self,
        layout: &Layout,
        columns: &[ArgumentColumns],
        row: usize,
        at: Moment,
    ) -> u32 {
        let state = self.state();
        layout.update_one(&mut self.states, state, columns, row, at);
        state
    }

    /// Frees a row of accumulators.
    pub fn release(&mut self, layout: &Layout, state: u32) {
        layout.clear(&mut self.states, state);
        self.free.push(state);
    }

    /// Adds a row to a key.
    pub fn add(&mut self, layout: &Layout, id: u32, row: KeptRow) {
        if self.has_total {
            layout.merge(&mut self.total, id, &self.states, row.state);
        }
        let own = &mut self.of[id as usize];
        own.newest = own.newest.max(row.time);
        let place = own.rows.partition_point(|kept| kept.time <= row.time);
        own.rows.insert(place, row);
    }

    /// Forgets the rows of a key.
    pub fn clear(&mut self, layout: &Layout, id: u32) {
        let own = &mut self.of[id as usize];
        own.newest = NEVER;
        for row in std::mem::take(&mut own.rows) {
            self.release(layout, row.state);
        }
        layout.clear(&mut self.base, id);
        layout.clear(&mut self.total, id);
    }

    /// Forgets a key.
    pub fn remove(&mut self, layout: &Layout, id: u32) {
        self.clear(layout, id);
        self.of[id as usize].armed = None;
        self.keys.remove(id);
    }
}
