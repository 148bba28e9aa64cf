//! Log: the rows that per-event windows look back at, in arrival order, shared by all sizes.
//!
//! Each key's entries are linked in order of (event time, arrival). A segment is freed once no
//! window can reach any of its entries; a link into a freed segment reads as the list's end.

use std::collections::VecDeque;

use crate::aggregate::Column;
use crate::time::Micros;

/// Entries a segment.
const SEGMENT: usize = 1024;

/// How many segments are looked at for one to free although an older one is still needed.
const LOOK_MAX: usize = 64;

/// No entry; positions begin at 1.
pub const NONE: u64 = 0;

/// An entry as it is kept: all that a step of a walk reads, side by side.
#[derive(Debug, Clone, Copy)]
struct Stored {
    time: Micros,
    id: u32,
    older: Link,
    newer: Link,
}

/// The way from one entry to another as their distance; 0 is none, as no entry leads to itself.
#[derive(Debug, Clone, Copy)]
struct Link(i32);

impl Link {
    fn between(from: u64, to: u64) -> Link {
        Link(if to == NONE { 0 } else { to.wrapping_sub(from) as i32 })
    }

    fn from(self, from: u64) -> u64 {
        if self.0 == 0 { NONE } else { from.wrapping_add_signed(self.0.into()) }
    }
}

/// A run of entries that were appended one after another.
#[derive(Debug)]
struct Segment {
    entries: Vec<Stored>,
    columns: Vec<Column>,
    newest: Micros,
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Event time.
    pub time: Micros,
    /// The key's entry before it in time.
    pub older: u64,
    /// The key's entry behind it in time.
    pub newer: u64,
}

/// An entry that is to be freed.
#[derive(Debug, Clone, Copy)]
pub struct Dead {
    /// Its key.
    pub id: u32,
    /// Its position.
    pub entry: u64,
    /// The key's entry behind it in time.
    pub newer: u64,
}

/// The log of one slot.
#[derive(Debug)]
pub struct Log {
    base: u64,
    segments: VecDeque<Option<Segment>>,
    len: usize,
}

impl Default for Log {
    fn default() -> Log {
        Log { base: NONE + 1, segments: VecDeque::new(), len: 0 }
    }
}

impl Log {
    /// Appends row `row` of the arguments for a key; gives its position.
    ///
    /// # Panics
    /// At two billion entries that a window can still reach.
    pub fn append(&mut self, time: Micros, id: u32, columns: &[Column], row: usize) -> u64 {
        if self.len.is_multiple_of(SEGMENT) {
            assert!(self.len < i32::MAX as usize, "fewer than 2^31 entries in a log");
            self.segments.push_back(Some(Segment {
                entries: Vec::with_capacity(SEGMENT),
                columns: columns.iter().map(Column::empty_like).collect(),
                newest: Micros::MIN,
            }));
        }
        let last =
            self.segments.back_mut().and_then(Option::as_mut).expect("the last is never freed");
        last.entries.push(Stored { time, id, older: Link(0), newer: Link(0) });
        last.newest = last.newest.max(time);
        last.columns.iter_mut().zip(columns).for_each(|(to, from)| to.push(from.get(row)));
        self.len += 1;
        self.base + self.len as u64 - 1
    }

    #[inline]
    fn find(&self, at: u64) -> Option<(&Segment, usize)> {
        let i = at.checked_sub(self.base)? as usize;
        let segment = self.segments.get(i / SEGMENT)?.as_ref()?;
        Some((segment, i % SEGMENT))
    }

    #[inline]
    fn find_mut(&mut self, at: u64) -> Option<(&mut Segment, usize)> {
        let i = at.checked_sub(self.base)? as usize;
        let segment = self.segments.get_mut(i / SEGMENT)?.as_mut()?;
        Some((segment, i % SEGMENT))
    }

    /// An entry, unless it was freed.
    #[inline]
    pub fn get(&self, at: u64) -> Option<Entry> {
        let (segment, i) = self.find(at)?;
        let Stored { time, older, newer, .. } = segment.entries[i];
        Some(Entry { time, older: older.from(at), newer: newer.from(at) })
    }

    /// The arguments of an entry: the columns of its segment and its row in them.
    #[inline]
    pub fn arguments(&self, at: u64) -> Option<(&[Column], usize)> {
        let (segment, i) = self.find(at)?;
        Some((&segment.columns, i))
    }

