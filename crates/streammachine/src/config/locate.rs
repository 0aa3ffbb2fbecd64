//! Finds where each key and value of a JSON5 text stands, so that a message can point at it.
//!
//! The text has been read without error before; nothing is judged here.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::CharIndices;

/// A key's path: the names of the objects it is in, then its own.
pub type Path = Vec<String>;

/// A place in a text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Where a key and its value stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The key.
    pub key: Place,
    /// Its value.
    pub value: Place,
}

/// Where everything stands. Items of lists have no spots of their own.
#[derive(Debug, Default)]
pub struct Spots {
    /// Keys by path; of one that is there twice, the last.
    pub spots: BTreeMap<Path, Spot>,
    /// Keys that were there before in the same object.
    pub doubles: Vec<(Path, Place)>,
}

/// Locates all keys of `text`, which is valid JSON5.
pub fn locate(text: &str) -> Spots {
    let mut scanner = Scanner {
        text,
        chars: text.char_indices().peekable(),
        place: Place { line: 1, column: 1 },
        path: Vec::new(),
        found: Spots::default(),
    };
    scanner.skip_blank();
    scanner.value(true);
    scanner.found
}

struct Scanner<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    place: Place,
    path: Path,
    found: Spots,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        // JSON5 ends lines as ECMAScript does; CR LF is one end.
        let ends = match c {
            '\r' => self.peek() != Some('\n'),
            c => matches!(c, '\n' | '\u{2028}' | '\u{2029}'),
        };
        if ends {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(c)
    }

    fn offset(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) {
        while let Some(c) = self.peek() {
            if c == '/' {
                self.skip_comment();
            } else if c.is_whitespace() || c == '\u{feff}' {
                self.next();
            } else {
                return;
            }
        }
    }

    fn skip_comment(&mut self) {
        self.next();
        if self.next() == Some('*') {
            let mut last = ' ';
            while let Some(c) = self.next() {
                if last == '*' && c == '/' {
                    return;
                }
                last = c;
            }
        } else {
            let line = self.place.line;
            while self.place.line == line && self.next().is_some() {}
        }
    }

    /// Passes a value; keys in it are noted unless it is in a list.
    fn value(&mut self, noted: bool) {
        match self.peek() {
            Some('{') => self.object(noted),
            Some('[') => self.list(),
            _ => {
                self.token();
            }
        }
    }

    fn object(&mut self, noted: bool) {
        self.next();
        loop {
            self.skip_blank();
            match self.peek() {
                None => return,
                Some('}') => {
                    self.next();
                    return;
                }
                Some(',') => {
                    self.next();
                }
                Some(_) => self.member(noted),
            }
        }
    }

    fn member(&mut self, noted: bool) {
        let key = self.place;
        let name = self.token();
        self.skip_blank();
        self.next();
        self.skip_blank();
        self.path.push(name);
        if noted {
            let spot = Spot { key, value: self.place };
            if self.found.spots.insert(self.path.clone(), spot).is_some() {
                self.found.doubles.push((self.path.clone(), key));
            }
        }
        self.value(noted);
        self.path.pop();
    }

    fn list(&mut self) {
        self.next();
        loop {
            self.skip_blank();
            match self.peek() {
                None => return,
                Some(']') => {
                    self.next();
                    return;
                }
                Some(',') => {
                    self.next();
                }
                Some(_) => self.value(false),
            }
        }
    }

    /// Passes a string, number, word or bare key and returns what it says.
    fn token(&mut self) -> String {
        let start = self.offset();
        let quote = self.peek().filter(|c| matches!(c, '"' | '\''));
        if quote.is_some() {
            self.next();
        }
        while let Some(c) = self.peek() {
            let ends = match quote {
                Some(quote) => c == quote,
                None => c.is_whitespace() || ":,]}/".contains(c),
            };
            if ends {
                break;
            }
            self.next();
            if c == '\\' {
                self.next();
            }
        }
        if quote.is_some() {
            self.next();
        }
        let end = self.offset();
        let raw = &self.text[start..end];
        if quote.is_some() { json5::from_str(raw).unwrap_or_default() } else { raw.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spots(text: &str) -> Vec<(String, [usize; 4])> {
        let spots = locate(text).spots.into_iter();
        spots
            .map(|(path, spot)| {
                (path.join(" "), [spot.key.line, spot.key.column, spot.value.line, spot.value.column])
            })
            .collect()
    }

    #[test]
    fn keys_and_values_are_found_through_every_form_of_json5() {
        let text = "\u{feff}// {no: 1}\n{ a: 1, 'b\\'c' : /* x: 2 */ [ {d: 1}, '}' ],\r\n\t\"ü.x\": {\n  y:\"\\\"\",}, z:\r.5}";
        let expected = [
            ("a", [2, 3, 2, 6]),
            ("b'c", [2, 9, 2, 29]),
            ("z", [4, 13, 5, 1]),
            ("ü.x", [3, 2, 3, 9]),
            ("ü.x y", [4, 3, 4, 5]),
        ];
        assert_eq!(spots(text), expected.map(|(path, at)| (path.to_owned(), at)));
        assert!(json5::from_str::<serde_json::Value>(text.trim_start_matches('\u{feff}')).is_ok());
    }

    #[test]
    fn a_key_that_is_there_twice_is_told() {
        let found = locate("{a: {b: 1}, c: {b: 1}, a: {b: 2}}");
        let paths: Vec<_> =
            found.doubles.iter().map(|(path, place)| (path.join("."), place.column)).collect();
        assert_eq!(paths, [("a".to_owned(), 24), ("a.b".to_owned(), 28)]);
    }

    #[test]
    fn texts_cut_anywhere_end() {
        let text = "{a: [1, {b: 'c'}], /* d */ \"e\\\\\": {f: // g\n 1}}";
        for end in 0..=text.len() {
            locate(&text[..end]);
        }
    }
}
