//! Splits lines into words and braces.

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Open,
    Close,
}

/// Splits a line. `!` and `#` outside quotes begin a comment, as in `decomment` (lib/parser.c). A
/// quoted text is one word, without its quotes.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '!' | '#' => break,
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(quoted) = characters.next() {
                    match quoted {
                        '"' => break,
                        '\\' => word.extend(characters.next()),
                        other => word.push(other),
                    }
                }
            }
            '{' | '}' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(if character == '{' {
                    Token::Open
                } else {
                    Token::Close
                });
            }
            space if space.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            other => word.get_or_insert_default().push(other),
        }
    }
    tokens.extend(word.map(Token::Word));
    tokens
}