    /// Links an entry into its key's list, whose newest entry is `tail`; gives the newest entry.
    pub fn link(&mut self, at: u64, tail: u64) -> u64 {
        let time = self.get(at).expect("just appended").time;
        let (mut older, mut newer) = (tail, NONE);
        while let Some(entry) = self.get(older).filter(|entry| entry.time > time) {
            newer = older;
            older = entry.older;
        }
        if let Some((segment, i)) = self.find_mut(older) {
            segment.entries[i].newer = Link::between(older, at);
        } else {
            older = NONE;
        }
        if let Some((segment, i)) = self.find_mut(newer) {
            segment.entries[i].older = Link::between(newer, at);
        }
        if let Some((segment, i)) = self.find_mut(at) {
            segment.entries[i].older = Link::between(at, older);
            segment.entries[i].newer = Link::between(at, newer);
        }
        if newer == NONE { at } else { tail }
    }

    /// Whether there is a segment to free.
    pub fn is_due(&self, until: Micros) -> bool {
        let full = self.len / SEGMENT;
        let oldest = self.segments.iter().take(full).flatten().next();
        oldest.is_some_and(|segment| segment.newest <= until)
    }

    /// The segments without an entry newer than `until`, looked for among the oldest.
    fn due(&self, until: Micros) -> Vec<usize> {
        let full = self.segments.iter().take(self.len / SEGMENT).enumerate();
        let held = full.filter_map(|(s, segment)| Some((s, segment.as_ref()?.newest <= until)));
        let near = held.take_while(|&(s, due)| due || s <= LOOK_MAX);
        near.filter(|&(_, due)| due).map(|(s, _)| s).collect()
    }

    /// The entries that [`Log::reclaim`] is going to free.
    pub fn dead(&self, until: Micros) -> Vec<Dead> {
        let mut dead = Vec::new();
        for s in self.due(until) {
            let first = self.base + (s * SEGMENT) as u64;
            let entries = self.segments[s].iter().flat_map(|segment| &segment.entries);
            dead.extend(entries.zip(first..).map(|(stored, entry)| {
                let &Stored { id, newer, .. } = stored;
                Dead { id, entry, newer: newer.from(entry) }
            }));
        }
        dead
    }

    /// Frees segments without an entry newer than `until`.
    pub fn reclaim(&mut self, until: Micros) {
        for s in self.due(until) {
            self.segments[s] = None;
        }
        while matches!(self.segments.front(), Some(None)) {
            self.segments.pop_front();
            self.base += SEGMENT as u64;
            self.len -= SEGMENT;
        }
    }

    /// All entries in order of arrival: position, time and key.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Micros, u32)> {
        self.segments.iter().enumerate().flat_map(move |(s, segment)| {
            let first = self.base + (s * SEGMENT) as u64;
            segment.iter().flat_map(move |segment| {
                let rows = segment.entries.iter().enumerate();
                rows.map(move |(i, entry)| (first + i as u64, entry.time, entry.id))
            })
        })
    }

    /// Whether nothing was appended yet, or all was freed.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        let of = |segment: &Segment| {
            let columns: usize = segment.columns.iter().map(Column::bytes).sum();
            segment.entries.capacity() * size_of::<Stored>() + columns
        };
        self.segments.iter().flatten().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(log: &Log, tail: u64) -> Vec<Micros> {
        let mut all = Vec::new();
        let mut at = tail;
        while let Some(entry) = log.get(at) {
            all.push(entry.time);
            at = entry.older;
        }
        all
    }

    #[test]
    fn a_key_is_linked_in_order_of_time_then_arrival() {
        let mut log = Log::default();
        let columns = [Column::from_array(None, None, 6).unwrap()];
        let mut tail = NONE;
        for (row, time) in [5, 9, 7, 1, 9, 7].into_iter().enumerate() {
            let at = log.append(time, 0, &columns, row);
            tail = log.link(at, tail);
        }
        assert_eq!(times(&log, tail), [9, 9, 7, 7, 5, 1]);
        assert_eq!(tail, 5);
    }

    #[test]
    fn old_segments_are_freed() {
        let mut log = Log::default();
        let columns = [Column::from_array(None, None, 1).unwrap()];
        let mut tail = NONE;
        for time in 0..3 * SEGMENT as i64 {
            let at = log.append(time, 7, &columns, 0);
            tail = log.link(at, tail);
        }
        let free = |log: &mut Log, until: i64| {
            let dead = log.dead(until);
            log.reclaim(until);
            assert!(log.dead(until).is_empty());
            dead.len()
        };
        assert_eq!(free(&mut log, SEGMENT as i64), SEGMENT);
        let last = SEGMENT as u64;
        assert!(log.get(last).is_none() && log.get(last + 1).is_some_and(|e| e.older == last));
        assert_eq!(times(&log, tail).len(), 2 * SEGMENT);
        assert_eq!(free(&mut log, i64::MAX), 2 * SEGMENT);
        assert!(log.is_empty() && log.get(tail).is_none());
        let at = log.append(0, 7, &columns, 0);
        assert_eq!((at, log.link(at, NONE)), (3 * SEGMENT as u64 + 1, at));
    }
}
