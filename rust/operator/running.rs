//! State of per-event windows: one log of rows shared by all sizes, and per key and size a running
//! value over `(reference - size, reference]`, where the reference is the newest time answered for
//! the key.
//!
//! An answer for an older time starts from the running value, removes newer entries and adds back
//! evicted ones. Whether an entry counts depends on its time, never on whether it is still in
//! memory.
//!
//! A key's whole state is one row of words: its newest entry and its reference, then for each size
//! the accumulators and the oldest entry they contain. Changes to invertible aggregates are
//! recorded on a [`Tape`] and applied in bulk at the end of a block, or earlier when an older time
//! must be answered.

mod chunked;
mod in_place;
mod question;
mod reclaim;
mod trial;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use question::Ask;

use super::prepare::Aggregator;
use super::slots::Slot;
use crate::aggregate::{
    Answer, AnswerColumn, ArgumentColumns, ArgumentRow, ArgumentRows, ArgumentSlot, Arguments,
    Cell, CellRef, End, Moment, Retract, StateRows, Tape,
};
use crate::assign::Span;
use crate::limits::{AHEAD_ROUNDS, AHEAD_ROWS};
use crate::plan::Feature;
use crate::state::log::NONE;
use crate::state::{Chunks, KeyColumns, Keys, Log};
use crate::time::{Micros, NEVER};

/// Words at the start of a key's row: its newest entry and its reference time.
const HEAD: usize = 2;

/// Words after the accumulators of each size: the oldest entry they contain, and its time.
const OLDEST: usize = 2;

/// The aggregates of a verb and the windows they run over.
#[derive(Debug)]
pub struct EventWindows {
    /// The output columns: which aggregate over which window.
    pub features: Vec<Feature>,
    /// The verb's keys and aggregates.
    pub aggregator: Aggregator,
    windows: Vec<Window>,
    ends: Vec<Option<End>>,
    /// The aggregates whose states stay small; only these are kept in chunks.
    small: Vec<usize>,
    /// For each aggregate, whether older times are answered in place.
    in_place: Vec<bool>,
    arguments: Arguments,
    /// Whether the tape alone answers every column, except for older times.
    all_taped: bool,
}

/// One window and the columns computed over it.
#[derive(Debug)]
struct Window {
    span: Span,
    /// Offset of this window's words in a key's row.
    base: usize,
    /// Offset in a key's row of the window's oldest entry.
    oldest: usize,
    /// Aggregates recorded on the tape, each with its output columns.
    taped: Vec<(usize, ArgumentSlot, Vec<usize>)>,
    /// Aggregates updated row by row.
    direct: Vec<usize>,
    /// The columns not answered from the tape, each with its aggregate.
    asked: Vec<(usize, usize)>,
}

/// The oldest entry included in a running value, and its time.
#[derive(Debug, Clone, Copy)]
struct Oldest {
    entry: u64,
    time: Micros,
}

impl Oldest {
    #[inline(always)]
    fn from_words(&[entry, time]: &[u64; OLDEST]) -> Oldest {
        Oldest { entry, time: time as Micros }
    }

    #[inline(always)]
    fn words(self) -> [u64; OLDEST] {
        [self.entry, self.time as u64]
    }
}

/// The state of one range of keys.
#[derive(Debug)]
pub struct SlidingSlot {
    /// The keys.
    pub keys: Keys,
    /// One row of words per key.
    hot: StateRows,
    /// All rows a window can still reach, and some that none can reach any more.
    pub log: Log,
    /// No window reaches rows at or before this time; their keys may have been removed.
    pub unreachable: Micros,
    /// One scratch row for correcting a copy of a running value.
    scratch: StateRows,
    /// Chunks of the keys whose lists have become long to walk.
    chunks: HashMap<u32, Chunks, RandomState>,
}

impl Slot for SlidingSlot {
    fn keys(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.values().map(Chunks::bytes).sum();
        self.keys.bytes() + self.hot.bytes() + self.log.bytes() + chunks
    }
}

impl SlidingSlot {
    /// A key's newest entry and reference time.
    #[inline(always)]
    fn head(&self, id: u32) -> (u64, Micros) {
        let &[tail, reference] = self.hot.pair(id, 0);
        (tail, since_ever(reference))
    }
}

/// Decodes the reference time. It is stored XOR `NEVER`, so that a zeroed word means "no time yet".
#[inline(always)]
fn since_ever(word: u64) -> Micros {
    word as Micros ^ NEVER
}

/// The changes of a block, recorded on one tape per window.
#[derive(Debug)]
pub struct Tapes(Vec<Tape>);

