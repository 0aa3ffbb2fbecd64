//! The answer of a look at bytes that may not all be there yet.

/// What a look at the start of some bytes finds. More bytes turn `More` into one of the others, and change nothing
/// else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is there.
    Yes(T),
    /// It is not there, whatever follows.
    No,
    /// Too few bytes to tell.
    More,
}

impl<T> Found<T> {
    /// The same answer about something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Found::Yes(found) => Found::Yes(change(found)),
            Found::No => Found::No,
            Found::More => Found::More,
        }
    }
}
