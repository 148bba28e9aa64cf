//! Panes: per pane a hot row for each key touched in it, in order of first touch.
//!
//! A row that came late for some windows but not for others must not count in a pane that they
//! share: panes are told apart by the first window that takes their rows, too. Each key's entries
//! form a list from the newest pane to the oldest; dead panes are always at its far end.

use std::collections::{BTreeMap, HashMap};

use super::keys::{KeyColumns, Keys};
use crate::aggregate::{Hot, Layout};
use crate::time::Micros;

/// Start of a pane, and end of the first window that takes its rows.
pub type PaneAt = (Micros, Micros);

/// A key's entry in a pane; void once the pane has been freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pane: u32,
    generation: u32,
    /// The hot row.
    pub entry: u32,
}

const NOWHERE: Link = Link { pane: u32::MAX, generation: 0, entry: 0 };

/// An id that no key has at present.
const FREE: u32 = u32::MAX;

/// How many idle keys may wait before they are swept.
const IDLE_MAX: usize = 1024;

/// The rows of one pane.
#[derive(Debug)]
pub struct Pane {
    /// Which.
    pub at: PaneAt,
    generation: u32,
    /// The accumulators, one row an entry.
    pub hot: Hot,
    /// Key of each entry.
    pub ids: Vec<u32>,
    /// Ordinal of the first row of each entry.
    pub first: Vec<u64>,
    behind: Vec<Link>,
}

/// All panes of one slot.
#[derive(Debug)]
pub struct Panes {
    /// The keys.
    pub keys: Keys,
    layout_stride: usize,
    heads: Vec<Link>,
    entries: Vec<u32>,
    idle: usize,
    order: BTreeMap<PaneAt, u32>,
    slab: Vec<Pane>,
    free: Vec<u32>,
    /// The clock up to which windows have been closed.
    pub closed: Micros,
    /// By window end and key: how often it was fired again.
    pub revisions: BTreeMap<Micros, HashMap<u32, i64>>,
}

impl Panes {
    /// No panes yet.
    pub fn new(layout: &Layout) -> Panes {
        Panes {
            keys: Keys::default(),
            layout_stride: layout.stride,
            heads: vec![],
            entries: vec![],
            idle: 0,
            order: BTreeMap::new(),
            slab: vec![],
            free: vec![],
            closed: crate::time::NEVER,
            revisions: BTreeMap::new(),
        }
    }

    /// The id of a row's key.
    pub fn key(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let (id, new) = self.keys.intern(columns, row);
        if new {
            let len = self.keys.capacity();
            self.heads.resize(len, NOWHERE);
            self.entries.resize(len, FREE);
            self.heads[id as usize] = NOWHERE;
            self.entries[id as usize] = 0;
            self.idle += 1;
        }
        id
    }

    /// The place of a pane in the slab; makes it if it is not there.
    pub fn pane(&mut self, at: PaneAt) -> u32 {
        if let Some(&pane) = self.order.get(&at) {
            return pane;
        }
        let pane = match self.free.pop() {
            Some(pane) => {
                self.slab[pane as usize].at = at;
                pane
            }
            None => {
                self.slab.push(Pane {
                    at,
                    generation: 1,
                    hot: Hot::new(self.layout_stride),
                    ids: vec![],
                    first: vec![],
                    behind: vec![],
                });
                self.slab.len() as u32 - 1
            }
        };
        self.order.insert(at, pane);
        pane
    }

    /// A pane by its place.
    pub fn at(&self, pane: u32) -> &Pane {
        &self.slab[pane as usize]
    }

    /// The accumulators of a pane by its place.
    pub fn hot_mut(&mut self, pane: u32) -> &mut Hot {
        &mut self.slab[pane as usize].hot
    }

    /// The key's entry in a pane; makes it, with the ordinal of its first row, if it is not there.
    pub fn entry(&mut self, pane: u32, id: u32, ordinal: u64) -> u32 {
        let at = self.slab[pane as usize].at;
        let mut newer = NOWHERE;
        let mut link = self.heads[id as usize];
        while let Some(found) = self.live(link) {
            if found.at == at {
                return link.entry;
            }
            if found.at < at {
                break;
            }
            newer = link;
            link = found.behind[link.entry as usize];
        }
        let behind = if self.live(link).is_some() { link } else { NOWHERE };
        let target = &mut self.slab[pane as usize];
        let entry = target.hot.push();
        target.ids.push(id);
        target.first.push(ordinal);
        target.behind.push(behind);
        let made = Link { pane, generation: target.generation, entry };
        if newer == NOWHERE {
            self.heads[id as usize] = made;
        } else {
            self.slab[newer.pane as usize].behind[newer.entry as usize] = made;
        }
        let entries = &mut self.entries[id as usize];
        self.idle -= usize::from(*entries == 0);
        *entries += 1;
        entry
    }

    fn live(&self, link: Link) -> Option<&Pane> {
        self.slab.get(link.pane as usize).filter(|pane| pane.generation == link.generation)
    }

    /// The key's entries, newest pane first.
    pub fn entries_of(&self, id: u32) -> impl Iterator<Item = (&Pane, u32)> {
        let mut link = self.heads[id as usize];
        std::iter::from_fn(move || {
            let pane = self.live(link)?;
            let entry = link.entry;
            link = pane.behind[entry as usize];
            Some((pane, entry))
        })
    }

    /// The panes that start in `[from, to)`, oldest first.
    pub fn between(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Pane> {
        let range = (from, Micros::MIN)..(to.max(from), Micros::MIN);
        self.order.range(range).map(|(_, &pane)| &self.slab[pane as usize])
    }

    /// The oldest pane that starts at or behind `from`.
    pub fn next_from(&self, from: Micros) -> Option<PaneAt> {
        self.order.range((from, Micros::MIN)..).next().map(|(&at, _)| at)
    }

    /// Frees the panes for which `dead` holds, from the oldest on.
    pub fn reclaim(&mut self, dead: impl Fn(Micros) -> bool) {
        while let Some(entry) = self.order.first_entry() {
            if !dead(entry.key().0) {
                break;
            }
            let at = entry.remove();
            let pane = &mut self.slab[at as usize];
            for &id in &pane.ids {
                let entries = &mut self.entries[id as usize];
                *entries -= 1;
                self.idle += usize::from(*entries == 0);
            }
            pane.generation += 1;
            pane.hot.clear();
            pane.ids.clear();
            pane.first.clear();
            pane.behind.clear();
            self.free.push(at);
        }
        if self.idle > IDLE_MAX && self.idle * 2 > self.keys.len() {
            self.sweep();
        }
    }

    /// Forgets keys that are in no pane.
    fn sweep(&mut self) {
        for id in 0..self.entries.len() {
            if self.entries[id] == 0 {
                self.keys.remove(id as u32);
                self.entries[id] = FREE;
            }
        }
        self.idle = 0;
    }

    /// All panes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Pane> {
        self.order.values().map(|&pane| &self.slab[pane as usize])
    }

    /// Whether there are no panes.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        let panes: usize = self
            .slab
            .iter()
            .map(|p| {
                p.hot.bytes()
                    + p.ids.capacity() * 4
                    + p.first.capacity() * 8
                    + p.behind.capacity() * 12
            })
            .sum();
        self.keys.bytes() + panes + self.heads.capacity() * 12 + self.entries.capacity() * 4
    }
}