impl Window {
    fn new(w: usize, span: Span, base: usize, running: &EventWindows) -> Window {
        let oldest = base + running.aggregator.layout.stride;
        let (taped, direct, asked) = (vec![], vec![], vec![]);
        let mut window = Window { span, base, oldest, taped, direct, asked };
        let asked = running.features.iter().enumerate().filter(|(_, feature)| feature.size == w);
        for (k, &Feature { aggregate: j, .. }) in asked {
            let inverts = running.aggregator.layout.items[j].0.inverts();
            match running.arguments.places[j].filter(|_| inverts) {
                Some(place) => match window.taped.iter_mut().find(|taped| taped.0 == j) {
                    Some(taped) => taped.2.push(k),
                    None => window.taped.push((j, place, vec![k])),
                },
                None => {
                    window.asked.push((k, j));
                    if running.ends[j].is_none() && !window.direct.contains(&j) {
                        window.direct.push(j);
                    }
                }
            }
        }
        window
    }

    /// The columns over this window, each with its aggregate.
    fn columns(&self) -> impl Iterator<Item = (usize, usize)> {
        let taped = self.taped.iter().flat_map(|(j, _, to)| to.iter().map(|&k| (k, *j)));
        taped.chain(self.asked.iter().copied())
    }
}

impl EventWindows {
    /// Prepares aggregates over windows.
    pub fn new(spans: Vec<Span>, features: Vec<Feature>, aggregator: Aggregator) -> EventWindows {
        let ends = aggregator.layout.items.iter().map(|(aggregate, _)| aggregate.end()).collect();
        let arguments = Arguments::new(aggregator.classes());
        let items = aggregator.layout.items.iter().enumerate();
        let small = items.filter(|(_, (each, _))| !each.grows()).map(|(j, _)| j).collect();
        let in_place = in_place::choices(&aggregator.layout);
        let mut running = EventWindows {
            windows: vec![],
            all_taped: false,
            features,
            aggregator,
            ends,
            small,
            in_place,
            arguments,
        };
        let stride = running.aggregator.layout.stride + OLDEST;
        let window = |(w, span): (usize, Span)| Window::new(w, span, HEAD + w * stride, &running);
        running.windows = spans.into_iter().enumerate().map(window).collect();
        let taped = |window: &Window| window.span.front == 0 && window.asked.is_empty();
        running.all_taped = running.windows.iter().all(taped);
        running
    }

    /// Encodes the arguments of some rows as words.
    pub fn arrange(&self, columns: &[ArgumentColumns], rows: &[u32]) -> ArgumentRows {
        self.arguments.arrange(columns, rows)
    }

    /// Empty columns for the arguments.
    pub fn arguments(&self) -> Vec<ArgumentColumns> {
        self.aggregator.classes().map(|classes| ArgumentColumns::empty(&classes)).collect()
    }

    /// Creates an empty slot.
    pub fn slot(&self) -> SlidingSlot {
        let mut scratch = self.aggregator.layout.hot();
        scratch.push();
        let log = Log::new(self.arguments.clone());
        let (keys, hot) = (Keys::default(), StateRows::new(self.words()));
        let chunks = HashMap::default();
        SlidingSlot { keys, hot, log, unreachable: NEVER, scratch, chunks }
    }

    /// Number of words of a key's row.
    fn words(&self) -> usize {
        HEAD + self.windows.len() * (self.aggregator.layout.stride + OLDEST)
    }

    /// Empty tapes with capacity for this many rows.
    pub fn tapes(&self, rows: usize) -> Tapes {
        Tapes(self.windows.iter().map(|_| Tape::new(self.arguments.words, rows)).collect())
    }

    /// Empty answer columns with capacity for this many rows.
    pub fn columns(&self, rows: usize) -> Vec<AnswerColumn> {
        let column = |feature: &Feature| {
            let (aggregate, _) = &self.aggregator.layout.items[feature.aggregate];
            let mut column = AnswerColumn::new(aggregate.output_type(), 0);
            column.reserve(rows);
            column
        };
        self.features.iter().map(column).collect()
    }

    /// Replaces `ids` by the ids of the keys of `rows`, creating new keys.
    pub fn ids(&self, slot: &mut SlidingSlot, keys: &KeyColumns, rows: &[u32], ids: &mut Vec<u32>) {
        slot.keys.intern_all(keys, rows, ids);
        while slot.hot.len() < slot.keys.capacity() {
            slot.hot.push();
        }
    }

