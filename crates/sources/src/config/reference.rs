//! The configuration as a page of documentation.

use std::fmt::Write as _;

use super::Dialect;
use super::table::{EXTRA_FLAGS, Effect, FIELDS, FieldInfo};

const HEAD: &str = "\
# Configuration

<!-- Made from the table of fields; `BLESS=1 cargo test -p sources docs_are_current` writes it anew. -->

`kube-ipvsd --config FILE` reads kube-proxy's own file unchanged, or a file of our own kind, which has
the same fields and a few more:

```yaml
";

const RULES: &str = "\
Without a file, kube-proxy's flags say the same. With a file, its word counts and flags are ignored,
with a warning for each, as in kube-proxy. Four flags win over the file: `--hostname-override` (or
`--node-name`), `--kubeconfig`, `--logging-format` and `--v`.

* A field that kube-proxy does not know, or no longer has, is a warning in kube-proxy's file, as in
  kube-proxy; so is a key that is given twice, of which the last one counts. With `--strict-config`
  these are errors, as they always are in a file of our own kind. All mistakes are told at once, with
  the fields' paths.
* The file may hold other things too: several documents, as kubeadm has them, a ConfigMap with the
  configuration under any of its keys, or a list of these. The one configuration in it is read, and a
  line says which; two are an error.
* Durations are written as in Go: `30s`, `1m30s`, `1.5h`, `100ms`; a number without a unit is none.
  Networks are written `10.0.0.0/8`. Instead of `true` and `false` a file may say `yes`, `on`, `no`, `off`.
* An empty text and `null` are the default. Where 0 is the default it is so in a file; as a flag, a
  period of 0 is an error, as in kube-proxy.
* As a flag, a list is `a,b`, and may be given several times; `true` may be left out.
* Another mode than `ipvs` is an error. `apiVersion` and `kind` may be left out of kube-proxy's file.
* Schedulers may need a module of the kernel; a name that Linux does not have is mentioned and left to
  the kernel.

`ipvsctl config check FILE` says what is wrong with a file, `ipvsctl config show --config FILE` what
holds and where each value comes from, `kube-ipvsd --write-config-to FILE` writes what holds as a file.
";

/// The page `docs/reference/config.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let ours = Dialect::Ours;
    let _ = writeln!(
        page,
        "apiVersion: {}\nkind: {}",
        ours.api_version(),
        ours.kind()
    );
    page.push_str("ipvs:\n  scheduler: mh\ndrainTimeout: 5m\n```\n\n");
    page.push_str(RULES);
    let part = |page: &mut String, title: &str, wanted: &dyn Fn(&FieldInfo) -> bool| {
        let _ = write!(page, "\n## {title}\n\n");
        fields(page, wanted);
    };
    part(&mut page, "Fields that act", &|field| {
        field.effect == Effect::Acts && !field.ours
    });
    let title = format!("Fields of {} alone", ours.kind());
    part(&mut page, &title, &|field| field.ours);
    part(
        &mut page,
        "Fields that are checked and have no effect yet",
        &|field| field.effect == Effect::Later,
    );
    part(&mut page, "Fields without meaning here", &|field| {
        field.effect == Effect::Nothing
    });
    page.push_str(
        "\n## Flags of kube-proxy without a field\n\n\
         | flag | what becomes of it | meaning |\n|---|---|---|\n",
    );
    for extra in EXTRA_FLAGS {
        let what = match (extra.effect, extra.about) {
            (Effect::Nothing, _) => "no effect, one warning",
            (_, Some(_)) => "accepted",
            (_, None) => "no effect yet",
        };
        let _ = writeln!(page, "| `--{}` | {what} | {} |", extra.flag, extra.meaning);
    }
    page.push_str(
        "\nAll flags of kube-proxy 1.20 to 1.37 are accepted, with `_` instead of `-` too (`--proxy_mode`), and with \
         `=true` and `=false` where they are booleans. A value that asks for what is so here anyway, for instance \
         `--logtostderr=true`, is no reason to warn. \
         `--config`, `--cleanup`, `--write-config-to` and `--version` are of kube-ipvsd itself. \
         `--init-only` writes the kernel's settings and ends. A change of \
         the file takes effect at once, but for what needs another start, which the log names.\n",
    );
    page
}

fn fields(page: &mut String, wanted: &dyn Fn(&FieldInfo) -> bool) {
    page.push_str("| field | flag | value | default | meaning |\n|---|---|---|---|---|\n");
    for field in FIELDS.iter().filter(|field| wanted(field)) {
        let FieldInfo {
            path,
            flag,
            kind,
            default,
            meaning,
            zero_is_default,
            effect: _,
            ours: _,
        } = field;
        let flag = flag.map(|flag| format!("`--{flag}`")).unwrap_or_default();
        let zero = match zero_is_default {
            true => " 0 is the default.",
            false => "",
        };
        let default = match *default {
            "" => "empty".to_owned(),
            text => format!("`{text}`"),
        };
        let _ = writeln!(
            page,
            "| `{path}` | {flag} | {kind} | {default} | {meaning}{zero} |"
        );
    }
}
