//! Reads a configuration and the files that it includes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Statement;
use super::lex::{Token, decomment, tokens};
use super::variables::{Expanded, Variables};
use crate::import::{Imported, MAX_BYTES, Options};
use crate::input::text::read_at_most;

/// Maximum number of files inside each other.
const MAX_INCLUDES: usize = 16;

/// Maximum number of files.
const MAX_FILES: usize = 1_000;

/// Maximum number of blocks inside each other. keepalived has four.
const MAX_DEPTH: usize = 16;

/// Maximum number of definitions inside each other.
const MAX_DEFINITIONS: usize = 16;

/// Maximum number of statements. The configuration of 10,000 virtual servers has about 500,000.
const MAX_STATEMENTS: usize = 2_000_000;

/// Returns the statements of a configuration.
pub(super) fn read(
    path: &Path,
    text: &str,
    options: Options<'_>,
    found: &mut Imported,
) -> Vec<Statement> {
    let mut reader = Reader {
        options,
        found,
        variables: Variables::default(),
        conditions: BTreeSet::new(),
        including: Vec::new(),
        files: 0,
        bytes_left: MAX_BYTES,
        done: Vec::new(),
        open: Vec::new(),
        statements: 0,
        skipped: 0,
        accepts_block: false,
    };
    reader.file(path, text);
    reader.finish()
}

struct Reader<'a> {
    options: Options<'a>,
    found: &'a mut Imported,
    variables: Variables,
    /// Conditions that were reported.
    conditions: BTreeSet<String>,
    /// The files that are being read.
    including: Vec<PathBuf>,
    files: usize,
    bytes_left: u64,
    /// Statements outside blocks.
    done: Vec<Statement>,
    /// Statements whose blocks are open, the outermost first.
    open: Vec<Statement>,
    /// Number of statements, the ignored ones beyond the limit included.
    statements: usize,
    /// Number of open blocks that are ignored.
    skipped: usize,
    /// True if the last statement may still get a block.
    accepts_block: bool,
}

/// Lines with their numbers; a continued definition takes several.
type Lines<'t> = std::iter::Zip<std::ops::RangeFrom<usize>, std::str::Lines<'t>>;

