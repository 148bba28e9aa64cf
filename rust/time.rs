//! Event time: microseconds since 1970-01-01 UTC, in half-open intervals; the only place where
//! times are divided.

/// An instant, in microseconds since the epoch in UTC.
pub type Micros = i64;

/// The watermark before the first row.
pub const NEVER: Micros = i64::MIN;

/// The watermark after the last row of a finished input: a special value, not a time.
pub const FOREVER: Micros = i64::MAX;

/// Moves a watermark by `by` microseconds; `NEVER` and `FOREVER` stay unchanged.
#[inline]
pub fn shift(watermark: Micros, by: Micros) -> Micros {
    match watermark {
        NEVER | FOREVER => watermark,
        finite => finite.saturating_add(by).clamp(NEVER + 1, FOREVER - 1),
    }
}

/// The greatest multiple of `step` (shifted by `offset`) at or below `time`.
///
/// Rounds toward minus infinity, so times before 1970 fall into the right window. `None` if the
/// result does not fit an i64.
pub fn floor_to(time: Micros, step: Micros, offset: Micros) -> Option<Micros> {
    let behind = (time.rem_euclid(step) - offset.rem_euclid(step)).rem_euclid(step);
    time.checked_sub(behind)
}

/// Greatest common divisor of two positive durations.
pub fn gcd(a: Micros, b: Micros) -> Micros {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_negative_times_down() {
        assert_eq!(floor_to(-1, 10, 0), Some(-10));
        assert_eq!(floor_to(-10, 10, 0), Some(-10));
        assert_eq!(floor_to(3, 10, 4), Some(-6));
        assert_eq!(floor_to(3, 10, -6), Some(-6));
        assert_eq!(floor_to(i64::MIN, 10, 0), None);
        assert_eq!(floor_to(i64::MIN, 10, 2), Some(i64::MIN));
        assert_eq!(floor_to(i64::MIN + 1, i64::MAX, 5), None);
    }

    #[test]
    fn infinities_do_not_move() {
        assert_eq!(shift(NEVER, 5), NEVER);
        assert_eq!(shift(FOREVER, -5), FOREVER);
        assert_eq!(shift(7, -5), 2);
        assert_eq!(shift(NEVER + 2, -9), NEVER + 1);
    }
}
