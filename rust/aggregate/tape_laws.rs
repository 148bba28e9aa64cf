//! Laws of the tape: recording changes and applying them later gives the same as applying them at
//! once.

use proptest::prelude::*;

use super::laws::{Subject, column_of, picks, subjects};
use super::tape::Arguments;
use super::{Aggregate, Answer, AnswerColumn, Class, Moment, Retract, StateRows, Tape};

/// Two rows of accumulators, each preceded by one other word.
fn pair(aggregate: &dyn Aggregate) -> StateRows {
    let mut hot = StateRows::new(aggregate.words() + 1);
    hot.push();
    hot.push();
    hot
}

/// The aggregates that can be recorded on a tape, with the class of their argument.
fn noted() -> Vec<(Subject, Class)> {
    let class = |subject: &Subject| subject.argument.as_ref().map_or(Class::Unit, Class::for_type);
    let all = subjects().into_iter().filter(|subject| subject.aggregate.inverts());
    all.map(|subject| (class(&subject), subject))
        .filter(|(class, _)| *class != Class::Bytes)
        .map(|(class, subject)| (subject, class))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_inverts_takes_every_row_back(picks in picks(), seed in any::<u64>()) {
        for subject in subjects().into_iter().filter(|subject| subject.aggregate.inverts()) {
            let mut rows = subject.rows(&picks);
            let mut state = subject.fold(&rows);
            while !rows.is_empty() {
                let (value, _) = rows.remove((seed % rows.len() as u64) as usize);
                let at_any_moment = Moment { time: 0, seq: 0 };
                prop_assert_eq!(state.retract((value, at_any_moment)), Retract::Done);
                prop_assert_eq!(state.says(), subject.fold(&rows).says(), "{}", subject.name);
            }
        }
    }

    #[test]
    fn steps_noted_are_steps_done(
        picks in picks(),
        draws in prop::collection::vec(any::<u32>(), 0..80),
    ) {
        for (subject, class) in noted() {
            let aggregate = subject.aggregate.as_ref();
            let words = aggregate.words();
            // Put another argument first, so that this one is not in the first word.
            let arguments = Arguments::new([Class::I64, class].into_iter());
            let place = arguments.places[1].expect("it lies in words");
            let rows = subject.rows(&picks);
            let (mut before, mut column) = (column_of(Class::I64), column_of(class));
            let present = |i: usize| !picks[i].is_multiple_of(5);
            for (i, &(value, _)) in rows.iter().enumerate() {
                before.push(None);
                column.push(present(i).then_some(value));
            }
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let arranged = arguments.arrange(&[before, column], &all);

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
                            aggregate.update(cell, rows[next].0, rows[next].1);
                        }
                        inside[row].push(next);
                        next += 1;
                    }
                    3 | 4 if !inside[row].is_empty() => {
                        let i = inside[row].remove(draw / 16 % inside[row].len());
                        tape.leave(row as u32, arranged.at(i));
                        if present(i) {
                            aggregate.retract(cell, rows[i].0, rows[i].1);
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
            aggregate.play(&tape, place, &mut later, 1, &mut columns, &[1, 0]);
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
