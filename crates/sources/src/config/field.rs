//! A row of the table of fields, and the kinds of flags.

use serde_json::Value;

use super::kind::{Form, Kind, Reading};
use super::reader::Reader;
use super::show::text;
use super::{Origin, Resolved};

/// One field of the configuration: a row of [`FIELDS`](super::table::FIELDS).
pub struct Field {
    /// Path in the file: `ipvs.scheduler`.
    pub path: &'static str,
    /// kube-proxy's flag for it, without the dashes.
    pub flag: Option<&'static str>,
    /// Precedence of the flag.
    pub(super) precedence: Precedence,
    /// Effect of the field.
    pub effect: Effect,
    /// True if only our own kind of configuration has it.
    pub ours: bool,
    /// True if zero means the default, as in kube-proxy. A flag's period of zero is an error.
    pub(super) zero_is_default: bool,
    pub(super) meaning: &'static str,
    pub(super) place: &'static dyn Place,
}

/// Effect of a field or flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It decides something.
    Acts,
    /// It is checked and shown, and will act once the daemon has the part that it is for.
    Later,
    /// It belongs to another mode, another system or another program.
    Nothing,
}

/// Precedence of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precedence {
    /// The file wins, and the flag is ignored with a warning.
    BelowFile,
    /// The flag wins over the file: kube-proxy's flags of logging, and `--metrics-bind-address`,
    /// with which a manifest opens the metrics to Prometheus whatever the file has.
    AboveFile,
    /// The flag wins over the file and belongs to the program:
    /// [`NodeOverrides`](super::NodeOverrides).
    OfProgram,
}

impl Field {
    /// Returns the purpose of the field, with its unit and the meaning of 0. Markdown.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.meaning.trim_start()
    }

    /// Returns the default as `config show` prints it. It is kube-proxy's unless the field is ours.
    #[must_use]
    pub fn default(&self) -> String {
        text(&self.place.show(&Resolved::default()))
    }

    // Marks of a row.

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    pub(super) const fn above_file(mut self) -> Self {
        self.precedence = Precedence::AboveFile;
        self
    }

    pub(super) const fn of_program(mut self) -> Self {
        self.precedence = Precedence::OfProgram;
        self
    }

    pub(super) const fn later(mut self) -> Self {
        self.effect = Effect::Later;
        self
    }

    pub(super) const fn nothing(mut self) -> Self {
        self.effect = Effect::Nothing;
        self
    }

    pub(super) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(super) const fn zero_is_default(mut self) -> Self {
        self.zero_is_default = true;
        self
    }
}

/// Place of a field's value in the configuration.
pub(super) trait Place: Sync {
    /// Reads a value and puts it into the configuration.
    fn load(&self, field: &'static Field, given: &Value, origin: &Origin, reader: &mut Reader<'_>);

    /// Returns the value in `config` as a file holds it.
    fn show(&self, config: &Resolved) -> Value;

    /// Describes the values.
    fn form(&self) -> Form;
}

/// Place of a value of this kind.
pub(super) struct At<T: 'static> {
    pub(super) kind: Kind<T>,
    pub(super) get: fn(&Resolved) -> T,
    pub(super) set: fn(&mut Reader<'_>, T),
}

impl<T> Place for At<T> {
    fn load(&self, field: &'static Field, given: &Value, origin: &Origin, reader: &mut Reader<'_>) {
        let mut reading = Reading {
            by_flag: !matches!(origin, Origin::File(_)),
            problems: Vec::new(),
        };
        let value = (self.kind.read)(given, &mut reading);
        let is_right = reader.report(field, reading.problems);
        if let Some(value) = value.filter(|_| is_right) {
            reader.accept(field, &(self.kind.write)(&value), origin);
            (self.set)(reader, value);
        }
    }

    fn show(&self, config: &Resolved) -> Value {
        (self.kind.write)(&(self.get)(config))
    }

    fn form(&self) -> Form {
        (self.kind.form)()
    }
}
