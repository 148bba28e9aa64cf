//! Laws of the tape: recording changes and applying them later gives the same as applying them at
//! once.

use proptest::prelude::*;

use super::laws::{Subject, picks, subjects};
use super::tape::Arguments;
use super::{
    Aggregate, Answer, AnswerColumn, ArgumentColumns, Class, Moment, PerArgument, Retract,
    StateRows, Tape,
};

/// Two rows of accumulators, each preceded by one other word.
fn pair(aggregate: &dyn Aggregate) -> StateRows {
    let mut hot = StateRows::new(aggregate.words() + 1);
    hot.push();
    hot.push();
    hot
}

/// The aggregates that can be recorded on a tape.
fn noted() -> Vec<Subject> {
    let all = subjects().into_iter().filter(|subject| subject.aggregate.inverts());
    let all: Vec<_> = all.filter(|subject| !subject.classes().contains(&Class::Bytes)).collect();
    assert!(all.iter().any(|subject| subject.types.len() == 2));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_inverts_takes_every_row_back(picks in picks(), seed in any::<u64>()) {
        for subject in subjects().into_iter().filter(|subject| subject.aggregate.inverts()) {
            let mut rows = subject.rows(&picks);
            let mut state = subject.fold(&rows);
            while !rows.is_empty() {
                let (args, _) = rows.remove((seed % rows.len() as u64) as usize);
                let at_any_moment = Moment { time: 0, seq: 0 };
                prop_assert_eq!(state.retract((args, at_any_moment)), Retract::Done);
                prop_assert_eq!(state.says(), subject.fold(&rows).says(), "{}", subject.name);
            }
        }
    }

    #[test]
    fn steps_noted_are_steps_done(
        picks in picks(),
        draws in prop::collection::vec(any::<u32>(), 0..80),
    ) {
        for subject in noted() {
            let aggregate = subject.aggregate.as_ref();
            let words = aggregate.words();
            // Put another argument first, so that this one is not in the first word.
            let before = PerArgument::One([Class::I64]);
            let arguments = Arguments::new([before, subject.classes()].into_iter());
            let slot = arguments.places[1].expect("it lies in words");
            let rows = subject.rows(&picks);
            let mut before = ArgumentColumns::empty(&before);
            let mut columns = ArgumentColumns::empty(&subject.classes());
            let present = |i: usize| !picks[i].is_multiple_of(5);
            for (i, (args, _)) in rows.iter().enumerate() {
                before.push(None);
                columns.push(present(i).then_some(args));
            }
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let arranged = arguments.arrange(&[before, columns], &all);

            let mut tape = Tape::new(arguments.words, 4);
            let mut hot = pair(aggregate);
            let mut done = AnswerColumn::new(aggregate.output_type(), 0);
            let (mut inside, mut next) = ([vec![], vec![]], 0);
            for draw in draws.iter().map(|&draw| draw as usize) {
                let row = draw / 8 % 2;
                let cell = hot.cell(row as u32, 1, words);
                match draw % 8 {
                    0..=2 if next < rows.len() => {
                        tape.enter(row as u32, arranged.at(next));
                        if present(next) {
                            aggregate.update(cell, &rows[next].0, rows[next].1);
                        }
                        inside[row].push(next);
                        next += 1;
                    }
                    3 | 4 if !inside[row].is_empty() => {
                        let i = inside[row].remove(draw / 16 % inside[row].len());
                        tape.leave(row as u32, arranged.at(i));
                        if present(i) {
                            aggregate.retract(cell, &rows[i].0, rows[i].1);
                        }
                    }
                    5 => {
                        tape.empty(row as u32);
                        aggregate.clear(cell);
                        inside[row].clear();
                    }
                    6 => {
                        tape.answer_nothing();
                        done.push(Answer::Null);
                    }
                    _ => {
                        tape.answer(row as u32);
                        done.push(aggregate.evaluate(cell.peek()));
                    }
                }
            }

            let mut later = pair(aggregate);
            let column = || AnswerColumn::new(aggregate.output_type(), 0);
            let mut columns = [column(), column()];
            aggregate.play(&tape, slot, &mut later, 1, &mut columns, &[1, 0]);
            let done = done.finish().unwrap();
            for column in columns {
                let noted = column.finish().unwrap();
                prop_assert_eq!(noted.to_data(), done.to_data(), "{}", subject.name);
            }
            let says = |hot: &StateRows, row| {
                let mut out = Vec::new();
                aggregate.save(hot.peek(row, 1, words), &mut out);
                out
            };
            for row in 0..2 {
                prop_assert_eq!(says(&later, row), says(&hot, row), "{}", subject.name);
            }
        }
    }
}