    /// Prefetches what rows of these keys will need at about this time.
    pub fn prefetch(&self, slot: &SlidingSlot, ids: &[u32], moment: Micros) {
        ids.iter().for_each(|&id| slot.hot.prefetch(id));
        ids.iter().for_each(|&id| slot.log.prefetch(slot.head(id).0));
        for window in &self.windows {
            let floor = window.span.lower(moment);
            let (mut leaving, mut len) = ([NONE; AHEAD_ROWS], 0);
            for &id in ids {
                let oldest = self.oldest(slot, id, window);
                if oldest.time <= floor && oldest.entry != NONE {
                    slot.log.prefetch(oldest.entry);
                    leaving[len] = oldest.entry;
                    len += 1;
                }
            }
            for _ in 0..AHEAD_ROUNDS {
                let (asked, mut next) = (len, 0);
                for k in 0..asked {
                    let step = slot.log.step(leaving[k]);
                    if let Some((_, newer, _)) = step.filter(|(time, ..)| *time <= floor) {
                        slot.log.prefetch(newer);
                        leaving[next] = newer;
                        next += 1;
                    }
                }
                len = next;
            }
        }
    }

    #[inline(always)]
    fn oldest(&self, slot: &SlidingSlot, id: u32, window: &Window) -> Oldest {
        Oldest::from_words(slot.hot.pair(id, window.oldest))
    }

    #[inline(always)]
    fn set_oldest(&self, slot: &mut SlidingSlot, id: u32, window: &Window, oldest: Oldest) {
        *slot.hot.pair_mut(id, window.oldest) = oldest.words();
    }

