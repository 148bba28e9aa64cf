//! Log: the rows that per-event windows look back at, in arrival order, shared by all sizes.
//!
//! Each key's entries are linked in order of (event time, arrival). A segment is freed once no
//! window can reach any of its entries; a link into a freed segment ends the list.

mod trial;

use std::collections::VecDeque;

use crate::aggregate::{Args, ArgumentColumns, ArgumentRow, Arguments};
use crate::limits::{LOG_LOOK_MAX, LOG_SEGMENT as SEGMENT};
use crate::prefetch::prefetch;
use crate::time::Micros;

/// The position that means "no entry"; positions start at 1.
pub const NONE: u64 = 0;

/// Words of an entry before its arguments: time, key and presence bits, and the two links.
const HEAD: usize = 3;
const TIME: usize = 0;
const KEY: usize = 1;
const LINKS: usize = 2;

/// Packs two 32-bit numbers into a word.
fn pack(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn low(word: u64) -> u32 {
    word as u32
}

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

/// Encodes a link as a relative offset (0 = none).
fn distance(from: u64, to: u64) -> u32 {
    if to == NONE { 0 } else { to.wrapping_sub(from) as u32 }
}

/// Decodes a link.
fn follow(from: u64, way: u32) -> u64 {
    if way == 0 { NONE } else { from.wrapping_add_signed((way as i32).into()) }
}

/// What a segment of consecutive entries stores in addition to their words.
#[derive(Debug)]
struct Segment {
    /// The arguments that are not stored as words.
    columns: Vec<ArgumentColumns>,
    /// The latest time in the segment, set once it is full.
    newest: Micros,
    freed: bool,
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct LogEntry {
    /// Event time.
    pub time: Micros,
    /// The key's previous entry in time.
    pub older: u64,
    /// The key's next entry in time.
    pub newer: u64,
}

/// An entry about to be freed.
#[derive(Debug, Clone, Copy)]
pub struct Dead {
    /// Its key.
    pub id: u32,
    /// Its position.
    pub entry: u64,
    /// The key's next entry in time.
    pub newer: u64,
}

/// The log of one slot.
#[derive(Debug)]
pub struct Log {
    arguments: Arguments,
    stride: usize,
    base: u64,
    /// Per segment, the entries' words, including the arguments stored as words; empty if the
    /// segment was freed. Walks jump between entries, so everything a step reads is kept together.
    words: VecDeque<Vec<u64>>,
    segments: VecDeque<Segment>,
    /// The latest time in the segment that is not full yet.
    newest: Micros,
    /// Whether some arguments are not stored as words.
    has_aside: bool,
    len: usize,
}

impl Log {
    /// Creates an empty log.
    pub fn new(arguments: Arguments) -> Log {
        let stride = HEAD + arguments.words;
        let has_aside = arguments.places.iter().any(Option::is_none);
        Log {
            arguments,
            stride,
            base: NONE + 1,
            words: VecDeque::new(),
            segments: VecDeque::new(),
            newest: Micros::MIN,
            has_aside,
            len: 0,
        }
    }

    /// Appends a row for a key whose newest entry is `tail`. Takes its arguments and, for those not
    /// stored as words, the columns and the row in them. Returns its position, and whether it is
    /// now the key's newest entry, in which case `tail` is updated; if not, the caller must call
    /// [`Log::link`].
    ///
    /// # Panics
    ///
    /// When two billion entries are reachable by windows.
    #[inline]
    pub fn append(
        &mut self,
        (time, id): (Micros, u32),
        tail: &mut u64,
        arguments: ArgumentRow<'_>,
        (columns, row): (&[ArgumentColumns], usize),
    ) -> (u64, bool) {
        if self.len.is_multiple_of(SEGMENT) {
            self.begin(columns);
        }
        let (at, before) = (self.base + self.len as u64, *tail);
        self.len += 1;
        let mut links = 0;
        let is_newest = match self.head_mut(before) {
            None => true,
            Some(head) if head[TIME] as Micros <= time => {
                head[LINKS] = pack(low(head[LINKS]), distance(before, at));
                links = pack(distance(at, before), 0);
                true
            }
            Some(_) => false,
        };
        let words = self.words.back_mut().expect("the last is never freed");
        words.extend_from_slice(&[time as u64, pack(id, arguments.present), links]);
        arguments.copy_to(words);
        self.newest = self.newest.max(time);
        if self.has_aside {
            self.put_aside(columns, row);
        }
        if self.len.is_multiple_of(SEGMENT) {
            self.close();
        }
        if is_newest {
            *tail = at;
        }
        (at, is_newest)
    }

    fn put_aside(&mut self, columns: &[ArgumentColumns], row: usize) {
        let last = self.segments.back_mut().expect("the last is never freed");
        let aside = aside(&self.arguments, columns);
        last.columns.iter_mut().zip(aside).for_each(|(to, from)| to.push(from.get(row).as_deref()));
    }

    fn begin(&mut self, columns: &[ArgumentColumns]) {
        assert!(self.len < i32::MAX as usize, "fewer than 2^31 entries in a log");
        self.words.push_back(Vec::with_capacity(SEGMENT * self.stride));
        let columns = aside(&self.arguments, columns).map(ArgumentColumns::empty_like).collect();
        self.segments.push_back(Segment { columns, newest: Micros::MAX, freed: false });
    }

    fn close(&mut self) {
        let newest = std::mem::replace(&mut self.newest, Micros::MIN);
        self.segments.back_mut().expect("the last is never freed").newest = newest;
    }

    /// The segment of an entry and its index in the segment.
    #[inline(always)]
    fn place(&self, at: u64) -> (usize, usize) {
        let i = at.wrapping_sub(self.base) as usize;
        (i / SEGMENT, i % SEGMENT)
    }

    /// The words from an entry's first word on, unless it was freed.
    #[inline(always)]
    fn find(&self, at: u64) -> Option<&[u64]> {
        let (segment, i) = self.place(at);
        self.words.get(segment)?.get(i * self.stride..)
    }

    #[inline(always)]
    fn head(&self, at: u64) -> Option<&[u64; HEAD]> {
        self.find(at)?.first_chunk()
    }

    #[inline(always)]
    fn head_mut(&mut self, at: u64) -> Option<&mut [u64; HEAD]> {
        let (segment, i) = self.place(at);
        self.words.get_mut(segment)?.get_mut(i * self.stride..)?.first_chunk_mut()
    }

    /// Prefetches an entry.
    #[inline]
    pub fn prefetch(&self, at: u64) {
        let (segment, i) = self.place(at);
        if let Some(words) = self.words.get(segment) {
            prefetch(words, i * self.stride);
            prefetch(words, (i + 1) * self.stride - 1);
        }
    }

    /// An entry, unless it was freed.
    #[inline]
    pub fn get(&self, at: u64) -> Option<LogEntry> {
        let head = self.head(at)?;
        let (older, newer) = (low(head[LINKS]), high(head[LINKS]));
        let time = head[TIME] as Micros;
        Some(LogEntry { time, older: follow(at, older), newer: follow(at, newer) })
    }

    /// The arguments of an entry that are stored as words.
    pub fn row(&self, at: u64) -> Option<ArgumentRow<'_>> {
        self.step(at).map(|(_, _, row)| row)
    }

    /// What a walk from old to new reads of an entry: its time, the next entry, its arguments.
    #[inline]
    pub fn step(&self, at: u64) -> Option<(Micros, u64, ArgumentRow<'_>)> {
        let (head, behind) = self.find(at)?.split_first_chunk::<HEAD>()?;
        let words = behind.get(..self.stride - HEAD)?;
        let row = ArgumentRow { present: high(head[KEY]), words };
        Some((head[TIME] as Micros, follow(at, high(head[LINKS])), row))
    }

    /// The arguments of aggregate `j` of an entry, if they are present.
    #[inline]
    pub fn args(&self, at: u64, j: usize) -> Option<Args<'_>> {
        if let Some(place) = self.arguments.places[j] {
            return place.read(self.row(at)?);
        }
        let (segment, i) = self.place(at);
        let before = self.arguments.places[..j].iter().filter(|place| place.is_none()).count();
        self.segments.get(segment)?.columns.get(before)?.get(i)
    }

    /// Links an entry into its key's list before the entry `behind`, which has a later time;
    /// returns how many entries it walked.
    pub fn link(&mut self, at: u64, time: Micros, behind: u64) -> usize {
        let (mut older, mut newer) = (behind, NONE);
        let mut steps = 0;
        while let Some(entry) = self.get(older).filter(|entry| entry.time > time) {
            newer = older;
            older = entry.older;
            steps += 1;
        }
        match self.head_mut(older) {
            Some(head) => head[LINKS] = pack(low(head[LINKS]), distance(older, at)),
            None => older = NONE,
        }
        if let Some(head) = self.head_mut(newer) {
            head[LINKS] = pack(distance(newer, at), high(head[LINKS]));
        }
        if let Some(head) = self.head_mut(at) {
            head[LINKS] = pack(distance(at, older), distance(at, newer));
        }
        steps
    }

    /// Whether there is a segment that can be freed.
    pub fn is_due(&self, until: Micros) -> bool {
        let full = self.segments.iter().take(self.len / SEGMENT);
        full.filter(|segment| !segment.freed).map(|segment| segment.newest <= until).next()
            == Some(true)
    }

    /// The segments, among the oldest ones, without an entry newer than `until`.
    pub fn due(&self, until: Micros) -> Vec<usize> {
        let full = self.segments.iter().take(self.len / SEGMENT).enumerate();
        let held = full.filter(|(_, segment)| !segment.freed);
        let held = held.map(|(s, segment)| (s, segment.newest <= until));
        let near = held.take_while(|&(s, due)| due || s <= LOG_LOOK_MAX);
        near.filter(|&(_, due)| due).map(|(s, _)| s).collect()
    }

    /// The entries that [`Log::reclaim`] will free.
    pub fn dead(&self, due: &[usize]) -> Vec<Dead> {
        let mut dead = Vec::new();
        for &s in due {
            let first = self.base + (s * SEGMENT) as u64;
            dead.extend(self.words[s].chunks(self.stride).zip(first..).map(|(words, entry)| {
                Dead { id: low(words[KEY]), entry, newer: follow(entry, high(words[LINKS])) }
            }));
        }
        dead
    }

    /// Frees the given segments.
    pub fn reclaim(&mut self, due: &[usize]) {
        for &s in due {
            self.words[s] = vec![];
            self.segments[s].columns = vec![];
            self.segments[s].freed = true;
        }
        while self.segments.front().is_some_and(|segment| segment.freed) {
            self.words.pop_front();
            self.segments.pop_front();
            self.base += SEGMENT as u64;
            self.len -= SEGMENT;
        }
    }

    /// All entries in order of arrival, as position, time and key.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Micros, u32)> {
        self.words.iter().enumerate().flat_map(move |(s, words)| {
            let first = self.base + (s * SEGMENT) as u64;
            let rows = words.chunks(self.stride).zip(first..);
            rows.map(|(words, entry)| (entry, words[TIME] as Micros, low(words[KEY])))
        })
    }

    /// Whether the log has no entries.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let columns = self.segments.iter().flat_map(|segment| &segment.columns);
        let words: usize = self.words.iter().map(|words| words.capacity() * size_of::<u64>()).sum();
        words + columns.map(ArgumentColumns::bytes).sum::<usize>()
    }
}

