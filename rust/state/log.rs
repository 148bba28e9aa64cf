//! Log: the rows that per-event windows look back at, in arrival order, shared by all sizes.
//!
//! Each key's entries are linked in order of (event time, arrival). A segment is freed once no
//! window can reach any of its entries; a link into a freed segment reads as the list's end.

use std::collections::VecDeque;

use crate::aggregate::Column;
use crate::time::Micros;

/// Entries a segment.
const SEGMENT: usize = 1024;

/// No entry.
pub const NONE: u64 = u64::MAX;

/// A run of entries that were appended one after another.
#[derive(Debug)]
struct Segment {
    times: Vec<Micros>,
    ids: Vec<u32>,
    older: Vec<u64>,
    newer: Vec<u64>,
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

/// The log of one slot.
#[derive(Debug, Default)]
pub struct Log {
    base: u64,
    segments: VecDeque<Option<Segment>>,
    len: usize,
}

impl Log {
    /// Appends row `row` of the arguments for a key; gives its position.
    pub fn append(&mut self, time: Micros, id: u32, columns: &[Column], row: usize) -> u64 {
        if self.len.is_multiple_of(SEGMENT) {
            self.segments.push_back(Some(Segment {
                times: Vec::with_capacity(SEGMENT),
                ids: Vec::with_capacity(SEGMENT),
                older: Vec::with_capacity(SEGMENT),
                newer: Vec::with_capacity(SEGMENT),
                columns: columns.iter().map(Column::empty_like).collect(),
                newest: Micros::MIN,
            }));
        }
        let last =
            self.segments.back_mut().and_then(Option::as_mut).expect("the last is never freed");
        last.times.push(time);
        last.ids.push(id);
        last.older.push(NONE);
        last.newer.push(NONE);
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
        let (time, older, newer) = (segment.times[i], segment.older[i], segment.newer[i]);
        Some(Entry { time, older, newer })
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
        if self.get(older).is_none() {
            older = NONE;
        }
        if let Some((segment, i)) = self.find_mut(at) {
            segment.older[i] = older;
            segment.newer[i] = newer;
        }
        if let Some((segment, i)) = self.find_mut(older) {
            segment.newer[i] = at;
        }
        if let Some((segment, i)) = self.find_mut(newer) {
            segment.older[i] = at;
        }
        if newer == NONE { at } else { tail }
    }

    /// Whether there is a segment to free.
    pub fn is_due(&self, until: Micros) -> bool {
        let full = self.len / SEGMENT;
        let oldest = self.segments.iter().take(full).flatten().next();
        oldest.is_some_and(|segment| segment.newest <= until)
    }

    /// Frees segments without an entry newer than `until`; gives the keys of the freed entries
    /// with the entries' positions.
    pub fn reclaim(&mut self, until: Micros) -> Vec<(u32, u64)> {
        let mut freed = Vec::new();
        let full = self.len / SEGMENT;
        for (s, segment) in self.segments.iter_mut().enumerate().take(full) {
            if segment.as_ref().is_some_and(|segment| segment.newest <= until) {
                let segment = segment.take().expect("checked");
                let first = self.base + (s * SEGMENT) as u64;
                freed.extend(segment.ids.iter().enumerate().map(|(i, &id)| (id, first + i as u64)));
            } else if segment.is_some() && s > 64 {
                break;
            }
        }
        while matches!(self.segments.front(), Some(None)) {
            self.segments.pop_front();
            self.base += SEGMENT as u64;
            self.len -= SEGMENT;
        }
        freed
    }

    /// All entries in order of arrival: position, time and key.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Micros, u32)> {
        self.segments.iter().enumerate().flat_map(move |(s, segment)| {
            let first = self.base + (s * SEGMENT) as u64;
            segment.iter().flat_map(move |segment| {
                let rows = segment.times.iter().zip(&segment.ids).enumerate();
                rows.map(move |(i, (&time, &id))| (first + i as u64, time, id))
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
            segment.times.capacity() * 28 + columns
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
        assert_eq!(tail, 4);
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
        assert_eq!(log.reclaim(SEGMENT as i64).len(), SEGMENT);
        assert!(log.get(0).is_none() && log.get(SEGMENT as u64).is_some());
        assert_eq!(times(&log, tail).len(), 2 * SEGMENT);
        assert_eq!(log.reclaim(i64::MAX).len(), 2 * SEGMENT);
        assert!(log.is_empty() && log.get(tail).is_none());
        let at = log.append(0, 7, &columns, 0);
        assert_eq!((at, log.link(at, NONE)), (3 * SEGMENT as u64, at));
    }
}