impl Reader<'_> {
    fn file(&mut self, path: &Path, text: &str) {
        let file: Rc<Path> = path.into();
        let mut lines: Lines<'_> = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            // As in `read_line` (lib/parser.c), comments are removed from the lines of a file, and
            // definitions are replaced in the rest.
            self.decommented(&file, number, &decomment(line), &mut lines, 0);
        }
    }

    /// Reads a line without its comment. `depth` is the number of definitions that contain it.
    fn decommented(
        &mut self,
        file: &Rc<Path>,
        number: usize,
        line: &str,
        following: &mut Lines<'_>,
        depth: usize,
    ) {
        let Some(line) = self.condition(file, number, line) else {
            return;
        };
        if let Some((name, text)) = Variables::definition(line) {
            let text = continued(text, following);
            return self.variables.define(name, text);
        }
        let expanded = self.variables.expand(line).and_then(|expanded| {
            let is_endless = expanded.text.is_some() && depth >= MAX_DEFINITIONS;
            match is_endless {
                true => Err(format!(
                    "definitions contain each other more than {MAX_DEFINITIONS} times"
                )),
                false => Ok(expanded),
            }
        });
        let (text, problem) = match expanded {
            Ok(Expanded { text, undefined }) => {
                let problem =
                    undefined.map(|name| format!("${name} is not defined; it is used as it is"));
                (text, problem)
            }
            Err(problem) => (None, Some(format!("{problem}; the line is used as it is"))),
        };
        match text {
            // A name that stays is reported once, in the line without definitions.
            Some(text) => {
                for line in text.lines() {
                    self.decommented(file, number, line, following, depth + 1);
                }
            }
            None => {
                if let Some(problem) = problem {
                    self.found.note(file, number, &problem);
                }
                self.line(file, number, line);
            }
        }
    }

    /// Returns a line without its condition, or `None` if the condition is not met: `@NAME` needs
    /// `--config-id NAME`, `@^NAME` another one.
    fn condition<'l>(&mut self, file: &Rc<Path>, number: usize, line: &'l str) -> Option<&'l str> {
        let Some(rest) = line.trim_start().strip_prefix('@') else {
            return Some(line);
        };
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (wanted, name) = match name.strip_prefix('^') {
            Some(name) => (false, name),
            None => (true, name),
        };
        if self.options.config_id.is_none() && self.conditions.insert(name.to_owned()) {
            let text = format!(
                "lines with the condition @{name} are {}: choose with --config-id",
                if wanted {
                    "ignored"
                } else {
                    "used if they have @^"
                }
            );
            self.found.note(file, number, &text);
        }
        ((self.options.config_id == Some(name)) == wanted).then_some(rest)
    }

    fn line(&mut self, file: &Rc<Path>, number: usize, line: &str) {
        let mut tokens = tokens(line).into_iter();
        let mut words = Vec::new();
        if let [Token::Word(keyword), Token::Word(pattern)] = tokens.as_slice()
            && is_include(keyword)
        {
            return self.include(file, number, pattern);
        }
        for token in &mut tokens {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => self.open(file, number, std::mem::take(&mut words)),
                Token::Close => {
                    self.statement(file, number, std::mem::take(&mut words));
                    self.close(file, number);
                }
            }
        }
        self.statement(file, number, words);
    }

    fn statement(&mut self, file: &Rc<Path>, line: usize, words: Vec<String>) {
        if words.is_empty() || self.skipped > 0 {
            return;
        }
        self.statements += 1;
        if self.statements > MAX_STATEMENTS {
            if self.statements == MAX_STATEMENTS + 1 {
                let text = format!("more than {MAX_STATEMENTS} statements: the others are ignored");
                self.found.error(file, line, &text);
            }
            self.accepts_block = false;
            return;
        }
        self.accepts_block = true;
        self.block().push(Statement {
            file: file.clone(),
            line,
            words,
            block: Vec::new(),
        });
    }

    /// Returns the statements of the innermost open block.
    fn block(&mut self) -> &mut Vec<Statement> {
        match self.open.last_mut() {
            Some(statement) => &mut statement.block,
            None => &mut self.done,
        }
    }

    /// Opens the block of `words`, or, if a line begins with the brace, that of the statement
    /// before.
    fn open(&mut self, file: &Rc<Path>, line: usize, words: Vec<String>) {
        if self.skipped > 0 || self.open.len() >= MAX_DEPTH {
            if self.skipped == 0 {
                let text = format!("blocks inside more than {MAX_DEPTH} others are ignored");
                self.found.error(file, line, &text);
            }
            self.skipped += 1;
            return;
        }
        self.statement(file, line, words);
        let last = match std::mem::take(&mut self.accepts_block) {
            true => self.block().pop(),
            false => None,
        };
        match last {
            Some(statement) => self.open.push(statement),
            None => {
                self.found
                    .error(file, line, "`{` follows no keyword: its block is ignored");
                self.skipped += 1;
            }
        }
    }

    fn close(&mut self, file: &Rc<Path>, line: usize) {
        self.accepts_block = false;
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        match self.open.pop() {
            Some(statement) => self.block().push(statement),
            None => self
                .found
                .error(file, line, "`}` closes no block; it is ignored"),
        }
    }

    fn include(&mut self, file: &Rc<Path>, number: usize, pattern: &str) {
        if !self.options.includes {
            return self.found.error(file, number, "include: no files are read");
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        let pattern = folder.join(pattern);
        let paths = match glob::glob(&pattern.to_string_lossy()) {
            Ok(paths) => paths.filter_map(Result::ok).filter(|path| !path.is_dir()),
            Err(error) => {
                let text = format!("include: {}: {error}", pattern.display());
                return self.found.error(file, number, &text);
            }
        };
        let paths: Vec<PathBuf> = paths.take(MAX_FILES + 1).collect();
        if paths.is_empty() {
            let text = format!("include: no file is named {}", pattern.display());
            return self.found.error(file, number, &text);
        }
        for path in paths {
            if let Err(problem) = self.included(&path) {
                let text = format!(
                    "include: {}: {problem}; the file is ignored",
                    path.display()
                );
                self.found.error(file, number, &text);
            }
        }
    }

    fn included(&mut self, path: &Path) -> Result<(), String> {
        let real = path.canonicalize().map_err(|error| error.to_string())?;
        if self.including.contains(&real) {
            return Err("the file includes itself".to_owned());
        }
        if self.including.len() >= MAX_INCLUDES {
            return Err(format!("more than {MAX_INCLUDES} files include each other"));
        }
        if self.files >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are included"));
        }
        if !real.is_file() {
            return Err("not a regular file".to_owned());
        }
        self.files += 1;
        let text = read_at_most(path, self.bytes_left).map_err(|error| error.to_string())?;
        self.bytes_left -= text.len() as u64;
        self.including.push(real);
        self.file(path, &text);
        self.including.pop();
        Ok(())
    }

    /// Closes the blocks that are still open at the end.
    fn finish(mut self) -> Vec<Statement> {
        while let Some(statement) = self.open.pop() {
            let (file, line) = (statement.file.clone(), statement.line);
            let text = format!("the block of {} is not closed", statement.keyword());
            self.found.error(&file, line, &text);
            self.block().push(statement);
        }
        self.done
    }
}

/// Returns the text of a definition with the lines that continue it after `\`.
fn continued(first: &str, lines: &mut Lines<'_>) -> String {
    let mut text = String::new();
    let mut line = first.to_owned();
    while let Some(part) = line.strip_suffix('\\') {
        text.push_str(part.trim_end());
        text.push('\n');
        match lines.next() {
            Some((_, next)) => line = decomment(next),
            None => return text,
        }
    }
    text + &line
}

/// Returns true for `include` and its variants, such as `includer`, which differ in errors.
fn is_include(keyword: &str) -> bool {
    let variant = keyword.strip_prefix("include");
    variant.is_some_and(|rest| rest.chars().all(|letter| "rmwba".contains(letter)))
}
