//! Tumbling, hopping and cumulative windows: their checks, and in which time zone they are.

use arrow_schema::DataType;

use super::TypedNode;
use super::windows::{place, positive};
use crate::assign::{AlignedGrid, GridKind, Zone};
use crate::error::{Error, Result};
use crate::plan::{self, Length, ZoneOf};
use crate::schema::type_word;

/// How many windows a row may be in.
const WINDOWS_MAX: i64 = 10_000;

/// The windows of a verb.
#[derive(Debug)]
pub enum Frame {
    /// The same for all keys.
    Shared(AlignedGrid),
    /// In the time zone that a column of the key names.
    ByZone {
        /// Which windows they are.
        kind: GridKind,
        /// The index of the column in the key.
        key: usize,
    },
}

/// Checks the lengths of windows, and finds where they lie.
pub fn frame(w: &plan::Aligned, kind: GridKind, upstream: &TypedNode) -> Result<Frame> {
    check_lengths(w, kind)?;
    if w.allowed_lateness < 0 {
        return Err(Error::Plan("allowed_lateness must not be negative".into()));
    }
    w.emit_every.map_or(Ok(()), |every| positive("emit_every", every))?;
    let zone = match (&w.time_zone, w.size) {
        (Some(ZoneOf::Column { col }), _) => return by_zone(w, kind, upstream, col),
        (Some(ZoneOf::Name(name)), _) => Zone::named(name)?,
        (None, Length::Elapsed(_)) => Zone::UTC,
        (None, _) => Zone::of_column(upstream.zone.as_deref())?,
    };
    Ok(Frame::Shared(AlignedGrid::new(w, kind, &zone)))
}

fn by_zone(w: &plan::Aligned, kind: GridKind, upstream: &TypedNode, column: &str) -> Result<Frame> {
    let at = place(&upstream.schema, column).map_err(|error| error.within("time_zone"))?;
    let data_type = upstream.schema.field(at).data_type();
    if *data_type != DataType::Utf8 {
        return Err(Error::Plan(format!(
            "time_zone: column \"{column}\" is {}, not the name of a time zone as str",
            type_word(data_type)?
        )));
    }
    let Some(key) = w.by.iter().position(|name| name == column) else {
        return Err(Error::Plan(format!(
            "time_zone: column \"{column}\" is not in by=, so a key could have windows of several \
             zones\nhint: add it to by="
        )));
    };
    Ok(Frame::ByZone { kind, key })
}

fn check_lengths(w: &plan::Aligned, kind: GridKind) -> Result<()> {
    positive("size", w.size.units())?;
    let every = w.every.unwrap_or(w.size);
    positive("every", every.units())?;
    match kind {
        GridKind::Even => check_even(w, every),
        GridKind::Cumulative => check_steps(w, every),
    }
}

/// Whether two lengths are counted in the same unit.
fn alike(one: Length, other: Length) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}

fn check_even(w: &plan::Aligned, every: Length) -> Result<()> {
    if !alike(w.size, every) {
        return Err(Error::Plan(format!(
            "size={} and every={} are not both elapsed time, days or months",
            shown(w.size),
            shown(every)
        )));
    }
    if every.units() > w.size.units() && !w.allow_gaps {
        return Err(Error::Plan(format!(
            "every={} is larger than size={}, so rows would fall between windows\nhint: say \
             allow_gaps=True if that is meant",
            shown(every),
            shown(w.size)
        )));
    }
    few(w.size.units() / every.units(), "a larger every=, or sliding()")
}

fn check_steps(w: &plan::Aligned, step: Length) -> Result<()> {
    let divides = match (w.size, step) {
        (size, step) if alike(size, step) => size.units() % step.units() == 0,
        // The last step of a cycle is as long as the cycle leaves it.
        (Length::Days { .. }, Length::Elapsed(_)) => w.size.about() % step.about() == 0,
        (Length::Months { .. }, Length::Elapsed(_) | Length::Days { .. }) => true,
        _ => false,
    };
    if !divides || step.about() > w.size.about() {
        return Err(Error::Plan(format!(
            "size={} is not a whole number of steps of {}",
            shown(w.size),
            shown(step)
        )));
    }
    few(w.size.about() / step.about(), "a larger step")
}

fn few(windows: i64, hint: &str) -> Result<()> {
    if windows <= WINDOWS_MAX {
        return Ok(());
    }
    Err(Error::Plan(format!(
        "a row would be in {windows} windows, more than {WINDOWS_MAX}\nhint: {hint}"
    )))
}

fn shown(length: Length) -> String {
    match length {
        Length::Elapsed(size) => format!("{size} microseconds"),
        Length::Days { days } => format!("{days} days"),
        Length::Months { months } => format!("{months} months"),
    }
}
