//! Panes: per pane one row of accumulators for each key touched in it, in order of first touch.
//!
//! A row that was late for some windows but not for others must not count in a pane those windows
//! share. So panes are also distinguished by the first window that accepts their rows. Each key's
//! entries form a list from the newest pane to the oldest; freed panes are always at its far end.

use std::collections::{BTreeMap, HashMap};

use super::keys::{KeyColumns, Keys};
use crate::aggregate::lines::grow;
use crate::aggregate::{Layout, StateRows};
use crate::limits::IDLE_KEYS_MAX;
use crate::prefetch::prefetch;
use crate::time::Micros;

/// Start of a pane, and end of the first window that accepts its rows.
pub type PaneAt = (Micros, Micros);

/// A key's entry in a pane; invalid once the pane has been freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pane: u32,
    generation: u32,
    /// The row of accumulators.
    pub entry: u32,
}

const NOWHERE: Link = Link { pane: u32::MAX, generation: 0, entry: 0 };

/// A key's entry in its newest pane, and the number of panes it is in.
#[derive(Debug, Clone, Copy)]
struct NewestEntry {
    newest: Link,
    entries: u32,
}

/// An entry's fields other than its accumulators.
#[derive(Debug, Clone, Copy)]
pub struct PaneEntry {
    /// The key.
    pub id: u32,
    /// Ordinal of the key's first row in the pane.
    pub first: u64,
    /// The key's entry in the next older pane.
    behind: Link,
}

/// The rows of one pane.
#[derive(Debug)]
pub struct Pane {
    /// The pane's start and first window.
    pub at: PaneAt,
    generation: u32,
    /// The accumulators, one row per entry.
    pub hot: StateRows,
    /// The entries, in order of first touch.
    pub entries: Vec<PaneEntry>,
}

impl Pane {
    fn new(at: PaneAt, generation: u32, stride: usize) -> Pane {
        Pane { at, generation, hot: StateRows::new(stride), entries: vec![] }
    }
}

/// All panes of one slot.
#[derive(Debug)]
pub struct Panes {
    /// The keys.
    pub keys: Keys,
    stride: usize,
    heads: Vec<NewestEntry>,
    /// Number of keys that are in no pane.
    idle: usize,
    order: BTreeMap<PaneAt, u32>,
    slab: Vec<Pane>,
    free: Vec<u32>,
    /// The clock up to which windows have been closed.
    pub closed: Micros,
    /// By window end and key, how many times the window was fired again.
    pub revisions: BTreeMap<Micros, HashMap<u32, i64>>,
}

impl Panes {
    /// Creates an empty set.
    pub fn new(layout: &Layout) -> Panes {
        Panes {
            keys: Keys::default(),
            stride: layout.stride,
            heads: vec![],
            idle: 0,
            order: BTreeMap::new(),
            slab: vec![],
            free: vec![],
            closed: crate::time::NEVER,
            revisions: BTreeMap::new(),
        }
    }

    /// The id of a row's key, created if needed.
    pub fn key(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let known = self.keys.len();
        let id = self.keys.intern(columns, row);
        self.welcome(known);
        id
    }

    /// Replaces `ids` by the ids of the keys of `rows`, creating new keys.
    pub fn keys_of(&mut self, columns: &KeyColumns, rows: &[u32], ids: &mut Vec<u32>) {
        let known = self.keys.len();
        self.keys.intern_all(columns, rows, ids);
        self.welcome(known);
    }

    /// Adds heads for keys created since there were `known` keys.
    fn welcome(&mut self, known: usize) {
        self.idle += self.keys.len() - known;
        let len = self.keys.capacity();
        if len > self.heads.len() {
            grow(&mut self.heads, len);
            self.heads.resize(len, NewestEntry { newest: NOWHERE, entries: 0 });
        }
    }

