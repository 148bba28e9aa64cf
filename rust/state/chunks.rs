//! Chunks: the entries of one key with many rows, in order of (time, arrival), as a tree of short
//! runs, each with the accumulators of everything in it. Any window is combined from a few runs.
//!
//! Most keys have none: chunks are built when walking a key's entries gets long, and dropped when
//! they have not been used for a while. Both costs are covered by the walks saved. Chunks are
//! derived from the log, so they are not saved, and answers do not depend on whether they exist.

use super::Log;
use crate::aggregate::{Cell, Layout, Moment, StateRows};
use crate::limits::{CHUNK_WIDTH, WALK_MAX};
use crate::time::Micros;

/// Position of an entry in its key's order: its time, then its position in the log.
pub type At = (Micros, u64);

/// What building and updating chunks needs: the aggregates whose states stay small, and the log.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// All aggregates of the verb.
    pub layout: &'a Layout,
    /// Indices of the aggregates kept in chunks.
    pub which: &'a [usize],
    /// The log that holds the rows.
    pub log: &'a Log,
}

impl Kept<'_> {
    /// Adds an entry to a cell of aggregate `j`; an entry that was freed or has no value changes
    /// nothing.
    pub fn update(&self, j: usize, cell: Cell<'_>, (time, seq): At) {
        if let Some(args) = self.log.args(seq, j) {
            self.layout.items[j].0.update(cell, &args, Moment { time, seq });
        }
    }

    fn add(&self, hot: &mut StateRows, row: u32, at: At) {
        for &j in self.which {
            let (aggregate, offset) = &self.layout.items[j];
            self.update(j, hot.cell(row, *offset, aggregate.words()), at);
        }
    }

    fn merge(&self, into: &mut StateRows, into_row: u32, from: &StateRows, from_row: u32) {
        for &j in self.which {
            let (aggregate, offset) = &self.layout.items[j];
            let cell = into.cell(into_row, *offset, aggregate.words());
            aggregate.merge(cell, from.peek(from_row, *offset, aggregate.words()));
        }
    }
}

/// A node of the tree: a run of entries, or of nodes.
#[derive(Debug, Default)]
struct RunNode {
    /// The entries, or the last entry of each child.
    last: Vec<At>,
    /// The children; empty in a leaf.
    below: Vec<u32>,
}

/// The tree of one key.
#[derive(Debug)]
pub struct Chunks {
    nodes: Vec<RunNode>,
    free: Vec<u32>,
    root: u32,
    /// One row of accumulators per node.
    hot: StateRows,
    len: usize,
    /// Entries added since the tree was last used.
    unused: usize,
}

/// One part of a window.
enum WindowPiece {
    /// A whole node, by its row.
    Run(u32),
    /// A single entry.
    Entry(At),
}

impl Chunks {
    /// Builds chunks from entries in rising order.
    pub fn new(kept: Kept<'_>, entries: &[At]) -> Chunks {
        let (nodes, free, hot) = (vec![], vec![], kept.layout.hot());
        let mut chunks = Chunks { nodes, free, root: 0, hot, len: entries.len(), unused: 0 };
        let mut level: Vec<u32> = vec![];
        for run in entries.chunks(CHUNK_WIDTH) {
            level.push(chunks.node(kept, RunNode { last: run.to_vec(), below: vec![] }));
        }
        if level.is_empty() {
            level.push(chunks.node(kept, RunNode::default()));
        }
        while level.len() > 1 {
            let above = level.chunks(CHUNK_WIDTH).map(|below| chunks.above(kept, below.to_vec()));
            level = above.collect();
        }
        chunks.root = level[0];
        chunks
    }

    /// Adds a node above others.
    fn above(&mut self, kept: Kept<'_>, below: Vec<u32>) -> u32 {
        let last = below.iter().map(|&node| self.last(node)).collect();
        self.node(kept, RunNode { last, below })
    }

    /// The last entry of a node.
    fn last(&self, node: u32) -> At {
        self.nodes[node as usize].last.last().copied().unwrap_or((Micros::MIN, 0))
    }

