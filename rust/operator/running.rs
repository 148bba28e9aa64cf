//! Running values of per-event windows: one log of rows for all sizes, and for each key and size a
//! value over `(reference - size, reference]`, where the reference is the newest moment asked for.
//!
//! An older moment is answered from it by taking out what is newer and adding what had left. Which
//! entries are still there never decides: times do.
//!
//! All that is known of a key stands in one row: its newest entry and reference, then for each size
//! the accumulators and the oldest entry inside. Aggregates that take every row back are noted on a
//! [`Tape`] and done at the end of a block, or before one of them is asked for an older moment.

mod chunked;
mod question;
mod reclaim;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use question::Ask;

use super::keyed::{Aggregator, Slot};
use crate::aggregate::{
    Answer, AnswerColumn, ArgumentRow, ArgumentRows, ArgumentSlot, Arguments, Cell, CellRef, Class,
    Column, End, Moment, Retract, StateRows, Tape,
};
use crate::assign::Span;
use crate::graph::TypedAggregate;
use crate::limits::{AHEAD_ROUNDS, AHEAD_ROWS};
use crate::plan::Feature;
use crate::state::log::NONE;
use crate::state::{Chunks, KeyColumns, Keys, Log};
use crate::time::{Micros, NEVER};

/// Words of a key: its newest entry, and the newest moment asked for, from the beginning of time.
const HEAD: usize = 2;

/// Words behind the accumulators of a size: the oldest entry inside, and its time.
const OLDEST: usize = 2;

/// What is computed, over which windows.
#[derive(Debug)]
pub struct EventWindows {
    /// The columns: which aggregate over which window.
    pub features: Vec<Feature>,
    /// The aggregates.
    pub kit: Aggregator,
    windows: Vec<Window>,
    ends: Vec<Option<End>>,
    /// The aggregates that chunks keep: those whose states stay small.
    small: Vec<usize>,
    arguments: Arguments,
    /// Whether no answer needs more than a tape, unless an older moment is asked for.
    all_taped: bool,
}

/// One window and what is asked over it.
#[derive(Debug)]
struct Window {
    span: Span,
    /// Where its words of a key begin.
    base: usize,
    /// Where among them the oldest entry is told.
    oldest: usize,
    /// Aggregates that are noted on a tape, and the columns of their answers.
    taped: Vec<(usize, ArgumentSlot, Vec<usize>)>,
    /// Aggregates that are kept up to date row by row.
    direct: Vec<usize>,
    /// The columns that are not answered from a tape, and their aggregates.
    asked: Vec<(usize, usize)>,
}

/// The oldest entry inside a running value, and its time.
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

/// The keys of one range.
#[derive(Debug)]
pub struct SlidingSlot {
    /// The keys.
    pub keys: Keys,
    /// One row a key.
    hot: StateRows,
    /// All rows that a window can still reach, and some that none can reach any more.
    pub log: Log,
    /// No window reaches rows at or before this time. Their keys may be gone already.
    pub unreachable: Micros,
    /// One row to correct a running value in.
    scratch: StateRows,
    /// Of keys of which long walks were asked.
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
    /// A key's newest entry, and the newest moment asked for.
    #[inline(always)]
    fn head(&self, id: u32) -> (u64, Micros) {
        let &[tail, reference] = self.hot.pair(id, 0);
        (tail, since_ever(reference))
    }
}

/// The newest moment asked for, from its word: all zero is the beginning of time.
#[inline(always)]
fn since_ever(word: u64) -> Micros {
    word as Micros ^ NEVER
}

/// Steps of a block that are noted, one tape a window.
#[derive(Debug)]
pub struct Tapes(Vec<Tape>);

/// How the values of an aggregate's argument arrive.
fn class_of(fold: &TypedAggregate) -> Class {
    fold.argument.as_ref().map_or(Class::Unit, |formula| Class::for_type(formula.typed.data_type()))
}