    /// The slab index of a pane, which is created if needed.
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
                self.slab.push(Pane::new(at, 1, self.stride));
                self.slab.len() as u32 - 1
            }
        };
        self.order.insert(at, pane);
        pane
    }

    /// The accumulators of the pane at a slab index.
    pub fn hot_mut(&mut self, pane: u32) -> &mut StateRows {
        &mut self.slab[pane as usize].hot
    }

    /// Replaces `into` by the entries of keys in a pane; creates missing ones with the ordinal of
    /// their first row.
    ///
    /// All keys' newest entries are read before any is changed, so that cache misses overlap: see
    /// [`Keys::intern_all`].
    pub fn entries(
        &mut self,
        pane: u32,
        ids: &[u32],
        ordinal: impl Fn(usize) -> u64,
        into: &mut Vec<u32>,
    ) {
        let generation = self.slab[pane as usize].generation;
        let known = |&id: &u32| {
            let newest = self.heads[id as usize].newest;
            let is_here = newest.pane == pane && newest.generation == generation;
            if is_here { newest.entry } else { u32::MAX }
        };
        ids.iter().for_each(|&id| prefetch(&self.heads, id as usize));
        into.clear();
        into.extend(ids.iter().map(known));
        let hot = &self.slab[pane as usize].hot;
        into.iter().filter(|&&entry| entry != u32::MAX).for_each(|&entry| hot.prefetch(entry));
        for (i, entry) in into.iter_mut().enumerate().filter(|(_, entry)| **entry == u32::MAX) {
            *entry = self.entry(pane, ids[i], ordinal(i));
        }
    }

    /// The key's entry in a pane; created with the ordinal of its first row if missing.
    pub fn entry(&mut self, pane: u32, id: u32, ordinal: u64) -> u32 {
        let at = self.slab[pane as usize].at;
        let mut newer = NOWHERE;
        let mut link = self.heads[id as usize].newest;
        while let Some(found) = self.live(link) {
            if found.at == at {
                return link.entry;
            }
            if found.at < at {
                break;
            }
            newer = link;
            link = found.entries[link.entry as usize].behind;
        }
        let behind = if self.live(link).is_some() { link } else { NOWHERE };
        let target = &mut self.slab[pane as usize];
        let entry = target.hot.push();
        grow(&mut target.entries, entry as usize + 1);
        target.entries.push(PaneEntry { id, first: ordinal, behind });
        let made = Link { pane, generation: target.generation, entry };
        let head = &mut self.heads[id as usize];
        self.idle -= usize::from(head.entries == 0);
        head.entries += 1;
        if newer == NOWHERE {
            head.newest = made;
        } else {
            self.slab[newer.pane as usize].entries[newer.entry as usize].behind = made;
        }
        entry
    }

    fn live(&self, link: Link) -> Option<&Pane> {
        self.slab.get(link.pane as usize).filter(|pane| pane.generation == link.generation)
    }

    /// The key's entries, newest pane first.
    pub fn entries_of(&self, id: u32) -> impl Iterator<Item = (&Pane, u32)> {
        let mut link = self.heads[id as usize].newest;
        std::iter::from_fn(move || {
            let pane = self.live(link)?;
            let entry = link.entry;
            link = pane.entries[entry as usize].behind;
            Some((pane, entry))
        })
    }

    /// The panes that start in `[from, to)`, oldest first.
    pub fn between(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Pane> {
        let range = (from, Micros::MIN)..(to.max(from), Micros::MIN);
        self.order.range(range).map(|(_, &pane)| &self.slab[pane as usize])
    }

    /// The oldest pane that starts at or after `from`.
    pub fn next_from(&self, from: Micros) -> Option<PaneAt> {
        self.order.range((from, Micros::MIN)..).next().map(|(&at, _)| at)
    }

    /// The number of the next firing of a key's window, counted from 0.
    pub fn next_revision(&mut self, end: Micros, id: u32) -> i64 {
        let known = self.revisions.entry(end).or_default().entry(id).or_insert(-1);
        *known += 1;
        *known
    }

    /// Frees the panes for which `dead` holds, oldest first, up to the first for which it does not.
    pub fn reclaim(&mut self, dead: impl Fn(Micros) -> bool) {
        while let Some(entry) = self.order.first_entry() {
            if !dead(entry.key().0) {
                break;
            }
            let at = entry.remove();
            let pane = &mut self.slab[at as usize];
            for entry in &pane.entries {
                let NewestEntry { entries, .. } = &mut self.heads[entry.id as usize];
                *entries -= 1;
                self.idle += usize::from(*entries == 0);
            }
            *pane = Pane::new(pane.at, pane.generation.wrapping_add(1), self.stride);
            self.free.push(at);
        }
        if self.idle > IDLE_KEYS_MAX && self.idle * 2 > self.keys.len() {
            self.sweep();
        }
    }

    /// Forgets keys that are in no pane.
    fn sweep(&mut self) {
        for (id, _) in self.heads.iter().enumerate().filter(|(_, head)| head.entries == 0) {
            self.keys.remove(id as u32);
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

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let of = |pane: &Pane| pane.hot.bytes() + pane.entries.capacity() * size_of::<PaneEntry>();
        let panes: usize = self.slab.iter().map(of).sum();
        self.keys.bytes() + panes + self.heads.capacity() * size_of::<NewestEntry>()
    }
}
