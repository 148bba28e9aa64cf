//! On what the rows of an operator depend, and what follows from it for their completeness.

use serde::{Deserialize, Serialize};

use super::known::{CompleteFrom, Known, UnknownUntil};
use crate::assign::{AnswerTime, Bounds, Span};
use crate::graph::{Formula, TypedAggregate, TypedAggregates};
use crate::time::{Micros, NEVER, shift};

/// What is remembered of an operator's warm-up; saved next to its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warming {
    /// The operator has seen all rows from this event time on; [`NEVER`]: every row there was.
    pub seen_from: Micros,
    /// Windows that start before this event time may depend on rows the operator did not see, even
    /// though the windows contain none of them; [`NEVER`]: there are none.
    #[serde(default = "never")]
    pub sure_from: Micros,
    /// No row at or after this event time was emitted with an unknown value.
    pub open_until: Micros,
    /// How many rows were emitted with an unknown value, or dropped because of one.
    pub rows: u64,
}

impl Default for Warming {
    fn default() -> Warming {
        Warming { seen_from: NEVER, sure_from: NEVER, open_until: NEVER, rows: 0 }
    }
}

/// The default for snapshots that lack `sure_from`.
fn never() -> Micros {
    NEVER
}

/// On what the rows of an operator depend.
pub enum Dependence<'a> {
    /// On an input of the pipeline.
    Source,
    /// Rows of the input for which a condition holds.
    Kept(&'a Formula),
    /// Each row on one row of the input: a column for each formula.
    Computed(&'a [Formula]),
    /// Each row on one row of one of the inputs. For each input and column of the output: which
    /// column of the input it is.
    Merged {
        /// The columns.
        columns: Vec<&'a [Option<usize>]>,
        /// How many columns the output has.
        width: usize,
    },
    /// Each row on one row of the input and on rows of its key that are remembered.
    Remembered {
        /// The columns of the key.
        by: &'a [usize],
        /// The columns of remembered rows that are added.
        shown: &'a [usize],
        /// How many columns the input has.
        width: usize,
        /// Whether a row about which nothing can be decided is missing in the output.
        drops_unknown: bool,
    },
    /// Each row on one row of the input, with values over earlier rows of its key.
    Earlier(LookBack<'a>),
    /// Windows that have closed: the aggregates, whether there is a column of the newest row's time,
    /// and whether there is one of the revision.
    Windows(&'a TypedAggregates, WindowFacts<'a>, (bool, bool)),
}

/// What values over earlier rows of a key depend on.
pub struct LookBack<'a> {
    /// The keys and aggregates.
    pub aggregates: &'a TypedAggregates,
    /// How many columns the input has.
    pub width: usize,
    /// The columns after those of the input: their aggregates and windows.
    pub features: Vec<(usize, Span)>,
    /// As of which time a row is answered.
    pub answered: AnswerTime,
    /// Whether rows wait until the watermark has passed them.
    pub is_sorted: bool,
}

/// What a window verb says of its windows.
pub struct WindowFacts<'a> {
    /// Where they lie.
    pub bounds: &'a dyn Bounds,
    /// How long after its end a window closes.
    pub wait: Micros,
    /// Whether a window fires only if it differs from the one before it.
    pub is_compared: bool,
    /// Whether keys have windows before their first row.
    pub has_known_keys: bool,
}

impl<'a> WindowFacts<'a> {
    /// Windows that close at their ends.
    pub fn new(bounds: &'a dyn Bounds) -> WindowFacts<'a> {
        WindowFacts { bounds, wait: 0, is_compared: false, has_known_keys: false }
    }
}

/// The completeness of an operator's rows, and what it does not know.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// From when on its rows are complete.
    pub complete: CompleteFrom,
    /// What it knows before it runs.
    pub known: Known,
    /// For each column the time from which its values are known: for windows a start, otherwise the
    /// time as of which a row is answered.
    pub from: Vec<Micros>,
}

impl Dependence<'_> {
    /// A lower bound on the event time of rows that are still to come out, given the operator's
    /// clock and that bound of its inputs.
    pub fn emits_from(&self, clock: Micros, inputs: Micros) -> Micros {
        match self {
            Dependence::Windows(_, facts, _) => facts.bounds.ended_by(shift(clock, -facts.wait)),
            Dependence::Earlier(look) if look.is_sorted => clock,
            Dependence::Source
            | Dependence::Kept(_)
            | Dependence::Computed(_)
            | Dependence::Merged { .. }
            | Dependence::Remembered { .. }
            | Dependence::Earlier(_) => inputs,
        }
    }

    /// Whether a key may have a window that began before the operator's first row.
    pub fn is_unsure(&self) -> bool {
        matches!(self, Dependence::Windows(_, facts, _) if facts.has_known_keys)
    }

    /// The completeness of the rows, given that of the inputs.
    pub fn outcome(&self, warming: &Warming, inputs: &[&CompleteFrom]) -> Outcome {
        match self {
            Dependence::Source => Outcome::default(),
            Dependence::Kept(condition) => {
                let mut complete = inputs[0].clone();
                complete.rows = complete.rows.max(complete.formula(condition));
                let formulas = vec![UnknownUntil::new(condition.reads.iter().copied(), inputs[0])];
                let known = Known { formulas, ..Known::default() };
                Outcome { complete, known, from: vec![] }
            }
            Dependence::Computed(formulas) => computed(formulas, inputs[0]),
            Dependence::Merged { columns, width } => {
                let complete = merged(columns, *width, inputs);
                Outcome { complete, ..Outcome::default() }
            }
            Dependence::Remembered { by, shown, width, drops_unknown } => {
                remembered((by, shown, *width), *drops_unknown, warming, inputs[0])
            }
            Dependence::Earlier(look) => look.outcome(warming, inputs[0]),
            Dependence::Windows(aggregates, facts, extra) => {
                facts.outcome(aggregates, *extra, warming, inputs[0])
            }
        }
    }
}

