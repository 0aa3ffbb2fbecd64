//! Ranges of finite answers (RFC 9110, 14). Live streams have none: they are answered whole.

/// What a `Range` header asks of an answer whose length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeAnswer {
    /// Everything, status 200: no range, several ranges, or none that makes sense.
    Whole,
    /// The bytes from `start` up to, and without, `end`; never none. Status 206.
    Part {
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
    },
    /// Nothing that is there, status 416.
    Unsatisfiable,
}

/// Reads a `Range` header for an answer of `length_bytes`.
pub fn parse(value: Option<&str>, length_bytes: u64) -> RangeAnswer {
    match value.and_then(find_bounds) {
        None => RangeAnswer::Whole,
        Some(Bounds::Last(count)) => part(length_bytes.saturating_sub(count), length_bytes, length_bytes),
        Some(Bounds::From(start)) => part(start, length_bytes, length_bytes),
        Some(Bounds::Between(start, last)) => part(start, last.saturating_add(1), length_bytes),
    }
}

enum Bounds {
    Last(u64),
    From(u64),
    Between(u64, u64),
}

fn find_bounds(value: &str) -> Option<Bounds> {
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match range.trim().split_once('-')? {
        ("", count) => Some(Bounds::Last(number(count)?)),
        (start, "") => Some(Bounds::From(number(start)?)),
        (start, last) => {
            let (start, last) = (number(start)?, number(last)?);
            (start <= last).then_some(Bounds::Between(start, last))
        }
    }
}

/// Digits only; more than there can be bytes are as many as there can be.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn part(start: u64, end: u64, length_bytes: u64) -> RangeAnswer {
    if start < length_bytes {
        RangeAnswer::Part { start, end: end.min(length_bytes) }
    } else {
        RangeAnswer::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(start: u64, end: u64) -> RangeAnswer {
        RangeAnswer::Part { start, end }
    }

    #[test]
    fn one_range_is_a_part() {
        for (value, expected) in [
            ("bytes=0-", part(0, 100)),
            ("bytes=0-1", part(0, 2)),
            ("Bytes = 0-0", part(0, 1)),
            ("bytes=99-", part(99, 100)),
            ("bytes=50-99", part(50, 100)),
            ("bytes=50-100", part(50, 100)),
            ("bytes=50-99999999999999999999", part(50, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-100", part(0, 100)),
            ("bytes=-101", part(0, 100)),
            ("bytes=0-18446744073709551615", part(0, 100)),
        ] {
            assert_eq!(parse(Some(value), 100), expected, "{value}");
        }
    }

    #[test]
    fn what_is_not_there_is_unsatisfiable() {
        for value in ["bytes=100-", "bytes=100-200", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(parse(Some(value), 100), RangeAnswer::Unsatisfiable, "{value}");
        }
        for value in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(parse(Some(value), 0), RangeAnswer::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        let several = "bytes=0-1,5-6";
        for value in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=+1-2", "items=0-1", several]
        {
            assert_eq!(parse(Some(value), 100), RangeAnswer::Whole, "{value}");
        }
        assert_eq!(parse(None, 100), RangeAnswer::Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_lies_within(value in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0_u64..1_000) {
            if let RangeAnswer::Part { start, end } = parse(Some(&value), length) {
                prop_assert!(start < end && end <= length);
            }
        }
    }
}
