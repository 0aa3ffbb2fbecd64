//! A small view of an XML file: elements with their texts, lines and paths. No document types, so no entities of the
//! file's own.

use encoding_rs::{Encoding, UTF_8};
use roxmltree::{Document, Node, NodeType, ParsingOptions};

use super::ImportError;

/// Longest file that is read; real ones have some kilobytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Most nodes of a file: four bytes each are less than any element takes.
const NODES_MAX: u32 = (BYTES_MAX / 4) as u32;
/// Deepest nesting; real files have five levels.
const DEPTH_MAX: usize = 16;
/// Where an encoding is looked for: the declaration is at the begin of the file.
const DECLARATION_BYTES_MAX: usize = 200;

/// The file's text: in the encoding of its mark or its declaration, else UTF-8.
pub fn decode(bytes: &[u8]) -> Result<String, ImportError> {
    if bytes.len() > BYTES_MAX {
        return Err(ImportError::TooLong);
    }
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None => declared(bytes)?,
    };
    let (text, encoding, malformed) = encoding.decode(bytes);
    if malformed {
        let line = 1 + text.split('\u{fffd}').next().unwrap_or_default().matches('\n').count();
        return Err(ImportError::Encoding { line, name: encoding.name().to_owned() });
    }
    Ok(text.into_owned())
}

fn declared(bytes: &[u8]) -> Result<&'static Encoding, ImportError> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES_MAX)]);
    let declaration = head.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next()).unwrap_or_default();
    let Some((_, value)) = declaration.split_once("encoding") else { return Ok(UTF_8) };
    let label = value.trim_start_matches([' ', '=']).trim_start_matches(['"', '\'']);
    let label = label.split(['"', '\'']).next().unwrap_or_default();
    Encoding::for_label_no_replacement(label.as_bytes())
        .ok_or_else(|| ImportError::Encoding { line: 1, name: label.to_owned() })
}

/// A file's elements.
#[derive(Debug)]
pub struct File<'a> {
    document: Document<'a>,
    /// Places of the line feeds.
    feeds: Vec<usize>,
}

impl<'a> File<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// No well-formed XML, a document type, or beyond the bounds.
    pub fn parse(text: &'a str) -> Result<Self, ImportError> {
        let feeds: Vec<usize> = text.match_indices('\n').map(|(place, _)| place).collect();
        let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| {
            let (line, column, reason) = match error {
                roxmltree::Error::DtdDetected => {
                    let (line, column) = place(text, &feeds, text.find("<!DOCTYPE").unwrap_or(0));
                    (line, column, "a document type is not read; take it out".to_owned())
                }
                error => {
                    let (at, reason) = (error.pos(), error.to_string());
                    let reason = reason.strip_suffix(&format!(" at {at}")).unwrap_or(&reason);
                    (at.row as usize, at.col as usize, reason.to_owned())
                }
            };
            ImportError::Syntax { line, column, reason }
        })?;
        let file = File { document, feeds };
        file.check_depth()?;
        Ok(file)
    }

    /// The outermost element.
    pub fn root(&self) -> Element<'_> {
        Element { node: self.document.root_element(), file: self }
    }

    /// Nodes come in the order of the text, parents before children.
    fn check_depth(&self) -> Result<(), ImportError> {
        let mut depths = vec![0_usize; self.document.descendants().count()];
        for node in self.document.descendants() {
            let depth = node.parent().map_or(0, |parent| depths[parent.id().get_usize()] + 1);
            if depth > DEPTH_MAX {
                let (line, column) = place(self.document.input_text(), &self.feeds, node.range().start);
                let reason = format!("elements are nested deeper than {DEPTH_MAX}");
                return Err(ImportError::Syntax { line, column, reason });
            }
            depths[node.id().get_usize()] = depth;
        }
        Ok(())
    }
}

fn place(text: &str, feeds: &[usize], at: usize) -> (usize, usize) {
    let line = feeds.partition_point(|&feed| feed < at);
    let start = line.checked_sub(1).map_or(0, |before| feeds[before] + 1);
    (line + 1, text[start..at].chars().count() + 1)
}

/// An element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    node: Node<'a, 'a>,
    file: &'a File<'a>,
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<'a> Element<'a> {
    /// Its name, without a prefix.
    pub fn name(self) -> &'a str {
        self.node.tag_name().name()
    }

    /// Its line, from 1.
    pub fn line(self) -> usize {
        place(self.file.document.input_text(), &self.file.feeds, self.node.range().start).0
    }

    /// Its path: `/icecast/mount[2]/password`. Elements that have siblings of their name are counted from 1.
    pub fn path(self) -> String {
        let parent = self.node.parent_element().map(|node| Element { node, ..self });
        let above = parent.map(Element::path).unwrap_or_default();
        let place = parent.filter(|parent| parent.all(self.name()).nth(1).is_some()).map(|parent| {
            let before = parent.all(self.name()).take_while(|sibling| sibling.node != self.node);
            format!("[{}]", before.count() + 1)
        });
        format!("{above}/{}{}", self.name(), place.unwrap_or_default())
    }

    /// Its own text as it is.
    pub fn raw_text(self) -> String {
        let texts = self.node.children().filter(|node| node.node_type() == NodeType::Text);
        texts.filter_map(|node| node.text()).collect()
    }

    /// Its own text without blanks around.
    pub fn text(self) -> String {
        self.raw_text().trim().to_owned()
    }

    /// True if its text switches something on.
    pub fn is_on(self) -> bool {
        matches!(self.text().to_ascii_lowercase().as_str(), "1" | "yes" | "true" | "on")
    }

    /// An attribute's value.
    pub fn attribute(self, name: &str) -> Option<&'a str> {
        self.node.attribute(name)
    }

    /// The elements in it.
    pub fn children(self) -> impl Iterator<Item = Element<'a>> {
        let file = self.file;
        self.node.children().filter(Node::is_element).map(move |node| Element { node, file })
    }

    /// The elements in it that have this name.
    pub fn all(self, name: &str) -> impl Iterator<Item = Element<'a>> {
        self.children().filter(move |child| child.name() == name)
    }

    /// The element in it that has this name; the last one, as Icecast has it.
    pub fn child(self, name: &str) -> Option<Element<'a>> {
        self.all(name).last()
    }
}
