//! The configuration as a page of documentation.

pub mod policy;

use std::fmt::Write as _;

use super::table::{EXTRA_FLAGS, Effect, FIELDS, Field};

const HEAD: &str = "\
# Configuration

<!-- Made from the table of fields; `BLESS=1 cargo test -p sources docs_are_current` writes it anew. -->

`kube-ipvsd --config FILE` reads kube-proxy's own file unchanged, or a file of our own kind, which has
the same fields and a few more:

```yaml
apiVersion: kube-ipvs.io/v1alpha1
kind: KubeIpvsConfiguration
ipvs:
  scheduler: mh
drainTimeout: 5m
```

Without a file, kube-proxy's flags set the same fields. Beside a file, flags are ignored with a warning
for each, as in kube-proxy. Five flags win over the file: `--hostname-override` (or `--node-name`),
`--kubeconfig`, `--logging-format`, `--v` and `--metrics-bind-address`, which kube-proxy ignores beside
a file.

* In kube-proxy's file these are warnings, as in kube-proxy: a field that kube-proxy does not know, a
  field that it no longer has, and a key that is given twice, of which the last one counts. With
  `--strict-config` they are errors, as always in a file of our own kind. All mistakes are reported at
  once, with the fields' paths.
* The file may hold other things too: several documents, as kubeadm has them, a ConfigMap with the
  configuration under any of its keys, or a list of these. The one configuration in it is read, and a
  log line names its place; two configurations are an error.
* Durations have Go's form: `30s`, `1m30s`, `1.5h`, `100ms`; a number without a unit is an error.
  Networks have the form `10.0.0.0/8`. Besides `true` and `false` a file may hold `yes`, `on`, `no`, `off`.
* An empty text and `null` are the default. If 0 is the default, it is so in a file; as a flag, a
  period of 0 is an error, as in kube-proxy.
* As a flag, a list is `a,b`, and may be given several times; the value `true` may be left out.
* Another mode than `ipvs` is an error. `apiVersion` and `kind` may be left out of kube-proxy's file.
* Schedulers may need a module of the kernel. A name that Linux does not have is a warning; the kernel
  decides.

`ipvsctl config check FILE` reports the mistakes of a file, `ipvsctl config show --config FILE` shows
all values and where each comes from, `kube-ipvsd --write-config-to FILE` writes them to a file.
";

const TAIL: &str = "
All flags of kube-proxy 1.20 to 1.37 are accepted, with `_` instead of `-` too (`--proxy_mode`), and with
`=true` and `=false` if they are booleans. A value that asks for what is so here anyway, for instance
`--logtostderr=true`, causes no warning. `--config`, `--cleanup`, `--write-config-to` and `--version`
belong to kube-ipvsd itself. `--init-only` writes the kernel's settings and ends. A change of the file
takes effect at once, except for fields that need another start, which the log names.
";

/// A part of the page: its title and its fields.
type Part = (&'static str, fn(&Field) -> bool);

const PARTS: [Part; 4] = [
    ("Fields that act", |field| {
        field.effect == Effect::Acts && !field.ours
    }),
    ("Fields of KubeIpvsConfiguration alone", |field| field.ours),
    ("Fields that are checked and have no effect yet", |field| {
        field.effect == Effect::Later
    }),
    ("Fields without meaning here", |field| {
        field.effect == Effect::Nothing
    }),
];

/// Returns the page `docs/reference/config.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for (title, is_part) in PARTS {
        let _ = write!(page, "\n## {title}\n\n");
        page.push_str("| field | flag | value | default | meaning |\n|---|---|---|---|---|\n");
        for field in FIELDS.iter().filter(|field| is_part(field)) {
            page.push_str(&row(field));
        }
    }
    page.push_str("\n## Flags of kube-proxy without a field\n\n");
    page.push_str("| flag | effect | meaning |\n|---|---|---|\n");
    for extra in EXTRA_FLAGS {
        let effect = match (extra.effect, extra.about) {
            (Effect::Nothing, _) => "no effect, one warning",
            (_, Some(_)) => "accepted",
            (_, None) => "no effect yet",
        };
        let _ = writeln!(
            page,
            "| `--{}` | {effect} | {} |",
            extra.flag, extra.meaning
        );
    }
    page + TAIL
}

fn row(field: &Field) -> String {
    let flag = field.flag.map(|flag| format!("`--{flag}`"));
    let default = match field.default().as_str() {
        "" => "empty".to_owned(),
        text => format!("`{text}`"),
    };
    let mut meaning = field.meaning().to_owned();
    if field.zero_is_default {
        meaning.push_str(" 0 is the default.");
    }
    let (path, flag, values) = (
        field.path,
        flag.unwrap_or_default(),
        field.place.form().text,
    );
    format!("| `{path}` | {flag} | {values} | {default} | {meaning} |\n")
}