    /// Aggregate `j` of a key over a window, mutable.
    fn cell<'a>(&self, hot: &'a mut StateRows, id: u32, window: &Window, j: usize) -> Cell<'a> {
        let (aggregate, offset) = &self.aggregator.layout.items[j];
        hot.cell(id, window.base + offset, aggregate.words())
    }

    /// Aggregate `j` of a key over a window, read-only.
    fn peek_cell<'a>(&self, hot: &'a StateRows, id: u32, window: &Window, j: usize) -> CellRef<'a> {
        let (aggregate, offset) = &self.aggregator.layout.items[j];
        hot.peek(id, window.base + offset, aggregate.words())
    }

    /// Resets a running value to that of no rows.
    fn empty(&self, slot: &mut SlidingSlot, id: u32, window: &Window, tape: &mut Tape) {
        tape.empty(id);
        for &j in &window.direct {
            self.aggregator.layout.items[j].0.clear(self.cell(&mut slot.hot, id, window, j));
        }
        self.set_oldest(slot, id, window, Oldest { entry: NONE, time: 0 });
    }

    /// Advances a key's running values to a later time.
    #[inline]
    pub fn advance(&self, slot: &mut SlidingSlot, id: u32, moment: Micros, tapes: &mut Tapes) {
        let [_, word] = slot.hot.pair_mut(id, 0);
        let reference = since_ever(*word);
        if moment <= reference {
            return;
        }
        *word = (moment ^ NEVER) as u64;
        for (w, tape) in tapes.0.iter_mut().enumerate() {
            let window = &self.windows[w];
            let floor = window.span.lower(moment);
            let oldest = self.oldest(slot, id, window);
            if oldest.entry == NONE || oldest.time > floor {
                continue;
            }
            // No row of the key is newer than its reference, so all of them leave the window.
            if reference <= floor {
                self.empty(slot, id, window, tape);
            } else {
                self.evict(slot, id, window, floor, tape);
            }
        }
    }

    /// Removes entries at or before `floor` from a running value, oldest first.
    fn evict(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        window: &Window,
        floor: Micros,
        tape: &mut Tape,
    ) {
        let mut stale: Vec<usize> = vec![];
        let mut oldest = self.oldest(slot, id, window).entry;
        let mut time = 0;
        while let Some((at, newer, row)) = slot.log.step(oldest) {
            if at > floor {
                time = at;
                break;
            }
            tape.leave(id, row);
            for &j in &window.direct {
                if !stale.contains(&j) && self.retract(slot, id, window, oldest, j) != Retract::Done
                {
                    stale.push(j);
                }
            }
            oldest = newer;
        }
        self.set_oldest(slot, id, window, Oldest { entry: oldest, time });
        stale.into_iter().for_each(|j| self.refold(slot, id, window, (floor, oldest), j));
    }

    /// Removes an entry from aggregate `j` of a running value.
    fn retract(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        window: &Window,
        entry: u64,
        j: usize,
    ) -> Retract {
        let SlidingSlot { log, hot, .. } = slot;
        let time = log.get(entry).map_or(NEVER, |entry| entry.time);
        match log.args(entry, j) {
            Some(args) => {
                let (aggregate, moment) =
                    (&self.aggregator.layout.items[j].0, Moment { time, seq: entry });
                aggregate.retract(self.cell(hot, id, window, j), &args, moment)
            }
            None => Retract::Done,
        }
    }

    /// Adds an entry to a cell of aggregate `j`.
    fn add(&self, log: &Log, entry: u64, cell: Cell<'_>, j: usize) {
        if let Some(args) = log.args(entry, j).filter(|_| self.ends[j].is_none()) {
            let time = log.get(entry).map_or(NEVER, |entry| entry.time);
            self.aggregator.layout.items[j].0.update(cell, &args, Moment { time, seq: entry });
        }
    }

    /// Adds a row to its key's list and to the running values whose window contains its time.
    #[inline]
    pub fn enter(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        time: Micros,
        arguments: ArgumentRow<'_>,
        aside: (&[ArgumentColumns], usize),
        tapes: &mut Tapes,
    ) -> u64 {
        let SlidingSlot { log, hot, chunks, .. } = slot;
        let [tail, reference] = hot.pair_mut(id, 0);
        let reference = since_ever(*reference);
        let (position, is_newest) = log.append((time, id), tail, arguments, aside);
        if !is_newest || !chunks.is_empty() {
            self.put_in_order(slot, id, (time, position), is_newest);
        }
        let SlidingSlot { log, hot, .. } = slot;
        for (w, tape) in tapes.0.iter_mut().enumerate() {
            let window = &self.windows[w];
            if time <= window.span.lower(reference) {
                continue;
            }
            tape.enter(id, arguments);
            if !window.direct.is_empty() {
                self.enter_directly(hot, log, (id, position), window);
            }
            let words = hot.pair_mut(id, window.oldest);
            let oldest = Oldest::from_words(words);
            if oldest.entry == NONE || time < oldest.time {
                *words = Oldest { entry: position, time }.words();
            }
        }
        position
    }

    /// Adds an entry to the aggregates that are updated row by row.
    #[inline(never)]
    fn enter_directly(
        &self,
        hot: &mut StateRows,
        log: &Log,
        (id, entry): (u32, u64),
        window: &Window,
    ) {
        for &j in &window.direct {
            self.add(log, entry, self.cell(hot, id, window, j), j);
        }
    }

    /// Answers one row from its key's windows at `moment`. The entry `skip` is left out; the entry
    /// `also` (with its time) counts even if it lies before the window.
    #[inline]
    pub fn answer(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        (moment, skip, also): (Micros, u64, Option<(u64, Micros)>),
        tapes: &mut Tapes,
        out: &mut [AnswerColumn],
    ) {
        let (tail, reference) = slot.head(id);
        if self.all_taped && moment == reference && skip == NONE && also.is_none() {
            return tapes.0.iter_mut().for_each(|tape| tape.answer(id));
        }
        for (w, window) in self.windows.iter().enumerate() {
            let span = window.span;
            let before = also.filter(|&(_, time)| time <= span.lower(moment));
            let also = before.map_or(NONE, |(entry, _)| entry);
            let ask = Ask { id, w, tail, reference, span, moment, j: 0, skip, also };
            self.answer_window(slot, ask, tapes, out);
        }
    }

    /// Answers a row without a key: every column is null.
    pub fn answer_nothing(&self, tapes: &mut Tapes, out: &mut [AnswerColumn]) {
        for (window, tape) in self.windows.iter().zip(&mut tapes.0) {
            tape.answer_nothing();
            window.asked.iter().for_each(|&(k, _)| out[k].push(Answer::Null));
        }
    }

    /// Applies the recorded changes and writes their answers.
    pub fn play(&self, slot: &mut SlidingSlot, tapes: &mut Tapes, out: &mut [AnswerColumn]) {
        for (window, tape) in self.windows.iter().zip(&mut tapes.0) {
            if tape.is_empty() {
                continue;
            }
            for (j, place, to) in &window.taped {
                let (aggregate, offset) = &self.aggregator.layout.items[*j];
                aggregate.play(tape, *place, &mut slot.hot, window.base + offset, out, to);
            }
            tape.clear();
        }
    }

    /// The bounds of window `w`, relative to the time of a row.
    pub fn span(&self, w: usize) -> Span {
        self.windows[w].span
    }

    /// The latest time that no window reaches which is answered for at `moment` or later.
    pub fn unreachable(&self, moment: Micros) -> Micros {
        self.windows.iter().map(|window| window.span.lower(moment)).min().unwrap_or(moment)
    }
}
