//! The laws of every grid: each is compared with the list of its windows.

use proptest::prelude::*;

use super::super::{
    Calendar, CalendarGrid, CumulativeGrid, FixedGrid, Growth, ListedGrid, Unit, Zone,
};
use super::*;

/// Checks a grid around one time against its windows, which reach well beyond it on both sides.
fn check(grid: &impl Grid, windows: &[(Micros, Micros)], time: Micros, bound: Micros) {
    let lateness = time.rem_euclid(7);
    let ends: Vec<Micros> = windows.iter().map(|window| window.1).collect();
    let holding: Vec<Micros> =
        windows.iter().filter(|w| w.0 <= time && time < w.1).map(|window| window.1).collect();
    match grid.place(time) {
        GridPlace::Gap => assert!(holding.is_empty()),
        GridPlace::OutOfRange => panic!("{time} is in range"),
        GridPlace::Pane(reach) => {
            let all: Vec<Micros> = grid.ends(reach.first_end, reach.last_end).collect();
            assert_eq!(all, holding);
            assert_eq!(grid.count(reach.first_end, reach.last_end), holding.len() as i64);
            assert!(reach.contains(time) && !reach.contains(reach.end));
            for other in time - 60..time + 60 {
                let same = grid.place(other) == GridPlace::Pane(reach);
                assert_eq!(reach.contains(other), same, "{time} and {other}");
            }
            for (start, end) in windows {
                let inside = *start <= reach.start && reach.end <= *end;
                assert!(inside || reach.end <= *start || *end <= reach.start, "a pane is not cut");
            }
            let open = holding.iter().copied().find(|end| bound < end + lateness);
            assert_eq!(grid.accepting(&reach, bound, lateness), open);
        }
    }
    assert_eq!(grid.first_end(time), holding.first().copied());
    assert_eq!(grid.end_at_or_after(time), ends.iter().copied().find(|&end| end >= time));
    assert_eq!(grid.end_at_or_before(time), ends.iter().copied().rfind(|&end| end <= time));
    let starts_before = |from: Micros| windows.iter().rfind(|window| window.0 < from).unwrap().1;
    assert_eq!(grid.full_from(time), starts_before(time));
    let mut pairs = windows.iter().zip(&windows[1..]);
    let touched = pairs.rfind(|(before, _)| before.0 < time).unwrap().1;
    assert_eq!(grid.full_from(grid.second_start(time)), starts_before(touched.0 + 1));
    for (before, after) in windows.iter().zip(&windows[1..]) {
        assert_eq!((grid.start_of(before.1), grid.start_of(after.1)), (before.0, after.0));
        assert_eq!(grid.next_end(before.1), Some(after.1));
        assert_eq!(grid.previous_end(after.1), Some(before.1));
    }
}

proptest! {
    #[test]
    fn windows_of_one_length(
        time in -100i64..100, size in 1i64..40, every in 1i64..40, offset in -50i64..50,
        bound in -100i64..100,
    ) {
        let starts = (-400..400).filter(|start| (start - offset).rem_euclid(every) == 0);
        let windows: Vec<_> = starts.map(|start| (start, start + size)).collect();
        check(&FixedGrid::new(size, Some(every), offset), &windows, time, bound);
        check(&ListedGrid::new(windows.clone()), &windows, time, bound);
    }

    #[test]
    fn windows_of_several_lengths(
        time in -40i64..40, lengths in prop::collection::vec(1i64..9, 1..5),
        merged in 1usize..4, bound in -50i64..50,
    ) {
        let grid = ListedGrid::uneven(-80, &lengths, merged, 200);
        check(&grid, grid.windows(), time, bound);
    }

    #[test]
    fn windows_that_start_together(
        time in -40i64..40, step in 1i64..9, steps in 1i64..6, bound in -50i64..50,
    ) {
        let grid = ListedGrid::cumulative(-150, step, steps, 300 / step);
        check(&grid, grid.windows(), time, bound);
    }
}

const DAY: Micros = 86_400_000_000;
const HOUR: Micros = DAY / 24;

/// Zones and moments at which something happens: clocks change at midnight and at other hours, by
/// an hour and by half of one; days that are skipped (Samoa) and that come twice (Alaska).
const CHANGES: [(&str, i64); 9] = [
    ("UTC", 0),
    ("Europe/Berlin", 1_711_846_800),
    ("Europe/Berlin", 1_729_990_800),
    ("America/Sao_Paulo", 1_541_300_400),
    ("Australia/Lord_Howe", 1_712_415_600),
    ("Asia/Kathmandu", 504_901_800),
    ("Pacific/Apia", 1_325_239_200),
    ("America/Juneau", -3_225_169_588),
    ("Africa/Casablanca", 1_710_036_000),
];

fn calendars() -> impl Strategy<Value = (Calendar, Micros)> {
    let unit = prop::sample::select(vec![Unit::Day, Unit::Month]);
    let offsets = vec![0, 4 * HOUR, -HOUR / 2, 5 * DAY + HOUR];
    let parts = (prop::sample::select(CHANGES.to_vec()), unit, prop::sample::select(offsets));
    (parts, -3i64..3, -40i64..40, -3i64..3).prop_map(
        |((change, unit, offset), months, days, more)| {
            let zone = Zone::find(change.0).unwrap();
            let calendar = Calendar { unit, count: 1, months, offset, zone };
            (calendar, change.1 * 1_000_000 + days * DAY / 4 + more)
        },
    )
}

