//! XML as Icecast writes it: one line behind the declaration, no entities but the five of the standard.

use std::fmt::{Display, Write as _};

/// A document that is being written. Names are ours; texts and values may be anybody's.
#[derive(Debug)]
pub struct Xml {
    text: String,
    open: Vec<&'static str>,
}

impl Xml {
    /// A document with this root.
    pub fn new(root: &'static str) -> Self {
        let mut xml = Xml { text: "<?xml version=\"1.0\"?>\n".to_owned(), open: Vec::new() };
        xml.begin(root, &[]);
        xml
    }

    /// Begins an element; what follows is inside of it until [`Xml::end`].
    pub fn begin(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.tag(name, attributes);
        self.text.push('>');
        self.open.push(name);
    }

    /// Ends the element that was begun last.
    pub fn end(&mut self) {
        if let Some(name) = self.open.pop() {
            self.close(name);
        }
    }

    /// An element that holds a text.
    pub fn text(&mut self, name: &'static str, value: impl Display) {
        self.tag(name, &[]);
        self.text.push('>');
        self.escape(&value.to_string());
        self.close(name);
    }

    /// An element that holds nothing.
    pub fn empty(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str("/>");
    }

    /// The whole document.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.text.push('\n');
        self.text
    }

    fn tag(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.escape(value);
            self.text.push('"');
        }
    }

    fn close(&mut self, name: &'static str) {
        write!(self.text, "</{name}>").expect("a String takes what is written");
    }

    fn escape(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // XML 1.0, 2.2: what is no character of a document cannot be escaped either.
                '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => self.text.push(' '),
                other => self.text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_are_written_as_icecast_writes_them() {
        let mut xml = Xml::new("icestats");
        xml.text("sources", 1);
        xml.begin("source", &[("mount", "/a&\"b<")]);
        xml.text("fallback", "");
        xml.text("title", "A & B <x> It's \"q\"\0\u{1}\r\n\u{ffff}é");
        xml.end();
        xml.empty("source", &[("mount", "/c")]);
        let expected = "<?xml version=\"1.0\"?>\n<icestats><sources>1</sources><source mount=\"/a&amp;&quot;b&lt;\">\
                        <fallback></fallback><title>A &amp; B &lt;x&gt; It's &quot;q&quot;     é</title></source>\
                        <source mount=\"/c\"/></icestats>\n";
        assert_eq!(xml.finish(), expected);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(text in any::<String>()) {
            let mut xml = Xml::new("a");
            xml.begin("b", &[("c", &text)]);
            xml.text("d", &text);
            let document = xml.finish();
            let read = roxmltree::Document::parse(&document).unwrap();
            let element = read.root_element().first_element_child().unwrap();
            let kept: String = text.chars().map(|it| if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') { ' ' } else { it }).collect();
            prop_assert_eq!(element.attribute("c").unwrap(), kept.as_str());
            prop_assert_eq!(element.first_element_child().unwrap().text().unwrap_or(""), kept.as_str());
        }
    }
}
