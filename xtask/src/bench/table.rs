//! Medians of all cases and the ratios between them, as Markdown.

use super::{Case, ICECAST, Measured, NULL_1, NULL_2, OURS_1, OURS_2, REWOUND};
use crate::load::Outcome;
use crate::stats::median;

/// Ratios of processor time for each GB: name, of whom, to whom.
const RATIOS: [(&str, &Case, &Case); 5] = [
    ("ours ÷ null writer, 1 s", &OURS_1, &NULL_1),
    ("ours ÷ null writer, 2 s", &OURS_2, &NULL_2),
    ("ours, 2 s ÷ icecast2", &OURS_2, &ICECAST),
    ("ours, 1 s ÷ icecast2", &OURS_1, &ICECAST),
    ("rewound ÷ live, 2 s", &REWOUND, &OURS_2),
];

/// A table of the cases and one of the ratios that they allow.
pub fn render(all: &[Measured]) -> String {
    let mut out = "| | CPU s/GB | resident bytes per listener | first audio ms, median / p99 | MB/s | live | dropped | \
                   bytes lost |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for measured in all {
        out += &row(measured);
    }
    let ratios: Vec<String> = RATIOS.iter().filter_map(|(name, of, to)| ratio(all, name, of, to)).collect();
    if !ratios.is_empty() {
        out += &format!("\n| CPU s/GB | ratio |\n| --- | --- |\n{}", ratios.concat());
    }
    out
}

fn row(measured: &Measured) -> String {
    let middle = |number: fn(&Outcome) -> Option<f64>, digits: usize| {
        let values: Vec<f64> = measured.outcomes.iter().filter_map(number).collect();
        median(&values).map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let sum = |number: fn(&Outcome) -> u64| measured.outcomes.iter().map(number).sum::<u64>();
    format!(
        "| {} | {} | {} | {} / {} | {} | {} | {} | {} |\n",
        measured.case.name,
        middle(Outcome::cpu_seconds_per_gb, 2),
        middle(Outcome::resident_bytes_per_listener, 0),
        middle(|outcome| outcome.first_audio_ms(50.0), 2),
        middle(|outcome| outcome.first_audio_ms(99.0), 1),
        middle(|outcome| Some(outcome.megabytes_per_second()), 1),
        middle(|outcome| Some(outcome.live as f64), 0),
        sum(|outcome| outcome.dropped as u64),
        sum(|outcome| outcome.lost_bytes),
    )
}

fn ratio(all: &[Measured], name: &str, of: &Case, to: &Case) -> Option<String> {
    let cost = |case: &Case| {
        let measured = all.iter().find(|measured| measured.case == case)?;
        median(&measured.outcomes.iter().filter_map(Outcome::cpu_seconds_per_gb).collect::<Vec<_>>())
    };
    let ratio = cost(of)? / cost(to)?;
    Some(format!("| {name} | {ratio:.2} |\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(case: &'static Case, cpu_seconds: &[f64]) -> Measured {
        let outcome = |&seconds| Outcome {
            cpu_seconds: Some(seconds),
            bytes: 1_000_000_000,
            seconds: 10.0,
            live: 9,
            dropped: 1,
            first_audio_ms: vec![1.0, 2.0, 3.0],
            ..Outcome::default()
        };
        Measured { case, outcomes: cpu_seconds.iter().map(outcome).collect() }
    }

    #[test]
    fn rows_hold_medians_and_sums() {
        let table = render(&[measured(&NULL_1, &[3.0, 1.0, 2.0])]);
        assert!(
            table.ends_with("| null writer, 1 s | 2.00 | – | 2.00 / 3.0 | 100.0 | 9 | 3 | 0 |\n"),
            "{table}"
        );
    }

    #[test]
    fn ratios_are_between_medians_of_measured_cases() {
        let all =
            [measured(&NULL_1, &[1.0]), measured(&OURS_1, &[1.0, 1.3, 9.0]), measured(&OURS_2, &[0.65])];
        let table = render(&all);
        assert!(
            table.ends_with("\n| CPU s/GB | ratio |\n| --- | --- |\n| ours ÷ null writer, 1 s | 1.30 |\n"),
            "{table}"
        );
    }
}
