//! Comments, and the words and braces of a line.

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Open,
    Close,
}

/// Removes the comment of a line, and white space around the rest (`decomment`, lib/parser.c of
/// keepalived 2.2). `!` and `#` begin a comment outside quotes, unless `\` precedes them. A `\` at
/// the end of the line continues a definition even if it is in the comment.
pub(super) fn decomment(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let (mut is_quoted, mut is_comment, mut continues) = (false, false, false);
    let mut characters = line.trim_start().chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                None => continues = true,
                Some(_) if is_comment => {}
                Some(escaped @ ('!' | '#')) if !is_quoted => kept.push(escaped),
                Some(next) => kept.extend(['\\', next]),
            },
            _ if is_comment => {}
            '!' | '#' if !is_quoted => is_comment = true,
            other => {
                is_quoted ^= other == '"';
                kept.push(other);
            }
        }
    }
    kept.truncate(kept.trim_end().len());
    if continues {
        kept.push('\\');
    }
    kept
}

/// Splits a line without a comment. A quoted text is one word, without its quotes.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
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