/// The windows that begin at every `every`-th bound and are `size` long, around a time.
fn listed(calendar: &Calendar, size: i64, every: i64, time: Micros) -> ListedGrid {
    let around = calendar.each(1).period(time).0.div_euclid(every);
    let far = size / every + 60;
    let bounds = |k: i64| (calendar.at(k * every).unwrap(), calendar.at(k * every + size).unwrap());
    let mut windows: Vec<(Micros, Micros)> = (around - far..around + far).map(bounds).collect();
    windows.dedup_by_key(|window| window.1);
    windows.retain(|window| window.0 < window.1);
    ListedGrid::new(windows)
}

proptest! {
    #[test]
    fn windows_of_the_calendar(
        (calendar, time) in calendars(), size in 1i64..5, every in 1i64..5, ahead in -3i64..3,
    ) {
        let list = listed(&calendar, size, every, time);
        let grid = CalendarGrid::new(&calendar, size, every);
        check(&grid, list.windows(), time, time + ahead * DAY);
    }

    #[test]
    fn windows_that_grow_within_a_period(
        (calendar, time) in calendars(), size in 1i64..4, step in 0usize..3, ahead in -3i64..3,
    ) {
        let calendar = calendar.each(size);
        let is_months = calendar.unit == Unit::Month;
        let step = match step {
            0 => Growth::Elapsed(if is_months { 5 * DAY } else { 5 * HOUR }),
            1 if is_months => Growth::Months(calendar.each(1), size),
            _ => Growth::Days(1),
        };
        let number = calendar.period(time).0;
        let mut windows: Vec<(Micros, Micros)> = vec![];
        for cycle in number - 5..number + 5 {
            let (start, end) = (calendar.at(cycle).unwrap(), calendar.at(cycle + 1).unwrap());
            let mut ends: Vec<Micros> = (1..200).map_while(|k| match &step {
                Growth::Elapsed(step) => Some(start + k * step),
                Growth::Days(days) => calendar.days_after(cycle, k * days),
                Growth::Months(months, many) => months.at(cycle * many + k),
            }).take_while(|&at| at < end).filter(|&at| at > start).chain([end]).collect();
            ends.dedup();
            windows.extend(ends.iter().filter(|&&end| end > start).map(|&end| (start, end)));
        }
        windows.dedup();
        let grid = CumulativeGrid::calendar(calendar, step);
        check(&grid, &windows, time, time + ahead * DAY);
    }

    #[test]
    fn windows_that_grow(
        time in -40i64..40, step in 1i64..9, steps in 1i64..6, offset in -9i64..9,
        bound in -50i64..50,
    ) {
        let size = step * steps;
        let from = (-150i64).div_euclid(size) * size + offset;
        let list = ListedGrid::cumulative(from, step, steps, 300 / size + 2);
        check(&CumulativeGrid::fixed(size, step, offset), list.windows(), time, bound);
    }
}

#[test]
fn the_calendar_ends_after_the_year_9998() {
    let calendar = Calendar { unit: Unit::Month, count: 1, months: 0, offset: 0, zone: Zone::UTC };
    let last = 253_370_764_800_000_000;
    for grid in [CalendarGrid::new(&calendar, 1, 1), CalendarGrid::new(&calendar, 3, 1)] {
        assert_eq!(grid.place(last), GridPlace::OutOfRange);
        assert_eq!(grid.place(i64::MIN + 1), GridPlace::OutOfRange);
        assert_eq!(grid.place(i64::MAX - 1), GridPlace::OutOfRange);
        assert!(matches!(grid.place(last - 93 * DAY), GridPlace::Pane(_)));
        assert_eq!(grid.end_at_or_after(last + 1), None);
        assert_eq!(
            grid.end_at_or_after(i64::MIN + 1),
            grid.end_at_or_after(-62_135_596_799_000_000)
        );
        assert_eq!(grid.end_at_or_before(i64::MIN + 1), None);
        assert_eq!(grid.end_at_or_before(i64::MAX - 1), Some(last));
    }
    let grid = CumulativeGrid::calendar(calendar, Growth::Days(1));
    assert_eq!(grid.place(last), GridPlace::OutOfRange);
    assert_eq!(grid.end_at_or_after(i64::MIN + 1), Some(-62_135_596_800_000_000 + DAY));
    assert_eq!(grid.end_at_or_before(last), None);
}

#[test]
fn the_ends_of_time_are_out_of_range() {
    let windows = FixedGrid::new(60, None, 0);
    assert_eq!(windows.place(i64::MAX), GridPlace::OutOfRange);
    assert_eq!(windows.place(i64::MIN), GridPlace::OutOfRange);
    assert!(matches!(windows.place(i64::MAX - 120), GridPlace::Pane(_)));
    let apart = FixedGrid::new(5, Some(60), 0);
    for end in [NEVER, FOREVER] {
        assert_eq!((apart.full_from(end), apart.second_start(end)), (end, end));
    }
}
