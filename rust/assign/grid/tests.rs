//! The laws of every grid: each is compared with the list of its windows.

use proptest::prelude::*;

use super::super::{FixedGrid, ListedGrid};
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
