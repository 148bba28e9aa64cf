//! Fate: what happened to each row. No row vanishes: for every operator, at every moment, `rows_in
//! = counted + late + invalid + filtered + in_gap`.

use serde::{Deserialize, Serialize};

use crate::origin::Origin;
use crate::time::Micros;

/// Why a row is in the late or the invalid table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Every window of the row has closed.
    Late,
    /// Some windows of the row have closed; others accepted it.
    LateWindow,
    /// The row touches a session that has fired.
    SessionClosed,
    /// The partition of the row was not declared.
    UndeclaredPartition,
    /// The event time is null.
    NullTime,
    /// The event time does not fit 64-bit microseconds.
    TimeOutOfRange,
    /// The event time is too far ahead of the recorded arrival.
    Future,
    /// A window of the row would end beyond 64-bit microseconds.
    WindowOutOfRange,
    /// The row names no time zone that exists.
    UnknownTimeZone,
    /// An expression overflows in this row.
    Overflow,
    /// A value of this row cannot be cast to the requested type.
    CastFailed,
    /// A sum does not fit its column, which is null.
    SumOverflow,
    /// More repeats of a silence fell due at once than are emitted.
    RepeatsSkipped,
}

impl Reason {
    /// The word in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Late => "late",
            Reason::LateWindow => "late_window",
            Reason::SessionClosed => "session_closed",
            Reason::UndeclaredPartition => "undeclared_partition",
            Reason::NullTime => "null_time",
            Reason::TimeOutOfRange => "time_out_of_range",
            Reason::Future => "future",
            Reason::WindowOutOfRange => "window_out_of_range",
            Reason::UnknownTimeZone => "unknown_time_zone",
            Reason::Overflow => "overflow",
            Reason::CastFailed => "cast_failed",
            Reason::SumOverflow => "sum_overflow",
            Reason::RepeatsSkipped => "repeats_skipped",
        }
    }

    /// Whether the row goes to the late table; the others go to the invalid one.
    pub fn is_late(self) -> bool {
        match self {
            Reason::Late | Reason::LateWindow | Reason::SessionClosed => true,
            Reason::UndeclaredPartition
            | Reason::NullTime
            | Reason::TimeOutOfRange
            | Reason::Future
            | Reason::WindowOutOfRange
            | Reason::UnknownTimeZone
            | Reason::Overflow
            | Reason::CastFailed
            | Reason::SumOverflow
            | Reason::RepeatsSkipped => false,
        }
    }
}

/// One line of the late or the invalid table.
#[derive(Debug, Clone)]
pub struct Record {
    /// Why.
    pub reason: Reason,
    /// Which operator rejected the row.
    pub node: u32,
    /// The `seq` of the row.
    pub seq: u64,
    /// Which row.
    pub origin: Origin,
    /// The window `[start, end)`, if there is one.
    pub window: Option<(Micros, Micros)>,
    /// How many windows.
    pub windows: i64,
    /// By how much, in microseconds.
    pub late_by: Option<Micros>,
}

impl Record {
    /// A record about a row itself.
    pub fn row(reason: Reason, node: u32, seq: u64, origin: Origin) -> Record {
        Record { reason, node, seq, origin, window: None, windows: 0, late_by: None }
    }
}

/// The counters of one operator; all but `late_windows`, `fired` and `nan` count rows that came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Rows received.
    pub rows_in: u64,
    /// Rows that count in the output.
    pub counted: u64,
    /// Rows behind the watermark.
    pub late: u64,
    /// Invalid rows.
    pub invalid: u64,
    /// Rows dropped by a filter.
    pub filtered: u64,
    /// Rows between windows.
    pub in_gap: u64,
    /// Pairs of row and window for which the row was late.
    pub late_windows: u64,
    /// Rows fired.
    pub fired: u64,
    /// Arguments skipped because they are NaN.
    pub nan: u64,
}

impl Counters {
    /// Adds other counts.
    pub fn add(&mut self, other: &Counters) {
        self.rows_in += other.rows_in;
        self.counted += other.counted;
        self.late += other.late;
        self.invalid += other.invalid;
        self.filtered += other.filtered;
        self.in_gap += other.in_gap;
        self.late_windows += other.late_windows;
        self.fired += other.fired;
        self.nan += other.nan;
    }

    /// Whether every row is accounted for.
    pub fn reconcile(&self) -> bool {
        self.rows_in == self.counted + self.late + self.invalid + self.filtered + self.in_gap
    }
}