/// The columns of arguments that are not stored as words.
fn aside<'a>(
    arguments: &'a Arguments,
    columns: &'a [ArgumentColumns],
) -> impl Iterator<Item = &'a ArgumentColumns> {
    let all = arguments.places.iter().zip(columns);
    all.filter(|(place, _)| place.is_none()).map(|(_, column)| column)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Decimal128Array, Float64Array, StringArray};

    use super::*;
    use crate::aggregate::{Class, PerArgument};

    fn log() -> Log {
        let one = |class| PerArgument::One([class]);
        let both = PerArgument::Two([Class::F64, Class::I128]);
        let classes = [one(Class::Unit), one(Class::Bytes), one(Class::F64), both];
        Log::new(Arguments::new(classes.into_iter()))
    }

    /// Appends a row; returns its position and the key's newest entry.
    fn append(
        log: &mut Log,
        time: Micros,
        tail: u64,
        columns: &[ArgumentColumns],
        row: usize,
    ) -> (u64, u64) {
        let arranged = log.arguments.arrange(columns, &[row as u32]);
        let mut newest = tail;
        let (at, is_newest) = log.append((time, 7), &mut newest, arranged.at(0), (columns, row));
        if !is_newest {
            log.link(at, time, newest);
        }
        (at, newest)
    }

    fn columns(len: usize) -> [ArgumentColumns; 4] {
        let texts = (0..len).map(|row| (row % 3 > 0).then(|| row.to_string()));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let floats = (0..len).map(|row| (row % 2 == 0).then_some(row as f64));
        let floats: ArrayRef = Arc::new(floats.collect::<Float64Array>());
        let wide: ArrayRef = Arc::new(Decimal128Array::from(vec![-7; len]));
        let columns =
            |arrays: &[ArrayRef]| ArgumentColumns::from_arrays(arrays, None, len).unwrap();
        [
            columns(&[]),
            columns(&[texts]),
            columns(std::slice::from_ref(&floats)),
            columns(&[floats, wide]),
        ]
    }

    #[test]
    fn arguments_come_back() {
        let (mut log, columns) = (log(), columns(9));
        for row in 0..9 {
            let (at, _) = append(&mut log, row as i64, NONE, &columns, row);
            (0..4).for_each(|j| assert_eq!(log.args(at, j), columns[j].get(row)));
        }
        assert!(log.args(5000, 1).is_none() && log.row(0).is_none());
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let columns = columns(9);
        for before in [0, 1, 5, SEGMENT - 1, SEGMENT, SEGMENT + 3] {
            let mut log = log();
            let mut tail = NONE;
            for i in 0..before {
                (_, tail) = append(&mut log, 10 * i as i64, tail, &columns, i % 9);
            }
            let (end, held) = (log.end(), list(&log, tail));
            let mut newest = tail;
            for (row, time) in [3, 10 * before as i64, 25, 7].into_iter().enumerate() {
                (_, newest) = append(&mut log, time, newest, &columns, row);
            }
            (0..5).for_each(|_| log.take_back(end));
            assert_eq!((list(&log, tail), log.len), (held, before));
            let at = append(&mut log, i64::MAX, tail, &columns, 2).0;
            assert_eq!(log.args(at, 1), columns[1].get(2));
            assert_eq!(list(&log, at).len(), before + 1);
        }
    }

    fn list(log: &Log, tail: u64) -> Vec<(Micros, u64)> {
        let mut all = Vec::new();
        let mut at = tail;
        while let Some(entry) = log.get(at) {
            all.push((entry.time, at));
            at = entry.older;
        }
        all
    }

    #[test]
    fn a_key_is_linked_in_order_of_time_then_arrival() {
        let mut log = log();
        let columns = columns(6);
        let mut tail = NONE;
        for (row, time) in [5, 9, 7, 1, 9, 7].into_iter().enumerate() {
            (_, tail) = append(&mut log, time, tail, &columns, row);
        }
        assert_eq!(list(&log, tail), [(9, 5), (9, 2), (7, 6), (7, 3), (5, 1), (1, 4)]);
        assert_eq!(tail, 5);
    }

    #[test]
    fn old_segments_are_freed() {
        let mut log = log();
        let columns = columns(1);
        let mut tail = NONE;
        for time in 0..3 * SEGMENT as i64 {
            (_, tail) = append(&mut log, time, tail, &columns, 0);
        }
        let free = |log: &mut Log, until: i64| {
            let due = log.due(until);
            let dead = log.dead(&due);
            log.reclaim(&due);
            assert!(log.due(until).is_empty());
            dead.len()
        };
        assert_eq!(free(&mut log, SEGMENT as i64), SEGMENT);
        let last = SEGMENT as u64;
        assert!(log.get(last).is_none() && log.get(last + 1).is_some_and(|e| e.older == last));
        assert_eq!(list(&log, tail).len(), 2 * SEGMENT);
        assert_eq!(free(&mut log, i64::MAX), 2 * SEGMENT);
        assert!(log.is_empty() && log.get(tail).is_none());
        assert_eq!(append(&mut log, 0, tail, &columns, 0).0, 3 * SEGMENT as u64 + 1);
    }
}