    /// Adds a node and computes its row.
    fn node(&mut self, kept: Kept<'_>, node: RunNode) -> u32 {
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.nodes.push(RunNode::default());
                self.hot.push()
            }
        };
        self.nodes[at as usize] = node;
        self.refold(kept, at);
        at
    }

    /// Recomputes the row of a node.
    fn refold(&mut self, kept: Kept<'_>, at: u32) {
        kept.layout.clear(&mut self.hot, at);
        let node = &self.nodes[at as usize];
        if node.below.is_empty() {
            node.last.iter().for_each(|&entry| kept.add(&mut self.hot, at, entry));
            return;
        }
        let mut sum = kept.layout.hot();
        let row = sum.push();
        node.below.iter().for_each(|&below| kept.merge(&mut sum, row, &self.hot, below));
        kept.merge(&mut self.hot, at, &sum, row);
    }

    /// Inserts an entry.
    pub fn insert(&mut self, kept: Kept<'_>, at: At) {
        self.len += 1;
        self.unused += 1;
        if let Some(beside) = self.insert_into(kept, self.root, at) {
            self.root = self.above(kept, vec![self.root, beside]);
        }
    }

    /// Inserts an entry below a node; if the node was split, returns its new right neighbour.
    fn insert_into(&mut self, kept: Kept<'_>, to: u32, at: At) -> Option<u32> {
        let node = &mut self.nodes[to as usize];
        let place = node.last.partition_point(|last| *last < at);
        if node.below.is_empty() {
            if node.last.len() == CHUNK_WIDTH && place == CHUNK_WIDTH {
                // Entries that arrive in order of time start a new run, so earlier runs stay full.
                return Some(self.node(kept, RunNode { last: vec![at], below: vec![] }));
            }
            node.last.insert(place, at);
            kept.add(&mut self.hot, to, at);
            return self.split(kept, to);
        }
        let place = place.min(node.below.len() - 1);
        let below = node.below[place];
        let beside = self.insert_into(kept, below, at);
        self.nodes[to as usize].last[place] = self.last(below);
        if let Some(beside) = beside {
            let is_new = self.nodes[beside as usize].last == [at];
            if is_new && place + 1 == CHUNK_WIDTH {
                return Some(self.above(kept, vec![beside]));
            }
            let last = self.last(beside);
            let node = &mut self.nodes[to as usize];
            node.last.insert(place + 1, last);
            node.below.insert(place + 1, beside);
        }
        kept.add(&mut self.hot, to, at);
        self.split(kept, to)
    }

    /// Takes out an entry that is in the tree.
    pub fn remove(&mut self, kept: Kept<'_>, at: At) {
        self.len -= 1;
        self.remove_from(kept, self.root, at);
    }

    fn remove_from(&mut self, kept: Kept<'_>, from: u32, at: At) {
        let node = &mut self.nodes[from as usize];
        let place = node.last.partition_point(|last| *last < at);
        if node.below.is_empty() {
            node.last.remove(place);
            return self.refold(kept, from);
        }
        let below = node.below[place];
        self.remove_from(kept, below, at);
        let last = self.nodes[below as usize].last.last().copied();
        let node = &mut self.nodes[from as usize];
        match last {
            Some(last) => node.last[place] = last,
            None => {
                node.last.remove(place);
                node.below.remove(place);
                self.release(kept, below);
            }
        }
        self.refold(kept, from);
    }

    /// Moves half of an overfull node to a new one.
    fn split(&mut self, kept: Kept<'_>, at: u32) -> Option<u32> {
        let node = &mut self.nodes[at as usize];
        if node.last.len() <= CHUNK_WIDTH {
            return None;
        }
        let half = node.last.len() / 2;
        let last = node.last.split_off(half);
        let below = node.below.split_off(half.min(node.below.len()));
        self.refold(kept, at);
        Some(self.node(kept, RunNode { last, below }))
    }

    /// Adds the entries in `(from, to]` to a cell of aggregate `j`.
    pub fn fold(&self, kept: Kept<'_>, j: usize, (from, to): (At, At), mut cell: Cell<'_>) {
        let (aggregate, offset) = &kept.layout.items[j];
        let mut take = |piece: WindowPiece| match piece {
            WindowPiece::Run(row) => {
                aggregate.merge(cell.reborrow(), self.hot.peek(row, *offset, aggregate.words()));
            }
            WindowPiece::Entry(at) => kept.update(j, cell.reborrow(), at),
        };
        self.visit(self.root, None, (from, to), &mut take);
    }

    /// Visits the pieces of `(from, to]` in a node whose entries are all after `floor`.
    fn visit(
        &self,
        node: u32,
        floor: Option<At>,
        (from, to): (At, At),
        take: &mut impl FnMut(WindowPiece),
    ) {
        let RunNode { last, below } = &self.nodes[node as usize];
        if floor.is_some_and(|floor| floor >= from) && last.last().is_some_and(|last| *last <= to) {
            return take(WindowPiece::Run(node));
        }
        let first = last.partition_point(|last| *last <= from);
        if below.is_empty() {
            let inside = last[first..].iter().take_while(|at| **at <= to);
            return inside.for_each(|&at| take(WindowPiece::Entry(at)));
        }
        for i in first..last.len() {
            let floor = if i == 0 { floor } else { Some(last[i - 1]) };
            if floor.is_some_and(|floor| floor >= to) {
                break;
            }
            self.visit(below[i], floor, (from, to), take);
        }
    }

    /// The first entry after `at`.
    pub fn behind(&self, at: At) -> Option<At> {
        let mut node = &self.nodes[self.root as usize];
        loop {
            let place = node.last.partition_point(|last| *last <= at);
            let found = *node.last.get(place)?;
            match node.below.get(place) {
                Some(&below) => node = &self.nodes[below as usize],
                None => return Some(found),
            }
        }
    }

    /// Frees runs whose entries are all at or before `until`.
    pub fn free_until(&mut self, kept: Kept<'_>, until: Micros) {
        self.free_in(kept, self.root, until);
        while let [only] = self.nodes[self.root as usize].below[..] {
            let root = std::mem::replace(&mut self.root, only);
            self.release(kept, root);
        }
    }

    /// Frees such runs below a node; true if any was freed.
    fn free_in(&mut self, kept: Kept<'_>, at: u32, until: Micros) -> bool {
        let node = &mut self.nodes[at as usize];
        if node.below.is_empty() {
            return false;
        }
        // Keep the last run, so that no node is empty.
        let dead = node.last.partition_point(|last| last.0 <= until).min(node.below.len() - 1);
        node.last.drain(..dead);
        let freed: Vec<u32> = node.below.drain(..dead).collect();
        let first = node.below[0];
        freed.iter().for_each(|&each| self.drop_all(kept, each));
        let changed = self.free_in(kept, first, until) || dead > 0;
        if changed {
            self.refold(kept, at);
        }
        changed
    }

    fn drop_all(&mut self, kept: Kept<'_>, at: u32) {
        let RunNode { last, below } = std::mem::take(&mut self.nodes[at as usize]);
        if below.is_empty() {
            self.len -= last.len();
        }
        below.into_iter().for_each(|each| self.drop_all(kept, each));
        self.release(kept, at);
    }

    fn release(&mut self, kept: Kept<'_>, at: u32) {
        kept.layout.clear(&mut self.hot, at);
        self.nodes[at as usize] = RunNode::default();
        self.free.push(at);
    }

    /// Notes that the chunks were used.
    pub fn used(&mut self) {
        self.unused = 0;
    }

    /// Whether updates since the last use have cost more than rebuilding would.
    pub fn is_useless(&self) -> bool {
        self.unused > 2 * self.len
    }

    /// Whether so few entries are left that walking them is cheap.
    pub fn is_short(&self) -> bool {
        self.len <= WALK_MAX / 2
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let node = size_of::<RunNode>() + size_of::<At>();
        self.hot.bytes() + self.nodes.capacity() * node + self.len * size_of::<At>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::log::NONE;
    use super::*;
    use crate::aggregate::{ArgumentColumns, Arguments, Classes, build};
    use arrow_array::{ArrayRef, Float64Array, StringArray};
    use arrow_schema::DataType;
    use std::sync::Arc;

    const WHICH: [usize; 5] = [0, 1, 2, 3, 4];

    /// A log with rows of one key, whose values include nulls, NaN and duplicates.
    fn log(times: &[i64]) -> (Layout, Log, Vec<At>) {
        let len = times.len();
        let value = |i: usize| match i % 7 {
            0 => None,
            1 => Some(f64::NAN),
            n => Some(((i * 31 + n) % 11) as f64 - 5.0),
        };
        let floats: ArrayRef = Arc::new((0..len).map(value).collect::<Float64Array>());
        let texts = (0..len).map(|i| (i % 3 > 0).then(|| (i * 7 % 13).to_string()));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let column = |array: &ArrayRef| {
            ArgumentColumns::from_arrays(std::slice::from_ref(array), None, len).unwrap()
        };
        let columns =
            [column(&floats), column(&floats), column(&texts), column(&floats), column(&texts)];
        let kinds = ["sum", "max", "min", "first", "last"];
        let types = [DataType::Float64, DataType::Utf8];
        let types = [0, 0, 1, 0, 1].map(|t: usize| types[t].clone());
        let layout =
            kinds.iter().zip(&types).map(|(kind, t)| build(kind, std::slice::from_ref(t)).unwrap());
        let layout = Layout::new(layout.collect());
        let arguments =
            Arguments::new(types.iter().map(|t| Classes::for_types(std::slice::from_ref(t))));
        let mut log = Log::new(arguments.clone());
        let rows: Vec<u32> = (0..len as u32).collect();
        let arranged = arguments.arrange(&columns, &rows);
        let place = |(row, &time): (usize, &i64)| {
            (time, log.append((time, 0), &mut { NONE }, arranged.at(row), (&columns, row)).0)
        };
        let entries = times.iter().enumerate().map(place).collect();
        (layout, log, entries)
    }

    fn says(kept: Kept<'_>, fill: impl Fn(usize, Cell<'_>)) -> Vec<String> {
        let answer = |&j: &usize| {
            let mut hot = kept.layout.hot();
            let row = hot.push();
            let (aggregate, offset) = &kept.layout.items[j];
            fill(j, hot.cell(row, *offset, aggregate.words()));
            format!("{:?}", kept.layout.evaluate(&hot, row, j))
        };
        WHICH.iter().map(answer).collect()
    }

    /// Asserts that every window equals the result of adding its entries one by one.
    fn check(chunks: &Chunks, kept: Kept<'_>, held: &[At], bounds: (At, At)) {
        let folded = says(kept, |j, cell| chunks.fold(kept, j, bounds, cell));
        let inside = || held.iter().filter(|at| **at > bounds.0 && **at <= bounds.1);
        let one_by_one =
            says(kept, |j, mut cell| inside().for_each(|&at| kept.update(j, cell.reborrow(), at)));
        assert_eq!(folded, one_by_one, "{bounds:?}");
    }

    proptest! {
        #[test]
        fn windows_are_what_their_entries_give(
            times in prop::collection::vec(0i64..60, 0..300),
            in_order in any::<bool>(),
            made_at in any::<prop::sample::Index>(),
            asked in prop::collection::vec((-2i64..62, -2i64..62), 8),
            until in -1i64..61,
        ) {
            let mut times = times;
            if in_order {
                times.sort_unstable();
            }
            let (layout, log, entries) = log(&times);
            let kept = Kept { layout: &layout, which: &WHICH, log: &log };
            let (first, rest) = entries.split_at(made_at.index(entries.len() + 1));
            let mut held = first.to_vec();
            held.sort_unstable();
            let mut chunks = Chunks::new(kept, &held);
            for &at in rest {
                chunks.insert(kept, at);
            }
            held = entries.clone();
            held.sort_unstable();
            let all = |chunks: &Chunks, held: &[At], least: i64| {
                for &(a, b) in &asked {
                    let from = (a.min(b).max(least), u64::MAX);
                    check(chunks, kept, held, (from, (a.max(b), u64::MAX)));
                    check(chunks, kept, held, (from, (a.max(b), 7)));
                    let next = held.iter().find(|at| **at > from).copied();
                    prop_assert_eq!(chunks.behind(from), next);
                }
                check(chunks, kept, held, ((least, u64::MAX), (i64::MAX, u64::MAX)));
                Ok(())
            };
            all(&chunks, &held, i64::MIN)?;
            for &at in rest.iter().rev() {
                chunks.remove(kept, at);
            }
            let mut fewer = first.to_vec();
            fewer.sort_unstable();
            all(&chunks, &fewer, i64::MIN)?;
            rest.iter().for_each(|&at| chunks.insert(kept, at));
            all(&chunks, &held, i64::MIN)?;
            chunks.free_until(kept, until);
            prop_assert!(chunks.len >= held.iter().filter(|at| at.0 > until).count());
            all(&chunks, &held, until)?;
            prop_assert!(chunks.nodes.iter().all(|node| node.last.len() <= CHUNK_WIDTH));
            chunks.insert(kept, entries.first().copied().unwrap_or((0, 1)));
        }
    }

    #[test]
    fn a_window_of_many_entries_is_few_pieces() {
        let times: Vec<i64> = (0..40_000).collect();
        let (layout, log, entries) = log(&times);
        let kept = Kept { layout: &layout, which: &WHICH, log: &log };
        let mut chunks = Chunks::new(kept, &[]);
        entries.iter().for_each(|&at| chunks.insert(kept, at));
        for chunks in [chunks, Chunks::new(kept, &entries)] {
            let mut pieces = 0;
            let bounds = ((777, u64::MAX), (39_333, u64::MAX));
            chunks.visit(chunks.root, None, bounds, &mut |_| pieces += 1);
            let levels = (1..).find(|&n| CHUNK_WIDTH.pow(n) >= times.len()).unwrap_or(1) as usize;
            assert!(pieces <= 2 * CHUNK_WIDTH * levels, "{pieces}");
            assert!(chunks.nodes.len() < 2 * times.len() / (CHUNK_WIDTH - 1).max(1));
        }
    }

    #[test]
    fn what_is_freed_gives_its_memory_back() {
        let times: Vec<i64> = (0..5_000).collect();
        let (layout, log, entries) = log(&times);
        let kept = Kept { layout: &layout, which: &WHICH, log: &log };
        let mut chunks = Chunks::new(kept, &entries[..1_000]);
        let before = chunks.nodes.len();
        for &at in &entries[1_000..] {
            chunks.insert(kept, at);
            chunks.free_until(kept, at.0 - 1_000);
        }
        assert!(chunks.nodes.len() < 2 * before + 8, "{before} {}", chunks.nodes.len());
        assert!(chunks.len <= 1_000 + CHUNK_WIDTH);
        assert!(chunks.bytes() > 0 && chunks.is_useless());
        chunks.used();
        assert!(!chunks.is_useless());
    }
}