impl Window {
    fn new(w: usize, span: Span, base: usize, running: &EventWindows) -> Window {
        let oldest = base + running.kit.layout.stride;
        let (taped, direct, asked) = (vec![], vec![], vec![]);
        let mut window = Window { span, base, oldest, taped, direct, asked };
        let asked = running.features.iter().enumerate().filter(|(_, feature)| feature.size == w);
        for (k, &Feature { aggregate: j, .. }) in asked {
            let inverts = running.kit.layout.items[j].0.inverts();
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

    /// The columns over this window, and their aggregates.
    fn columns(&self) -> impl Iterator<Item = (usize, usize)> {
        let taped = self.taped.iter().flat_map(|(j, _, to)| to.iter().map(|&k| (k, *j)));
        taped.chain(self.asked.iter().copied())
    }
}

impl EventWindows {
    /// Aggregates over windows.
    pub fn new(spans: Vec<Span>, features: Vec<Feature>, kit: Aggregator) -> EventWindows {
        let ends = kit.layout.items.iter().map(|(aggregate, _)| aggregate.end()).collect();
        let arguments = Arguments::new(kit.folding.aggregates.iter().map(class_of));
        let items = kit.layout.items.iter().enumerate();
        let small = items.filter(|(_, (each, _))| !each.grows()).map(|(j, _)| j).collect();
        let (windows, all_taped) = (vec![], false);
        let mut running =
            EventWindows { features, kit, windows, ends, small, arguments, all_taped };
        let stride = running.kit.layout.stride + OLDEST;
        let window = |(w, span): (usize, Span)| Window::new(w, span, HEAD + w * stride, &running);
        running.windows = spans.into_iter().enumerate().map(window).collect();
        let taped = |window: &Window| window.span.front == 0 && window.asked.is_empty();
        running.all_taped = running.windows.iter().all(taped);
        running
    }

    /// The arguments of some rows of the columns, in words.
    pub fn arrange(&self, columns: &[Column], rows: &[u32]) -> ArgumentRows {
        self.arguments.arrange(columns, rows)
    }

    /// Empty columns for the arguments.
    pub fn arguments(&self) -> Vec<Column> {
        self.kit.folding.aggregates.iter().map(|fold| Column::empty(class_of(fold))).collect()
    }

    /// An empty slot.
    pub fn slot(&self) -> SlidingSlot {
        let mut scratch = self.kit.layout.hot();
        scratch.push();
        let words = HEAD + self.windows.len() * (self.kit.layout.stride + OLDEST);
        let log = Log::new(self.arguments.clone());
        let (keys, hot) = (Keys::default(), StateRows::new(words));
        let chunks = HashMap::default();
        SlidingSlot { keys, hot, log, unreachable: NEVER, scratch, chunks }
    }

    /// Tapes on which nothing is noted, with room for so many rows.
    pub fn tapes(&self, rows: usize) -> Tapes {
        Tapes(self.windows.iter().map(|_| Tape::new(self.arguments.words, rows)).collect())
    }

    /// Empty columns for the answers, with room for so many rows.
    pub fn columns(&self, rows: usize) -> Vec<AnswerColumn> {
        let column = |feature: &Feature| {
            let (aggregate, _) = &self.kit.layout.items[feature.aggregate];
            let mut column = AnswerColumn::new(aggregate.output_type(), 0);
            column.reserve(rows);
            column
        };
        self.features.iter().map(column).collect()
    }

    /// The ids of the keys of `rows`, in place of what was in `ids`.
    pub fn ids(&self, slot: &mut SlidingSlot, keys: &KeyColumns, rows: &[u32], ids: &mut Vec<u32>) {
        slot.keys.intern_all(keys, rows, ids);
        while slot.hot.len() < slot.keys.capacity() {
            slot.hot.push();
        }
    }

    /// Asks for what rows of these keys are going to need at about this moment.
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

    /// Aggregate `j` of a key over a window, to change it.
    fn cell<'a>(&self, hot: &'a mut StateRows, id: u32, window: &Window, j: usize) -> Cell<'a> {
        let (aggregate, offset) = &self.kit.layout.items[j];
        hot.cell(id, window.base + offset, aggregate.words())
    }

    /// The same, to look at it.
    fn peek_cell<'a>(&self, hot: &'a StateRows, id: u32, window: &Window, j: usize) -> CellRef<'a> {
        let (aggregate, offset) = &self.kit.layout.items[j];
        hot.peek(id, window.base + offset, aggregate.words())
    }

    /// Makes a running value that of no rows.
    fn empty(&self, slot: &mut SlidingSlot, id: u32, window: &Window, tape: &mut Tape) {
        tape.empty(id);
        for &j in &window.direct {
            self.kit.layout.items[j].0.clear(self.cell(&mut slot.hot, id, window, j));
        }
        self.set_oldest(slot, id, window, Oldest { entry: NONE, time: 0 });
    }

    /// Moves a key's running values to a later moment.
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
            // no row of the key is newer than its reference
            if reference <= floor {
                self.empty(slot, id, window, tape);
            } else {
                self.evict(slot, id, window, floor, tape);
            }
        }
    }

    /// Takes what is at or before `floor` out of a running value, from the oldest on.
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

    /// Takes an entry back from aggregate `j` of a running value.
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
        match log.value(entry, j) {
            Some(value) => {
                let (aggregate, moment) =
                    (&self.kit.layout.items[j].0, Moment { time, seq: entry });
                aggregate.retract(self.cell(hot, id, window, j), value, moment)
            }
            None => Retract::Done,
        }
    }

    /// Puts an entry into a cell of aggregate `j`.
    fn add(&self, log: &Log, entry: u64, cell: Cell<'_>, j: usize) {
        if let Some(value) = log.value(entry, j).filter(|_| self.ends[j].is_none()) {
            let time = log.get(entry).map_or(NEVER, |entry| entry.time);
            self.kit.layout.items[j].0.update(cell, value, Moment { time, seq: entry });
        }
    }

    /// Puts a row into its key's list and into the running values that hold its time.
    #[inline]
    pub fn enter(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        time: Micros,
        arguments: ArgumentRow<'_>,
        aside: (&[Column], usize),
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

    /// Puts an entry into the aggregates that are kept up to date row by row.
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

    /// Answers one row: its key's windows at `moment`, without the entry `skip`, and with the entry
    /// `also`, of that time, wherever it lies.
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

    /// Answers a row that has no key.
    pub fn answer_nothing(&self, tapes: &mut Tapes, out: &mut [AnswerColumn]) {
        for (window, tape) in self.windows.iter().zip(&mut tapes.0) {
            tape.answer_nothing();
            window.asked.iter().for_each(|&(k, _)| out[k].push(Answer::Null));
        }
    }

    /// Does what is noted.
    pub fn play(&self, slot: &mut SlidingSlot, tapes: &mut Tapes, out: &mut [AnswerColumn]) {
        for (window, tape) in self.windows.iter().zip(&mut tapes.0) {
            if tape.is_empty() {
                continue;
            }
            for (j, place, to) in &window.taped {
                let (aggregate, offset) = &self.kit.layout.items[*j];
                aggregate.play(tape, *place, &mut slot.hot, window.base + offset, out, to);
            }
            tape.clear();
        }
    }

    /// A window.
    pub fn span(&self, w: usize) -> Span {
        self.windows[w].span
    }

    /// The greatest distance at which a window looks back.
    pub fn back(&self) -> Micros {
        self.windows.iter().map(|window| window.span.back).max().unwrap_or(0)
    }
}