fn computed(formulas: &[Formula], input: &CompleteFrom) -> Outcome {
    let unknown = |formula: &Formula| match formula.typed.as_column() {
        Some(_) => UnknownUntil::default(),
        None => UnknownUntil::new(formula.reads.iter().copied(), input),
    };
    let columns = formulas.iter().map(|formula| input.formula(formula)).collect();
    let complete = CompleteFrom { rows: input.rows, columns };
    let known = Known { formulas: formulas.iter().map(unknown).collect(), ..Known::default() };
    Outcome { complete, known, from: vec![] }
}

fn merged(columns: &[&[Option<usize>]], width: usize, inputs: &[&CompleteFrom]) -> CompleteFrom {
    let column = |k: usize| {
        let places = inputs.iter().zip(columns);
        let places = places.filter_map(|(input, side)| Some((input, side.get(k).copied()??)));
        places.map(|(input, at)| input.of_columns(&[at])).max().unwrap_or(NEVER)
    };
    CompleteFrom {
        rows: inputs.iter().map(|input| input.rows).max().unwrap_or(NEVER),
        columns: (0..width).map(column).collect(),
    }
}

fn remembered(
    (by, shown, width): (&[usize], &[usize], usize),
    drops_unknown: bool,
    warming: &Warming,
    input: &CompleteFrom,
) -> Outcome {
    let keys_from = input.of_columns(by);
    let rows = input.rows.max(warming.seen_from);
    let seen_from = rows.max(keys_from).max(input.of_columns(shown));
    let known = Known { seen_from, keys_from, ..Known::default() };
    let mut columns: Vec<Micros> = (0..width).map(|at| input.of_columns(&[at])).collect();
    columns.extend(shown.iter().map(|_| warming.open_until));
    let missing = if drops_unknown { warming.open_until } else { NEVER };
    let complete = CompleteFrom { rows: rows.max(missing), columns };
    Outcome { complete, known, from: vec![] }
}

/// The event times from which a keyed operator's input rows, and the arguments of each aggregate,
/// are complete.
fn arguments_from(
    aggregates: &TypedAggregates,
    warming: &Warming,
    input: &CompleteFrom,
) -> (Micros, Vec<Micros>) {
    let rows = warming.seen_from.max(input.rows).max(input.of_columns(&aggregates.by));
    let argument = |each: &TypedAggregate| {
        let read = each.arguments.iter().chain(&each.filter);
        read.map(|formula| input.formula(formula)).fold(rows, Micros::max)
    };
    (rows, aggregates.aggregates.iter().map(argument).collect())
}

impl LookBack<'_> {
    fn outcome(&self, warming: &Warming, input: &CompleteFrom) -> Outcome {
        let (_, arguments) = arguments_from(self.aggregates, warming, input);
        let features = self.features.iter().map(|&(j, span)| span.full_from(arguments[j]));
        let features: Vec<Micros> = features.collect();
        let mut columns: Vec<Micros> = (0..self.width).map(|at| input.of_columns(&[at])).collect();
        columns.extend(&features);
        let mut from = vec![NEVER; self.width];
        from.extend(features);
        let complete = CompleteFrom { rows: input.rows.max(warming.seen_from), columns };
        Outcome { complete, known: Known::default(), from }
    }
}

impl WindowFacts<'_> {
    fn outcome(
        &self,
        aggregates: &TypedAggregates,
        (has_last, has_revision): (bool, bool),
        warming: &Warming,
        input: &CompleteFrom,
    ) -> Outcome {
        let bounds = self.bounds;
        let (rows, arguments) = arguments_from(aggregates, warming, input);
        let known = Known { seen_from: rows, ..Known::default() };
        let sure = rows.max(warming.sure_from);
        // Whether a window fires may depend on rows that left since the window before it.
        let fires = if self.is_compared { bounds.second_start(sure) } else { sure };
        let keys = aggregates.by.iter().map(|&at| input.of_columns(&[at]));
        let value = |from: Micros| (bounds.start_from(from), bounds.full_from(from));
        let columns: Vec<(Micros, Micros)> = keys
            .map(|from| (NEVER, bounds.full_from(from)))
            .chain([(NEVER, NEVER); 2])
            .chain(has_last.then(|| value(sure)))
            .chain(arguments.into_iter().map(|from| value(from.max(warming.sure_from))))
            .chain(has_revision.then(|| value(fires)))
            .collect();
        let (from, columns) = columns.into_iter().unzip();
        let mut complete = CompleteFrom { rows: bounds.full_from(fires), columns };
        complete.at_least(warming.open_until);
        Outcome { complete, known, from }
    }
}
